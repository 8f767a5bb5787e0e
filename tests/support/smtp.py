"""A mail server: real SMTP on a real socket, with STARTTLS or TLS from the start; it goes away and comes back."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.rabbit import free_ports

USER, PASSWORD = "relais@poste.example", "mot de passe"
# On this machine, and yet not one of the two hosts where mails may go in the clear.
FAR = "127.0.0.2"


class MailServer:
    """Up once `start` was called. `refused` are recipients that it does not take; `answer` what it says to a mail."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        certificate: tuple[Path, Path] | None = None,
        tls: Literal["smtp", "smtps"] = "smtp",
    ) -> None:
        (self._port,) = free_ports(1)
        self._host, self._certificate, self._tls = host, certificate, tls
        self._controller: Controller | None = None
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.users: list[str] = []
        self.encrypted: list[bool] = []
        self.refused: set[str] = set()
        self.answer = "250 OK"
        self.seconds = 0.0
        self.taken: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        """Without a user."""
        return f"{self._tls}://{self._host}:{self._port}"

    @property
    def url_with_user(self) -> str:
        """With the user that it knows."""
        return self.url.replace("://", f"://{USER.replace('@', '%40')}@")

    def start(self) -> None:
        """Listen."""
        options: dict[str, Any] = {}
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, self._certificate))
            options = {"ssl_context": context} if self._tls == "smtps" else {"tls_context": context}
            # aiosmtpd does not take TLS from the start for TLS.
            options |= {"authenticator": self._authenticate, "auth_require_tls": self._tls == "smtp"}
        self._controller = Controller(self, hostname=self._host, port=self._port, **options)
        self._controller.start()

    def stop(self) -> None:
        """Be away: connections are refused."""
        if self._controller:
            self._controller.stop()
            self._controller = None

    def to(self, address: str) -> list[EmailMessage]:
        """What came for one of these addresses."""
        return [mail for mail in self.mails if address in str(mail["To"])]

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        user, password = data.login.decode(), data.password.decode()
        self.users.append(user)
        return AuthResult(success=(user, password) == (USER, PASSWORD), handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient or not."""
        if address in self.refused:
            return f"550 no such mailbox {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Take a mail or not."""
        await asyncio.sleep(self.seconds)
        if not self.answer.startswith("250"):
            return self.answer
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.encrypted.append(session.ssl is not None or self._tls == "smtps")
        self.envelopes.append(envelope)
        self.mails.append(mail)
        self.taken()
        return self.answer


@contextmanager
def mail_server(*given: Any) -> Iterator[MailServer]:  # noqa: ANN401 - as the server's
    """A mail server that is up, until the end."""
    server = MailServer(*given)
    server.start()
    try:
        yield server
    finally:
        server.stop()
