"""The reverse proxy as shipped, on ports of a test: a real nginx, and browsers that find it by its name."""

import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx

from services.contracts.topology import SERVICES
from tests.support.certificates import Authority
from tests.support.house import eventually
from tests.support.rabbit import free_ports

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx"
NAME = "relais.test"
# What the image and Debian's package have around the shipped file, with every path in a folder of the test.
_AROUND = """{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/start.log warn;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body 1 2;
    proxy_temp_path {folder}/proxy 1 2;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    access_log {folder}/around.log;
    include {folder}/relais.conf;
}}
"""


class _ByName(httpx.HTTPTransport):
    """Connects to this machine whatever name is asked for, which no name server knows."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As a browser whose machine has the name in its hosts file."""
        extensions = request.extensions | {"sni_hostname": request.url.host}
        url = request.url.copy_with(host="127.0.0.1")
        return super().handle_request(
            httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)
        )


class Proxy:
    """nginx with the shipped configuration before four services on these ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.plain_port = free_ports(2)
        self.origin = f"https://{NAME}:{self.port}"
        self.authority = Authority(folder)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ports: dict[str, int]) -> None:
        """Serve."""
        certificate, key = self.authority.certificate(NAME)
        values = {
            "PUBLIC_NAME": NAME,
            "HTTP_PORT": f"127.0.0.1:{self.plain_port}",
            "HTTPS_PORT": f"127.0.0.1:{self.port}",
            "CERTIFICATE": str(certificate),
            "CERTIFICATE_KEY": str(key),
            "PAGES": str(SHIPPED),
            "LOG_FOLDER": str(self.folder),
            "RESOLVER": "127.0.0.1",  # never asked: the services are given by address
            **{service.upper(): f"127.0.0.1:{ports[service]}" for service in SERVICES},
        }
        template = (SHIPPED / "relais.conf.template").read_text(encoding="utf-8")
        filled = re.sub(r"\$\{([A-Z_]+)\}", lambda found: values.get(found[1], found[0]), template)
        (self.folder / "relais.conf").write_text(filled, encoding="utf-8")
        user = "user root;" if os.geteuid() == 0 else ""
        main = self.folder / "nginx.conf"
        main.write_text(_AROUND.format(user=user, folder=self.folder))
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        assert nginx is not None, "no nginx here: run tests/support/install.sh as root, or install it yourself"
        self._process = subprocess.Popen([nginx, "-p", str(self.folder), "-c", str(main), "-e", "stderr"])
        eventually((self.folder / "nginx.pid").exists)

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def browser(self, *, trusting: bool = True, origin: str | None = None) -> httpx.Client:
        """Open what knows the name and, when `trusting`, the authority of the certificate; close it yourself."""
        context = ssl.create_default_context(cafile=str(self.authority.ca_path) if trusting else None)
        headers = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        return httpx.Client(
            base_url=origin or self.origin, transport=_ByName(verify=context), headers=headers, timeout=20
        )

    def logs(self) -> str:
        """Everything that it has written down."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("*.log")))
