"""A real OpenID provider, as a process of its own, and a person who logs in with it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from tests.support.certificates import Authority
from tests.support.node import program
from tests.support.rabbit import free_ports

CLIENT, SECRET = "relais", "a secret / of+the tests"


class OpenIdProvider:
    """oidc-provider on TLS; `clients` are allowed to send people back to these addresses, `accounts` have claims."""

    def __init__(self, folder: Path, accounts: dict[str, dict[str, Any]]) -> None:
        self._port = free_ports(1)[0]
        self.issuer = f"https://localhost:{self._port}"
        self.authority = Authority(folder)
        self._files = self.authority.certificate("localhost")
        self._accounts = accounts
        self._process: subprocess.Popen[str] | None = None
        self.secret_file = folder / "client-secret"
        self.secret_file.write_text(f"{SECRET}\n")

    @property
    def environment(self) -> dict[str, str]:
        """How a house is told of this provider, and that its certificate is to be trusted."""
        return {
            "RELAIS_OIDC_ISSUER": self.issuer,
            "RELAIS_OIDC_CLIENT_ID": CLIENT,
            "RELAIS_OIDC_CLIENT_SECRET_FILE": str(self.secret_file),
            "RELAIS_OIDC_SCOPE": "openid relais",
            "SSL_CERT_FILE": str(self.authority.ca_path),
        }

    def start(self, *homes: str, claims_by_userinfo: bool = True) -> None:
        """Serve the client Relais, whose services are reached at `homes`, and a neighbour of it."""
        client = {
            "client_secret": SECRET,
            "redirect_uris": [f"{home}/oidc/callback" for home in homes],
            "post_logout_redirect_uris": [f"{home}/login" for home in homes],
        }
        given = {
            "issuer": self.issuer,
            "port": self._port,
            "certificate": str(self._files[0]),
            "key": str(self._files[1]),
            "accounts": self._accounts,
            "clients": [client | {"client_id": CLIENT}, client | {"client_id": "neighbour"}],
            "claims_by_userinfo": claims_by_userinfo,
        }
        command = [*program("openid_provider.mjs"), json.dumps(given)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._process is not None

    def stop(self) -> None:
        """End it; `start` serves at the same address again, and remembers nobody."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=10)
            self._process = None


def follow(browser: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """Go where an answer says, as a browser does."""
    return browser.get(urljoin(str(answer.url), answer.headers["Location"]))


def log_in_at(browser: httpx.Client, address: str, account: str) -> httpx.Response:
    """Fill in the provider's form at `address`; what it answers when it sends the person back to Relais."""
    answer = browser.get(address)
    while answer.status_code in {302, 303} and "/oidc/callback" not in answer.headers["Location"]:
        answer = follow(browser, answer)
        form = re.search(r'action="([^"]+)" method="post"', answer.text) if answer.status_code == 200 else None
        if form is not None:
            fields = {"prompt": "login", "login": account, "password": "x"}
            answer = browser.post(urljoin(str(answer.url), form[1]), data=fields)
    return answer
