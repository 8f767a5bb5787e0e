"""Sessions of people at a service's pages: opened by an invitation, held by a cookie, ended by logout or by time.

The cookie holds 256 random bits and the database only their SHA-256: who reads the table can be nobody.
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql
from werkzeug.datastructures import Headers
from werkzeug.http import dump_cookie

from services.chassis.addresses import LOCAL_HOSTS
from services.chassis.app import App, Work
from services.chassis.errors import Rejected
from services.chassis.settings import Settings
from services.chassis.tables import invitations_used, sessions
from services.chassis.tokens import Caller, Invitation

# A working day.
SESSION_VALID = timedelta(hours=12)
_ID_BYTES = 32
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def cookie_name(settings: Settings, service: str) -> str:
    """One for each service: cookies do not know ports, and one origin may serve several services.

    Off localhost it begins with `__Host-`: browsers take such a cookie from this very host only, and encrypted.
    """
    return f"{'__Host-' if _leaves_the_machine(settings, service) else ''}relais_{service}"


def cookie(settings: Settings, service: str, value: str) -> str:
    """The Set-Cookie header by which a browser keeps a session's cookie, or forgets it when `value` is empty."""
    return kept(cookie_name(settings, service), value, SESSION_VALID, settings, service)


def kept(name: str, value: str, valid: timedelta, settings: Settings, service: str) -> str:
    """The Set-Cookie header by which a browser keeps something to itself and this host, or forgets it when empty."""
    secure, max_age = _leaves_the_machine(settings, service), valid if value else timedelta(0)
    return dump_cookie(name, value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="Lax")


def _leaves_the_machine(settings: Settings, service: str) -> bool:
    return urlsplit(settings.url(service)).hostname not in LOCAL_HOSTS


def is_used(connection: Connection, invitation: Invitation) -> bool:
    """Whether an invitation has opened a session already."""
    found = select(invitations_used.c.jti).where(invitations_used.c.jti == invitation.jti)
    return connection.scalar(found) is not None


def open_by(work: Work, invitation: Invitation) -> str | None:
    """Use an invitation up and open a session; the cookie's value, or None when the invitation was used before.

    Of two at once, the second waits for the first's commit.
    """
    use = postgresql.insert(invitations_used).values(jti=invitation.jti, used_at=work.now).on_conflict_do_nothing()
    if work.execute(use.returning(invitations_used.c.jti)).scalar() is None:
        return None
    return open_for(work, Caller(invitation.role, invitation.org, _subject(invitation)))


def open_for(work: Work, caller: Caller) -> str:
    """Open a session for somebody who has shown who they are; the cookie's value."""
    value = secrets.token_urlsafe(_ID_BYTES)
    work.insert(
        sessions,
        id_hash=_hash(value),
        role=caller.role,
        org=caller.org,
        subject=caller.sub,
        opened_at=work.now,
        expires_at=work.now + SESSION_VALID,
    )
    return value


def find(app: App, value: str | None) -> Caller | None:
    """Whose session a cookie's value is; None when it is nobody's, or no longer. Raises Unavailable."""
    if not value:
        return None
    columns = (sessions.c.role, sessions.c.org, sessions.c.subject)
    statement = select(*columns).where(sessions.c.id_hash == _hash(value), sessions.c.expires_at > app.clock.now())
    with app.read() as connection:
        row = connection.execute(statement).first()
    return Caller(row.role, row.org, row.subject) if row else None


def is_of(app: App, value: str | None, invitation: Invitation) -> bool:
    """Whether a cookie's value is the open session that this very invitation opened. Raises Unavailable."""
    caller = find(app, value)
    return caller is not None and caller.sub == _subject(invitation)


def _subject(invitation: Invitation) -> str:
    return f"invitation:{invitation.jti}"


def close(work: Work, value: str | None) -> None:
    """End a session, wherever its cookie went meanwhile."""
    if value:
        work.execute(delete(sessions).where(sessions.c.id_hash == _hash(value)))


def _hash(value: str) -> bytes:
    return sha256(value.encode(errors="replace")).digest()


def refuse_other_sites(method: str, headers: Headers, settings: Settings, service: str) -> None:
    """Refuse what another site makes a visitor's browser send. Raises Rejected (403).

    As Go's `http.CrossOriginProtection`: browsers say in `Sec-Fetch-Site` where a request comes from, older ones and
    those on plain HTTP in `Origin`. Stricter in two ways: `Origin` must be wholly ours, scheme included, and a request
    with neither header is refused, since nobody but a browser has a session.
    """
    if method in _SAFE_METHODS:
        return
    site = headers.get("Sec-Fetch-Site")
    if site is None:
        own = urlsplit(settings.url(service))
        allowed = headers.get("Origin", "").lower() == f"{own.scheme}://{own.netloc}".lower()
    else:
        allowed = site in {"same-origin", "none"}
    if not allowed:
        detail = "Cette demande ne vient pas d’une page de ce service\u00a0: rien n’a été fait. Rouvrez la page."
        raise Rejected("cross-site", detail, status=403)
