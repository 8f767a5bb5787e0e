"""RabbitMQ's management API, as far as we need it: definitions out and in, connections closed, queues deleted."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx

from services.chassis import tls

Definitions = Mapping[str, Sequence[Mapping[str, Any]]]
_SECONDS = 60.0


class ManagementError(Exception):
    """The API cannot be used, and why. `configured`: what we were told of it is wrong, and trying again is no help."""

    def __init__(self, message: str, *, configured: bool = True) -> None:
        super().__init__(message)
        self.configured = configured


class Management:
    """A client of one broker's management API. Every method raises ManagementError."""

    def __init__(self, url: str, password: str | None = None, ca_file: Path | None = None) -> None:
        """`url` as `RELAIS_AMQP_MANAGEMENT_URL` has it; its own password comes before the other."""
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self._where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        base = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/") + "/api"))
        user, known = unquote(parts.username or ""), unquote(parts.password or "") or password or ""
        self._user = user
        trusted = tls.context(ca_file) if parts.scheme == "https" else False
        # Not by a proxy of the environment: the password of an administrator goes along.
        self._client = httpx.Client(
            base_url=base, auth=(user, known), verify=trusted, timeout=_SECONDS, trust_env=False
        )

    def close(self) -> None:
        """End the client's connections."""
        self._client.close()

    def definitions(self) -> Definitions:
        """Everything that is declared at the broker; users with their limits and password hashes."""
        found: Definitions = self._call("GET", "/definitions").json()
        return found

    def password_hashes(self) -> dict[str, str]:
        """Every account there is, and the hash of its password."""
        return {user["name"]: user["password_hash"] for user in self._call("GET", "/users").json()}

    def load(self, definitions: Definitions) -> None:
        """Add to what is declared. Of what exists, queues and exchanges stay; accounts become what is said here."""
        self._call("POST", "/definitions", definitions)

    def delete_account(self, user: str) -> None:
        """The broker closes its connections by itself."""
        self._call("DELETE", f"/users/{_path(user)}")

    def delete_permission(self, user: str, vhost: str) -> None:
        """What an account may do in a vhost, and that it may enter."""
        self._call("DELETE", f"/permissions/{_path(vhost)}/{_path(user)}")

    def close_connections(self, user: str, reason: str) -> int:
        """Close an account's connections, which are told the reason; how many there were. To repeat until it is 0."""
        path = f"/connections/username/{_path(user)}"
        number = len(self._call("GET", path).json())
        if number:
            # What it answers, the others left open, when one ends by itself at that moment.
            self._call("DELETE", path, reason=reason, fine=(httpx.codes.INTERNAL_SERVER_ERROR,))
        return number

    def delete_queue(self, vhost: str, queue: str) -> bool:
        """Delete a queue with what it holds; whether there was one. Needs the right to configure it."""
        answer = self._call("DELETE", f"/queues/{_path(vhost)}/{_path(queue)}", fine=(httpx.codes.NOT_FOUND,))
        return answer.status_code != httpx.codes.NOT_FOUND

    def _call(
        self, method: str, path: str, body: object = None, *, reason: str | None = None, fine: Sequence[int] = ()
    ) -> httpx.Response:
        try:
            headers = {"X-Reason": reason} if reason else {}
            answer = self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise self._away(error) from None
        if answer.is_error and answer.status_code not in fine:
            raise self._refused(method, path, answer)
        return answer

    def _away(self, error: httpx.HTTPError) -> ManagementError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, SSLCertVerificationError):
                return ManagementError(
                    f"{self._where}: the certificate is not to be trusted: {cause.verify_message};"
                    " name its authority in RELAIS_AMQP_CA_FILE"
                )
            cause = cause.__cause__ or cause.__context__
        told = f"{self._where}: RabbitMQ’s management API cannot be reached: {type(error).__name__}"
        return ManagementError(told, configured=False)

    def _refused(self, method: str, path: str, answer: httpx.Response) -> ManagementError:
        told = _reason(answer)
        if answer.status_code == httpx.codes.UNAUTHORIZED and told.startswith("Not "):
            return ManagementError(f"{self._where}: the account {self._user} is no administrator of RabbitMQ")
        if answer.status_code == httpx.codes.UNAUTHORIZED and "access refused" not in told.lower():
            return ManagementError(f"{self._where}: wrong user or password ({self._user})")
        if answer.status_code == httpx.codes.NOT_FOUND and path == "/definitions":
            return ManagementError(f"{self._where}: there is no management API of RabbitMQ")
        gone = answer.is_server_error
        told = f"{self._where}: {method} {path} was refused: {answer.status_code} {told}".rstrip()
        return ManagementError(told, configured=not gone)


@contextmanager
def opened(url: str, password: str | None = None, ca_file: Path | None = None) -> Iterator[Management]:
    """A client, closed at the end."""
    client = Management(url, password, ca_file)
    try:
        yield client
    finally:
        client.close()


def _reason(answer: httpx.Response) -> str:
    """What RabbitMQ says of an error; it never quotes a password."""
    try:
        return str(answer.json().get("reason", ""))
    except (ValueError, AttributeError):
        return ""


def _path(name: str) -> str:
    return quote(name, safe="")
