"""A referral as its reader meets it on the pages: in words' reach, with what may be done, and its whole trail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, select

from services.chassis.app import App
from services.chassis.errors import not_found
from services.chassis.tokens import Caller
from services.contracts.codes import ReferralState
from services.network import Network
from services.network.schema import NamedContact
from services.referral import queries, steps
from services.referral.domain import life
from services.referral.domain.life import Side
from services.referral.forms import AnswerView, ReferralView
from services.referral.tables import history, referrals


class Passed(NamedTuple):
    """A recipient who had the person before, why no more, and who came next; `at` is when."""

    who: str
    state: str
    reason: str | None
    at: datetime
    to: str


class Told(NamedTuple):
    """A step of a referral, as it is told: who, what, and the answer that it came by. `to`: to whom it left."""

    at: datetime
    who: str
    state: str
    event: str | None
    reason: str | None
    again: bool
    to: str | None
    answer: AnswerView | None


@dataclass(frozen=True)
class Card:
    """A referral as its reader meets it. `recipient` and `site` are names; `owner` is who owes the next action.

    `passed`, for whoever sent it, are those who had the person before; `began` is when the first of them got it. `case`
    is the address of the page of the person's case, where this reader has one.
    """

    view: ReferralView
    side: Side
    late: bool
    recipient: str
    site: str
    site_address: str | None
    sender: str | None
    owner: str | None
    contact: NamedContact | None
    possible: frozenset[ReferralState]
    answer_id: str
    began: datetime
    case: str | None
    passed: tuple[Passed, ...] = ()
    trail: tuple[Told, ...] = ()

    @property
    def why(self) -> str | None:
        """The reason or outcome of its end, where an answer told it."""
        last = self.view.answers[-1] if self.view.answers else None
        return last.reason if last and last.status == self.view.state else None

    @property
    def appointment(self) -> AnswerView | None:
        """The last answer that told of an appointment."""
        return next((each for each in reversed(self.view.answers) if each.appointment), None)

    @property
    def last_note(self) -> AnswerView | None:
        """The last answer with a note."""
        return next((each for each in reversed(self.view.answers) if each.note), None)


def name_of(org: str, network: Network) -> str:
    """What the network files call an organisation; its id where they do not know it."""
    found = network.partner(org) or network.site(org)
    return found.name if found else org


class Reader:
    """Who reads, in one transaction."""

    def __init__(self, caller: Caller, app: App, network: Network, connection: Connection) -> None:
        self._caller, self._app, self._network, self._connection = caller, app, network, connection

    def one(self, referral_id: UUID) -> Card:
        """A referral with its trail. Raises Rejected (404) where the caller has nothing to do with it."""
        found = self._connection.execute(queries.ROWS.where(referrals.c.id == referral_id)).first()
        if found is None or queries.side_of(found, self._caller) is None:
            raise not_found("Aucune orientation de ce numéro ne vous concerne.")
        return self.cards([found], trail=True)[0]

    def cards(self, rows: Sequence[Row[Any]], *, trail: bool = False) -> list[Card]:
        """Referrals that concern the caller, in the order of the rows."""
        views = queries.read(rows, self._caller, self._connection, self._app)
        followed = [row for row in rows if row.previous and queries.side_of(row, self._caller) is Side.SENDER]
        before = self._before(followed)
        return [self._card(row, view, before, trail=trail) for row, view in zip(rows, views, strict=True)]

    def _card(self, row: Row[Any], view: ReferralView, before: Mapping[UUID, Row[Any]], *, trail: bool) -> Card:
        side = queries.side_of(row, self._caller) or Side.SENDER
        site, partner = self._network.site(row.site), self._network.partner(row.partner)
        chain = _chain(row, before)
        return Card(
            view=view,
            side=side,
            late=bool(view.next and (view.next.overdue or row.reminders or row.escalations)),
            recipient=self._name(row.partner),
            site=self._name(row.site),
            site_address=site.address if site else None,
            sender=self._name(row.sender) if row.sender else None,
            owner=self._name(view.next.owner) if view.next else None,
            contact=partner.contact if partner and side is Side.SENDER else None,
            possible=frozenset(life.possible(side, ReferralState(row.state))),
            answer_id=f"page:{self._app.ids.new_text()}",
            began=chain[0].opened_at if chain else row.opened_at,
            case=self._case_page(view, side),
            passed=tuple(self._passed(left, to) for left, to in zip(chain, [*chain[1:], row], strict=False)),
            trail=tuple(self._trail([*chain, row], view)) if trail else (),
        )

    def _case_page(self, view: ReferralView, side: Side) -> str | None:
        """Reporting's, for an agent of the site that knows the case and for the recipient while it is open."""
        reporting = self._app.settings.url("reporting")
        if self._caller.role == "agent" and view.case:
            return f"{reporting}/dossiers/{view.case}"
        if self._caller.role == "partner" and side is Side.RECIPIENT and view.state in life.OPEN:
            return f"{reporting}/orientations/{view.referral_id}/dossier"
        return None

    def _passed(self, left: Row[Any], to: Row[Any]) -> Passed:
        return Passed(self._name(left.partner), left.state, left.why, to.opened_at, self._name(to.partner))

    def _before(self, rows: Sequence[Row[Any]]) -> dict[UUID, Row[Any]]:
        """All that these referrals took the place of, with why each was left."""
        if not rows:
            return {}
        first = queries.ROWS.where(referrals.c.id.in_([row.previous for row in rows])).cte(recursive=True)
        chain = first.union(queries.ROWS.join(first, referrals.c.id == first.c.previous))
        why = select(history.c.reason).where(
            history.c.referral_id == chain.c.id, history.c.state == chain.c.state, history.c.event.is_(None)
        )
        found = select(chain, why.order_by(history.c.step.desc()).limit(1).scalar_subquery().label("why"))
        return {row.id: row for row in self._connection.execute(found)}

    def _trail(self, rows: Sequence[Row[Any]], view: ReferralView) -> Iterator[Told]:
        """Every step of a referral, and of those that it took the place of.

        That it was handed on is told by the next one's sending: a partner must not learn to whom.
        """
        views = [*queries.read(rows[:-1], self._caller, self._connection, self._app), view]
        said = {(each.referral_id, answer.at): answer for each in views for answer in each.answers}
        by_id, order = {row.id: row for row in rows}, [row.id for row in rows]
        found = self._connection.execute(select(history).where(history.c.referral_id.in_(by_id))).all()
        states: dict[UUID, str] = {}
        # One is refused and the next is sent in the same moment.
        for each in sorted(found, key=lambda each: (order.index(each.referral_id), each.step)):
            row, again = by_id[each.referral_id], states.get(each.referral_id) == each.state
            states[each.referral_id] = each.state
            # How long a person thought it over is not whom it is addressed to then to know.
            awaited = each.state == ReferralState.AWAITING_AGREEMENT and row.partner == self._caller.org
            if each.event == "rerouted" or awaited:
                continue
            yield Told(
                at=each.at,
                who=self._who(each.by),
                state=each.state,
                event=each.event,
                reason=each.reason,
                again=again,
                to=self._name(row.partner) if each.step == 1 and row.partner != self._caller.org else None,
                answer=said.get((row.id, each.at)) if each.event is None else None,
            )

    def _who(self, org: str) -> str:
        if org == steps.SYSTEM:
            return "Relais"
        return "Vous" if org == self._caller.org else self._name(org)

    def _name(self, org: str) -> str:
        return name_of(org, self._network)


def _chain(row: Row[Any], before: Mapping[UUID, Row[Any]]) -> list[Row[Any]]:
    """What a referral took the place of, the first first."""
    found: list[Row[Any]] = []
    previous = row.previous
    while previous in before:
        found.insert(0, before[previous])
        previous = before[previous].previous
    return found
