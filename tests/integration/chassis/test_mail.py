"""Mails by a real SMTP server on a real socket, with real certificates."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.chassis import mail
from services.chassis.settings import Settings
from tests.support.certificates import Authority
from tests.support.rabbit import free_ports
from tests.support.smtp import FAR, PASSWORD, USER, MailServer, mail_server

SUBJECT, TEXT = "Relais : l’été à Roye", "Bonjour,\n\nl’agence « Été » — à Roye.\n.\nFin.\n"
TO = ("accueil@partenaire.example", "o'brien@partenaire.example")


def settings(server: MailServer, url: str | None = None, password: Path | None = None) -> Settings:
    """Those that lead to a server."""
    return Settings(smtp_url=url or server.url, mail_from="relais@poste.example", smtp_password_file=password)


@pytest.fixture
def server() -> Iterator[MailServer]:
    """Lend a server on this very machine, which speaks no TLS."""
    with mail_server() as made:
        yield made


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """Write the user's password into a file, with the line's end that an editor leaves."""
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n", encoding="utf-8")
    return path


def test_a_mail_arrives_as_it_was_written(server: MailServer) -> None:
    """Accents and apostrophes in its subject and text; for each address; no other header tells who or where."""
    assert mail.send(settings(server), TO, SUBJECT, TEXT) == mail.Outcome(taken=True)
    (arrived,), (envelope,) = server.mails, server.envelopes
    assert arrived["Subject"] == SUBJECT
    assert arrived.get_content().replace("\r\n", "\n") == TEXT
    assert arrived["From"] == "Relais <relais@poste.example>"
    assert (envelope.mail_from, envelope.rcpt_tos) == ("relais@poste.example", list(TO))
    assert arrived["Auto-Submitted"] == "auto-generated"
    assert arrived["Message-ID"].endswith("@poste.example>")
    assert socket.gethostname() not in str(arrived)
    assert isinstance(envelope.content, bytes)
    assert envelope.content.isascii()


@pytest.mark.parametrize("tls", ["smtp", "smtps"])
@pytest.mark.parametrize(
    ("issued_for", "trusted", "words"),
    [
        (FAR, True, ""),
        (FAR, False, "TLS: certificate refused: unable to get local issuer certificate"),
        ("elsewhere.example", True, "TLS: certificate refused: IP address mismatch"),
    ],
    ids=["trusted", "unknown authority", "another's name"],
)
def test_the_server_must_prove_who_it_is(  # noqa: PLR0913, PLR0917 - a certificate, and who trusts it
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    password: Path,
    tls: str,
    issued_for: str,
    trusted: bool,  # noqa: FBT001 - a case of the table
    words: str,
) -> None:
    """Before the password is told, and the mail; by STARTTLS as by TLS from the start."""
    authority = Authority(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_path))
    with mail_server(FAR, authority.certificate(issued_for), tls) as far:
        outcome = mail.send(settings(far, far.url_with_user, password), TO, SUBJECT, TEXT)
        if words:
            assert outcome.away
            assert words in outcome.reason
            assert (far.users, far.mails) == ([], [])
        else:
            assert outcome.taken
            assert (far.users, far.encrypted) == ([USER], [True])


def test_elsewhere_nothing_goes_in_the_clear() -> None:
    """A server, or somebody in between, that offers no STARTTLS gets nothing."""
    with mail_server(FAR) as far:
        outcome = mail.send(settings(far), TO, SUBJECT, TEXT)
        assert outcome.away
        assert "STARTTLS" in outcome.reason
        assert far.mails == []


def test_a_wrong_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: Path) -> None:
    """The reason has the number, and neither user nor password; a file that is gone is told as such."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_path))
    with mail_server(FAR, authority.certificate(FAR)) as far:
        known = settings(far, far.url_with_user, password)
        password.write_text("autre", encoding="utf-8")
        refused = mail.send(known, TO, SUBJECT, TEXT)
        assert refused == mail.Outcome(taken=False, reason="SMTPAuthenticationError: SMTP 535", away=True)
        password.unlink()
        unread = mail.send(known, TO, SUBJECT, TEXT)
        assert (unread.away, unread.reason) == (True, "RELAIS_SMTP_PASSWORD_FILE cannot be read")


def test_a_server_that_is_away(server: MailServer) -> None:
    """Told as such, and nothing is raised."""
    server.stop()
    gone = mail.send(settings(server), TO, SUBJECT, TEXT)
    assert gone == mail.Outcome(taken=False, reason="cannot be reached: connection refused", away=True)


def test_a_mailbox_that_is_none(server: MailServer) -> None:
    """Whoever else it is for gets it; without anybody left it is refused, and the address is in no reason."""
    server.refused = {TO[0]}
    assert mail.send(settings(server), TO, SUBJECT, TEXT) == mail.Outcome(taken=True, refused=1)
    refused = mail.send(settings(server), TO[:1], SUBJECT, TEXT)
    assert refused == mail.Outcome(taken=False, reason="recipients refused: SMTP 550")
    server.answer = "554 spam from relais@poste.example"
    assert mail.send(settings(server), TO, SUBJECT, TEXT) == mail.Outcome(taken=False, reason="mail refused: SMTP 554")


@pytest.mark.parametrize("broken", ["\r\n", "\n", "\r"])
def test_no_line_is_added_to_a_mails_head(server: MailServer, broken: str) -> None:
    """By a subject or an address: nothing leaves."""
    for to, subject in (
        (TO, f"Bonjour{broken}Bcc: a@b.example"),
        ((f"a@b.example{broken}Bcc: c@d.example",), "Bonjour"),
    ):
        with pytest.raises(ValueError, match=r"."):
            mail.send(settings(server), to, subject, TEXT)
    assert server.envelopes == []


_HANGS = """
import services.chassis.green
import threading, time, sys
from services.chassis import mail
from services.chassis.settings import Settings

mail.SECONDS = float(sys.argv[2])
beats = []
def beat():
    while True:
        beats.append(None)
        time.sleep(0.02)
threading.Thread(target=beat, daemon=True).start()
begun = time.monotonic()
settings = Settings(smtp_url=sys.argv[1], mail_from="relais@poste.example")
outcome = mail.send(settings, ["a@partenaire.example"], "Bonjour", "Texte")
print(outcome.taken, outcome.away, len(beats) > 20 if not outcome.taken else True, time.monotonic() - begun < 10)
"""


def green(url: str, seconds: float, **environment: str) -> str:
    """Send a mail as a service does, on green threads; (taken, away, whether others went on, within its time)."""
    done = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", _HANGS, url, str(seconds)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()


def drip(listener: socket.socket) -> None:
    """Greet a client, a byte at a time and without end: no wait for the next one is long."""
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        while True:
            connection.sendall(b"2")
            time.sleep(0.1)


@pytest.mark.parametrize("drips", [False, True], ids=["says nothing", "drips"])
def test_a_server_that_hangs_holds_nobody_up(drips: bool) -> None:  # noqa: FBT001 - a case of the table
    """It takes the connection and says nothing whole: other green threads go on, and the mail is given up in time."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)) as listener:
        if drips:
            threading.Thread(target=drip, args=(listener,), daemon=True).start()
        assert green(f"smtp://127.0.0.1:{port}", 1.0) == "False True True True"


def test_green_threads_speak_tls(tmp_path: Path) -> None:
    """STARTTLS in a process as the services are."""
    authority = Authority(tmp_path)
    with mail_server(FAR, authority.certificate(FAR)) as far:
        assert green(far.url, 20.0, SSL_CERT_FILE=str(authority.ca_path)) == "True False True True"
        assert far.encrypted == [True]
