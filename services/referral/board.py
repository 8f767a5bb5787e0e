"""The list that a partner or a site reads: its open referrals in parts and pages, and what has ended lately."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, Text, and_, case, func, or_, select

from services.chassis.app import App
from services.chassis.tokens import Caller
from services.contracts.codes import NEED_LABELS, Need, ReferralState
from services.network import Network
from services.referral import queries
from services.referral.cards import Card, Reader, name_of
from services.referral.domain import life
from services.referral.page_forms import BoardQuery
from services.referral.tables import SHOWN_TO_RECIPIENT, joined_cases, referrals

A_PAGE = 50
# What has ended is shown for so long; what the site has to take up again, unless it did.
ENDED_DAYS, AGAIN_DAYS = 30, 90
S = ReferralState
_DIGITS = 8
# Whom the site has to see again: nobody took the person on, or the agreement is missing.
_AGAIN = [*life.BOUNCED, S.FAILED, S.AWAITING_AGREEMENT]
_OLD, _NEW = referrals.alias("old"), referrals.alias("new")
_OLD_INTO, _NEW_INTO = joined_cases.alias("old_into"), joined_cases.alias("new_into")
_ROW = referrals.c


class Parts(NamedTuple):
    """How a reader's list is divided: each open referral (`mine`) is in the part that `place` numbers."""

    names: Sequence[str]
    place: ColumnElement[Any]
    mine: ColumnElement[bool]
    ended: ColumnElement[bool]
    sent: ColumnElement[bool] | None = None


@dataclass(frozen=True)
class Board:
    """A page of the list. `totals` are of all its pages; `needs` and `departments` can be chosen.

    `ended` and `sent` (by a partner, to sites) are the newest only; `done` was answered from the list just now.
    """

    now: datetime
    asked: BoardQuery
    parts: Mapping[str, list[Card]]
    totals: Mapping[str, int]
    ended: list[Card]
    sent: list[Card]
    needs: list[tuple[str, str]]
    departments: list[str]
    done: Card | None
    name: str

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-sum(self.totals.values()) // A_PAGE))


def inbox(asked: BoardQuery, caller: Caller, app: App, network: Network) -> Board:
    """What is addressed to a partner, what it sent to sites, and what has ended lately."""
    now = app.clock.now()
    lately = _ROW.changed_at > now - timedelta(days=ENDED_DAYS)
    parts = Parts(
        names=("late", "to-answer", "at-work"),
        place=case((queries.is_late(now), 0), (_ROW.state.in_(life.UNANSWERED), 1), else_=2),
        mine=and_(_ROW.partner == caller.org, _ROW.state.in_(life.OPEN & life.VISIBLE_TO_PARTNER)),
        ended=and_(_ROW.partner == caller.org, _ROW.state.not_in(life.OPEN), SHOWN_TO_RECIPIENT, lately),
        sent=and_(_ROW.sender == caller.org, or_(_ROW.state.in_(life.OPEN), lately)),
    )
    return _read(parts, asked, caller, app, network)


def follow_up(asked: BoardQuery, caller: Caller, app: App, network: Network) -> Board:
    """What became of the people whom a site sent, whom partners sent to it, and what has ended lately.

    The site has to see somebody again whom nobody took on, unless it has oriented them anew since.
    """
    now, here = app.clock.now(), _ROW.site == caller.org
    given_up = and_(
        _ROW.state.in_(_AGAIN),
        _ROW.next_id.is_(None),
        _ROW.sender.is_(None),
        _ROW.changed_at > now - timedelta(days=AGAIN_DAYS),
        _ROW.id.not_in(_anew(caller.org, now)),
    )
    settled = or_(_ROW.state.in_([S.COMPLETED, S.WITHDRAWN, S.ENTERED_IN_ERROR]), _ROW.partner == caller.org)
    parts = Parts(
        names=("again", "expected", "waiting", "at-work"),
        place=case(
            (or_(_ROW.state == S.AWAITING_AGREEMENT, _ROW.state.not_in(life.OPEN)), 0),
            (_ROW.partner == caller.org, 1),
            (_ROW.state.in_(life.UNANSWERED), 2),
            else_=3,
        ),
        mine=and_(here, or_(_ROW.state.in_(life.OPEN - {S.AWAITING_AGREEMENT}), given_up)),
        ended=and_(here, settled, _ROW.state.not_in(life.OPEN), _ROW.changed_at > now - timedelta(days=ENDED_DAYS)),
    )
    return _read(parts, asked, caller, app, network)


def _anew(site: str, now: datetime) -> Select[tuple[UUID]]:
    """What ended without a partner, and whose person the site has oriented for the same need since.

    A list of its own, since beside an OR the server would look for each row in all others.
    """
    old, new, recently = _OLD.c, _NEW.c, now - timedelta(days=AGAIN_DAYS)
    ended = select(old.id).where(old.site == site, old.changed_at > recently)
    ended = ended.where(old.state.in_(_AGAIN), new.site == site, new.opened_at > recently)
    later = (new.need == old.need) & (new.visit_id != old.visit_id) & (new.opened_at > old.changed_at)
    # A visit may name any of the cases that are one person's.
    into_old = (_OLD_INTO.c.case_id == old.case_id) & _OLD_INTO.c.joined
    into_new = (_NEW_INTO.c.case_id == new.case_id) & _NEW_INTO.c.joined
    same = func.coalesce(_NEW_INTO.c.into_case, new.case_id) == func.coalesce(_OLD_INTO.c.into_case, old.case_id)
    return ended.join(_NEW, later).outerjoin(_OLD_INTO, into_old).outerjoin(_NEW_INTO, into_new).where(same)


def _read(parts: Parts, asked: BoardQuery, caller: Caller, app: App, network: Network) -> Board:
    mine = [parts.mine, *_numbered(asked)]
    kinds = select(parts.place.label("place"), _ROW.need, _ROW.department, func.count().label("number"))
    order = ("place", _ROW.due_at.asc().nulls_last(), _ROW.change)
    listed = queries.ROWS.add_columns(parts.place.label("place")).where(*mine, *_chosen(asked)).order_by(*order)
    newest = queries.ROWS.where(*_numbered(asked), *_chosen(asked)).order_by(_ROW.change.desc()).limit(A_PAGE)
    with app.read() as connection, queries.shown_to(caller, connection):
        reader = Reader(caller, app, network, connection)
        counts = connection.execute(kinds.where(*mine).group_by("place", _ROW.need, _ROW.department)).all()
        rows = connection.execute(listed.limit(A_PAGE).offset((asked.page - 1) * A_PAGE)).all()
        found: dict[str, list[Card]] = {name: [] for name in parts.names}
        for row, card in zip(rows, reader.cards(rows), strict=True):
            found[parts.names[row.place]].append(card)
        ended = reader.cards(connection.execute(newest.where(parts.ended)).all())
        sent = [] if parts.sent is None else reader.cards(connection.execute(newest.where(parts.sent)).all())
        done = _done(asked, caller, reader, connection)
    totals: Counter[str] = Counter()
    for row in counts:
        if asked.need in {"", row.need} and asked.department in {"", row.department}:
            totals[parts.names[row.place]] += row.number
    return Board(
        now=app.clock.now(),
        asked=asked,
        parts=found,
        totals=totals,
        ended=ended,
        sent=sent,
        needs=[(need, NEED_LABELS[need]) for need in Need if need in {row.need for row in counts}],
        departments=sorted({row.department for row in counts}),
        done=done,
        name=name_of(caller.org, network),
    )


def _numbered(asked: BoardQuery) -> list[ColumnElement[bool]]:
    return [func.right(_ROW.id.cast(Text), _DIGITS) == asked.digits] if asked.number else []


def _chosen(asked: BoardQuery) -> list[ColumnElement[bool]]:
    wanted = {_ROW.need: asked.need, _ROW.department: asked.department}
    return [column == value for column, value in wanted.items() if value]


def _done(asked: BoardQuery, caller: Caller, reader: Reader, connection: Connection) -> Card | None:
    """The referral that was answered from the list just now."""
    try:
        identifier = UUID(asked.done)
    except ValueError:
        return None
    row = connection.execute(queries.ROWS.where(_ROW.id == identifier)).first()
    return reader.cards([row])[0] if row and queries.side_of(row, caller) else None
