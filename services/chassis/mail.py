"""Sends a text by mail, through one SMTP server whose certificate and name are checked."""

import smtplib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from eventlet import Timeout

from services.chassis import tls
from services.chassis.addresses import LOCAL_HOSTS
from services.chassis.settings import Settings
from services.chassis.webhook_post import words_of

# For everything from the look-up of the name to the server's word that it has the mail.
SECONDS = 15.0
_WRAPPED, _UPGRADED = 465, 587


class Outcome(NamedTuple):
    """What came of a mail: `away` when the server would take no other either.

    `reason` names no address and quotes nothing of what the server said; `refused` counts recipients of a mail that
    others get.
    """

    taken: bool
    reason: str = ""
    away: bool = False
    refused: int = 0


_TOO_SLOW = Outcome(taken=False, reason=f"no answer within {SECONDS:g} s", away=True)


def send(settings: Settings, to: Sequence[str], subject: str, text: str) -> Outcome:
    """Hand one mail to the server of the settings. Never raises for what the network or the server does.

    Raises ValueError for a line break in the subject or an address.
    """
    assert settings.smtp_url
    assert settings.mail_from
    mail = _written(settings.mail_from, to, subject, text)
    judged: list[Outcome] = []
    limit = Timeout(SECONDS)
    try:
        with _connected(urlsplit(settings.smtp_url)) as server:
            _log_in(server, settings)
            judged.append(Outcome(taken=True, refused=len(server.send_message(mail))))
    except Timeout as expired:
        if expired is not limit:
            raise
        judged.append(_TOO_SLOW)
    except TimeoutError:
        judged.append(_TOO_SLOW)
    except (OSError, ValueError) as error:  # smtplib's are OSErrors; a ValueError is that of an unreadable password
        judged.append(_failure(error))
    finally:
        limit.cancel()
    return judged[0]  # once it is taken, a farewell that fails changes nothing


def _written(sender: str, to: Sequence[str], subject: str, text: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = Address("Relais", addr_spec=sender)
    mail["To"] = [Address(addr_spec=each) for each in to]
    mail["Subject"] = subject
    mail["Date"] = format_datetime(datetime.now(UTC))
    # Without a domain the machine's own name would be looked up, and told.
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    # No out-of-office reply, please (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text, cte="quoted-printable")
    return mail


def _connected(where: SplitResult) -> smtplib.SMTP:
    host = where.hostname or ""
    if where.scheme == "smtps":
        return smtplib.SMTP_SSL(host, where.port or _WRAPPED, timeout=SECONDS, context=tls.context(None))
    server = smtplib.SMTP(host, where.port or _UPGRADED, timeout=SECONDS)
    if host not in LOCAL_HOSTS:
        try:
            server.starttls(context=tls.context(None))
        except BaseException:
            server.close()
            raise
    return server


def _log_in(server: smtplib.SMTP, settings: Settings) -> None:
    user = urlsplit(settings.smtp_url or "").username
    if user and settings.smtp_password_file:
        server.login(unquote(user), settings.smtp_password_file.read_text(encoding="utf-8").strip())


def _failure(error: Exception) -> Outcome:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = ", ".join(sorted({str(code) for code, _ in error.recipients.values()}))
        return Outcome(taken=False, reason=f"recipients refused: SMTP {codes}")
    if isinstance(error, smtplib.SMTPDataError):
        return Outcome(taken=False, reason=f"mail refused: SMTP {error.smtp_code}")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Outcome(taken=False, reason="the server offers no STARTTLS, no login or no SMTPUTF8", away=True)
    if isinstance(error, smtplib.SMTPResponseException):
        return Outcome(taken=False, reason=f"{type(error).__name__}: SMTP {error.smtp_code}", away=True)
    if isinstance(error, OSError) and error.filename:
        return Outcome(taken=False, reason="RELAIS_SMTP_PASSWORD_FILE cannot be read", away=True)
    return Outcome(taken=False, reason=words_of(error), away=True)
