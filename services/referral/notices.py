"""Tells partners by mail that something waits, and a partner's named contact that it is left without an answer.

A mail goes through many hands, lies in many boxes and is forwarded: it says how many, how late, and where to look. It
holds no referral's id, no need, no site, no date of a person's life, nothing that was written; whoever may know more
logs in. How far a partner has been told is a mark in the ledger, which moves once the mail server has taken the mail:
a crash between the two sends it again.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Row,
    Select,
    Uuid,
    cast,
    delete,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql

from services.chassis import logs, mail, outbox
from services.chassis.app import App
from services.chassis.tables import marks
from services.chassis.tables import outbox as ledger
from services.contracts import referral as events
from services.contracts.codes import ReferralState
from services.network import Network
from services.network.schema import Partner
from services.referral import queries
from services.referral.domain import life
from services.referral.domain.words import NBSP, counted, day
from services.referral.tables import referrals

EVERY_SECONDS = 60
# Between two digests to a partner; and after a mail that the server refused, whichever it was.
REST = timedelta(hours=1)
# The first for whoever watches the inbox, the second for the named contact. A partner's id has no dot.
_DIGEST, _CALL = "mail.", "call."
# The other mark of each: until when nothing is sent, in Unix seconds.
_REST = ".rest"
_LOCK, _KEY = text("SELECT pg_try_advisory_xact_lock(:key)"), 0x4D41494C
_ALIVE = text("SELECT 1")
_NEW, _REMINDED = events.ReferralSent.TYPE, events.ReferralReminded.TYPE
_BACK = (events.ReferralWithdrawn.TYPE, events.ReferralVoided.TYPE)
_EXPIRED = events.ReferralExpired.TYPE
# What was taken back or has run out is told in any case; the others only while an answer is still waited for.
_ENDS = (*_BACK, _EXPIRED)
_ROW = referrals.c

log = logs.get(__name__)


class Box(NamedTuple):
    """Who is told of what: the mark that says how far, the partner, the addresses."""

    mark: str
    partner: Partner
    to: tuple[str, ...]


class Notice(NamedTuple):
    """A mail without its addresses."""

    subject: str
    text: str


def send(app: App, network: Network) -> int:
    """One round: how many mails were taken. Nothing without RELAIS_SMTP_URL. Raises Unavailable.

    One replica at a time, by a lock on a connection that does nothing else; none is held while the server is waited for
    but that. A server that is away ends the round, and what it did not take waits for the next.
    """
    if app.settings.smtp_url is None:
        return 0
    taken = 0
    with app.read() as held:
        if not held.scalar(_LOCK, {"key": _KEY}):
            return 0
        for box in _ready(app, network):
            held.execute(_ALIVE)
            outcome = _tell(box, app)
            if outcome and outcome.away:
                break
            taken += bool(outcome and outcome.taken)
    return taken


def _boxes(network: Network) -> Iterator[Box]:
    for partner in network.partners:
        if partner.notify:
            yield Box(_DIGEST + partner.id, partner, partner.notify)
        if partner.contact and partner.contact.email:
            yield Box(_CALL + partner.id, partner, (partner.contact.email,))


def _ready(app: App, network: Network) -> list[Box]:
    """Whose ledger goes on beyond the mark, and who may be written to now. Whoever is new is told from now on."""
    boxes = {box.mark: box for box in _boxes(network)}
    with app.read() as connection:
        ours = or_(marks.c.name.startswith(_DIGEST), marks.c.name.startswith(_CALL))
        known = {
            row.name: row.position for row in connection.execute(select(marks.c.name, marks.c.position).where(ours))
        }
        if new := sorted(boxes.keys() - known.keys()):
            end = connection.scalar(select(func.max(ledger.c.position))) or 0
            fresh = postgresql.insert(marks).values([{"name": mark, "position": end} for mark in new])
            connection.execute(fresh.on_conflict_do_nothing())
        if left := {name for name in known if name.removesuffix(_REST) not in boxes}:
            connection.execute(delete(marks).where(marks.c.name.in_(left)))
        now = app.clock.now().timestamp()
        rested = [mark for mark in boxes if known.get(mark + _REST, 0) <= now]
        # One look into an index for each, however long the ledger is.
        beyond = (ledger.c.recipient == func.split_part(marks.c.name, ".", 2)) & (ledger.c.position > marks.c.position)
        busy = select(marks.c.name).where(marks.c.name.in_(rested), select(ledger.c.position).where(beyond).exists())
        return [boxes[mark] for mark in connection.scalars(busy.order_by(marks.c.name))]


def _tell(box: Box, app: App) -> mail.Outcome | None:
    """Write the mail that is due and move the mark; None where there was nothing to tell."""
    with app.read() as connection:
        mark = outbox.position_of(connection, box.mark)
        last = connection.scalar(select(func.max(ledger.c.position)).where(ledger.c.recipient == box.partner.id)) or 0
        write = _digest if box.mark.startswith(_DIGEST) else _call
        notice = write(box.partner, connection, _Span(mark, last), app)
    if notice is None:
        _move(box, last, None, app)
        return None
    outcome = mail.send(app.settings, box.to, notice.subject, notice.text)
    came_of_it = "sent" if outcome.taken else "failed" if outcome.away else "refused"
    app.metrics.count("relais_mails", "Notices by mail.", outcome=came_of_it)
    if not outcome.taken:
        facts = {"partner": box.partner.id, "reason": outcome.reason}
        log.warning("mail server fails" if outcome.away else "mail refused", **facts)
    if outcome.refused:
        log.warning("mail address refused", partner=box.partner.id, addresses=outcome.refused)
    if outcome.taken:
        _move(box, last, app.clock.now() + REST if write is _digest else None, app)
    elif not outcome.away:
        _move(box, mark, app.clock.now() + REST, app)
    return outcome


def _move(box: Box, position: int, rest_until: datetime | None, app: App) -> None:
    """Forward only, since a replica that was frozen may come late."""
    with app.read() as connection:
        further = (marks.c.name == box.mark) & (marks.c.position < position)
        connection.execute(update(marks).where(further).values(position=position))
        if rest_until:
            outbox.move(connection, box.mark + _REST, int(rest_until.timestamp()))


class _Span(NamedTuple):
    """A part of the ledger: after `mark`, up to `last`."""

    mark: int
    last: int

    def told(self, partner: str, kinds: Collection[str], *columns: Any) -> Select[Any]:  # noqa: ANN401 - any columns
        """These of what it tells of the referrals that are addressed to a partner; not of those that it sent."""
        named = cast(func.json_extract_path_text(cast(ledger.c.body, JSON), "data", "referral_id"), Uuid)
        return (
            select(*columns)
            .join_from(ledger, referrals, named == _ROW.id)
            .where(ledger.c.recipient == partner, ledger.c.position > self.mark, ledger.c.position <= self.last)
            .where(ledger.c.type.in_(kinds), _ROW.partner == partner)
        )


def _digest(partner: Partner, connection: Connection, span: _Span, app: App) -> Notice | None:
    """What is new, and what is open: `late` as the inbox counts it. What it has answered meanwhile is not told."""
    kinds = (_NEW, _REMINDED, *_ENDS)
    found = span.told(partner.id, kinds, ledger.c.type, func.count(_ROW.id.distinct()))
    found = found.where(or_(ledger.c.type.in_(_ENDS), _ROW.state.in_(life.UNANSWERED))).group_by(ledger.c.type)
    told: dict[str, int] = {row[0]: row[1] for row in connection.execute(found)}
    if not told:
        return None
    late = queries.is_late(app.clock.now())
    unanswered = _ROW.state.in_(life.UNANSWERED)
    counts = select(func.count(), _number(late), _number(unanswered))
    standing = counts.where(_ROW.partner == partner.id, _ROW.state.in_(life.OPEN & life.VISIBLE_TO_PARTNER))
    open_, overdue, waiting = connection.execute(standing).one()
    lines = [
        _line(told.get(_NEW, 0), "nouvelle orientation", "nouvelles orientations"),
        _line(told.get(_REMINDED, 0), "orientation relancée, sans réponse", "orientations relancées, sans réponse"),
        _line(sum(told.get(kind, 0) for kind in _BACK), "orientation retirée", "orientations retirées"),
        _line(told.get(_EXPIRED, 0), "orientation expirée", "orientations expirées"),
    ]
    body = f"Pour {_one_line(partner.name)}{NBSP}:\n\n{''.join(lines)}\n"
    body += f"En tout, {counted(open_, 'orientation ouverte', 'orientations ouvertes')}, dont {overdue} en retard.\n"
    subject = "du nouveau dans vos orientations"
    if waiting:
        subject = counted(waiting, "orientation vous attend", "orientations vous attendent")
    return _notice(subject, body, app)


def _call(partner: Partner, connection: Connection, span: _Span, app: App) -> Notice | None:
    """Which of those that the contact is called in for are still where they were, and since when."""
    kinds = (events.ReferralEscalated.TYPE,)
    found = span.told(partner.id, kinds, _ROW.id, _ROW.state, _ROW.since).distinct()
    rows = connection.execute(found.where(_ROW.state.in_(life.OPEN), _ROW.escalations > 0)).all()
    if not rows:
        return None
    silent = [row for row in rows if ReferralState(row.state) in life.UNANSWERED]
    lines = [
        _since(silent, "sans réponse", app),
        _since([row for row in rows if row not in silent], "sans nouvelles", app),
    ]
    assert partner.contact
    body = f"Bonjour {_one_line(partner.contact.name)},\n\nvous êtes la personne à appeler pour "
    body += f"{_one_line(partner.name)}.\n\n{''.join(lines)}"
    how = "réponse" if silent else "nouvelles"
    subject = f"{counted(len(rows), 'orientation reste', 'orientations restent')} sans {how}"
    return _notice(subject, body, app)


def _since(rows: list[Row[Any]], how: str, app: App) -> str:
    if not rows:
        return ""
    since = day(min(row.since for row in rows), app.clock.now())
    if len(rows) == 1:
        return f"Une orientation reste {how} depuis le {since}.\n"
    return f"{counted(len(rows), 'orientation')} restent {how}, la plus ancienne depuis le {since}.\n"


def _notice(subject: str, body: str, app: App) -> Notice:
    link = f"Votre boîte de réception{NBSP}: {app.settings.url('referral')}/\n"
    why = f"Un message peut être lu par d’autres que vous{NBSP}: celui-ci ne dit donc rien des personnes.\n"
    return Notice(f"Relais{NBSP}: {subject}", f"{body}\n{link}\n{why}")


def _number(which: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(which)


def _line(number: int, one: str, many: str) -> str:
    return f"- {counted(number, one, many)}\n" if number else ""


def _one_line(name: str) -> str:
    """A name from a network file may have line breaks."""
    return " ".join(name.split())
