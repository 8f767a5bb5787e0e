"""One step of a referral: its row, its history, its events; and handing it on to the next recipient."""

import json
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update

from services.chassis.app import Work
from services.contracts import consent
from services.contracts import referral as events
from services.contracts.codes import ReferralState
from services.contracts.paris import PARIS, paris_day
from services.network import Network
from services.referral import decided, queries
from services.referral.calendar import is_holiday_in
from services.referral.domain import clocks, life
from services.referral.tables import changes, history, referrals

# Who acts where nobody does: the clock.
SYSTEM = "relais"
# The line's own reason may name who was first, or why: the next recipient need not know.
_NEXT = "Destinataire suivant prévu par la table du réseau pour ce besoin, avec l’accord de la personne."
S = ReferralState


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to a referral: a change of state (`event` None), or something in it. `reason` is a code.

    `story_sufficient` is what an answer says of the story; partners are not told it back.
    """

    state: ReferralState
    by: str
    reason: str | None = None
    appointment_day: date | None = None
    event: str | None = None
    story_sufficient: bool | None = None


def clocks_of(partner: str, network: Network) -> clocks.Clocks:
    """The partner's clocks by the network files; a site, or who left the files, has those of everybody."""
    found = network.partner(partner)
    return clocks.Clocks(**vars(found.clocks)) if found else clocks.Clocks()


@lru_cache(maxsize=10_000)
def first_times(
    state: ReferralState, day: date, clock: clocks.Clocks, department: str
) -> tuple[datetime | None, datetime | None]:
    """(due, wake) of a referral that begins on that day in Paris: the same for all of a day, which are many."""
    standing = clocks.Standing(state, datetime.combine(day, time(12), PARIS))
    return times(standing, clock, department)


def times(standing: clocks.Standing, clock: clocks.Clocks, department: str) -> tuple[datetime | None, datetime | None]:
    """(due, wake) of a referral that stands there."""
    is_holiday = is_holiday_in(department)
    coming = clocks.agenda(standing, clock, is_holiday)
    return clocks.due(standing, clock, is_holiday), coming[0] if coming else None


def standing_of(row: Row[Any]) -> clocks.Standing:
    """Where a referral stands, for the clock."""
    return clocks.Standing(ReferralState(row.state), row.since, row.reminders, row.escalations)


class Moves:
    """The steps that one transaction takes."""

    def __init__(self, work: Work, network: Network) -> None:
        self.work = work
        self._network = network

    def take(self, row: Row[Any], step: Step, **more: Any) -> Row[Any]:  # noqa: ANN401 - columns
        """Write a step of a referral that is locked, tell of it, return the row as it is now; `more` changes columns.

        News restart the clock; who has received only is still owed an answer since the sending. Nobody outside is told
        of what was `never_sent`.
        """
        self.work.commit_in_order(at_once=True)
        before = ReferralState(row.state)
        values: dict[str, Any] = {"state": step.state, "step": row.step + 1, "changed_at": self.work.now, **more}
        if before is S.AWAITING_AGREEMENT:
            values["never_sent"] = step.state not in life.OPEN
        if step.event is None and step.state is not S.RECEIVED:
            values |= {"since": self.work.now, "reminders": 0, "escalations": 0}
        after = {name: values.get(name, getattr(row, name)) for name in ("since", "reminders", "escalations")}
        standing = clocks.Standing(step.state, **after)
        due_at, wake_at = times(standing, clocks_of(row.partner, self._network), row.department)
        statement = update(referrals).where(referrals.c.id == row.id)
        statement = statement.values(**values, due_at=due_at, wake_at=wake_at, change=changes.next_value())
        now = self.work.execute(statement.returning(*referrals.c)).one()
        self.work.insert(
            history,
            referral_id=row.id,
            step=now.step,
            state=now.state,
            by=step.by,
            reason=step.reason,
            at=self.work.now,
            event=step.event,
        )
        if before is S.AWAITING_AGREEMENT and step.state is S.SENT:
            tell_sent(_sent(now), self.work)
        elif step.event != "rerouted":
            self._tell(now, before, step)
        return now

    def _tell(self, row: Row[Any], before: ReferralState, step: Step) -> None:
        """Tell inside, and the partner concerned: whom it is addressed to, or who sent it to a site."""
        told = {
            "referral_id": row.id,
            "from_state": before,
            "to_state": step.state,
            "reason": step.reason,
            "appointment_day": step.appointment_day,
            "step": row.step,
        }
        kind = _event_of(step)
        self.work.emit(kind(**told, case=row.case_id, story_sufficient=step.story_sufficient))
        # What waited for an agreement, or was called back in time, no partner ever had.
        if before is not S.AWAITING_AGREEMENT and not row.never_sent:
            shown = {"need": row.need, "site": row.site, "department": row.department, "due_at": row.due_at}
            view = events.SEEN_BY_PARTNERS[kind](**told, **shown, links=queries.links_of(row.id, self.work.settings))
            self.work.emit(view, recipient=row.sender or row.partner)

    def hand_on(self, row: Row[Any], reason: str | None) -> UUID | None:
        """Send it to the next recipient that the person agreed to, after a refusal or silence; its new id, or None.

        The next recipient gets a referral of its own, with an id of its own, so that two partners cannot match their
        files. Whoever had it before, has left the network or its basket, or is not agreed to by now is passed over.
        The caller holds what people decided (`decided.hold`).
        """
        waiting = json.loads(row.fallbacks)
        if not waiting:
            return None
        tried, since = self._tried(row), decided.of(self.work, [row.case_id]).get(row.case_id, {})
        day = paris_day(self.work.now)
        for place, recipient in enumerate(waiting):
            partner = self._network.partner(recipient["partner"])
            if partner is None or partner.id in tried or not partner.in_basket(day):
                continue
            said = consent.latest([_said(recipient, row), consent.deciding(since, (partner.id, recipient["category"]))])
            reveals_health = partner.reveals_health or row.reveals_health is not False
            if said and said.covers(reveals_health=reveals_health):
                return self._send_on(row, recipient, waiting[place + 1 :], reason, said.at)
        return None

    def _tried(self, row: Row[Any]) -> set[str]:
        """Who has had it: this partner and those before it."""
        chain = select(referrals.c.partner, referrals.c.previous).where(referrals.c.id == row.id).cte(recursive=True)
        before = select(referrals.c.partner, referrals.c.previous).join(chain, referrals.c.id == chain.c.previous)
        return set(self.work.execute(select(chain.union_all(before).c.partner)).scalars())

    def _send_on(
        self, row: Row[Any], recipient: dict[str, Any], later: list[Any], reason: str | None, agreed_at: datetime
    ) -> UUID:
        next_id, partner, department = self.work.ids.new_outside(), recipient["partner"], recipient["department"]
        clock, day = clocks_of(partner, self._network), paris_day(self.work.now)
        due_at, wake_at = first_times(S.SENT, day, clock, department)
        assert due_at is not None
        bounces = row.bounces + 1
        kept = ("orientation_id", "proposal", "visit_id", "case_id", "site", "need", "reveals_health")
        self.work.execute(
            insert(referrals).values(
                **{name: getattr(row, name) for name in kept},
                id=next_id,
                reason=_NEXT,
                partner=partner,
                category=recipient["category"],
                department=department,
                fallbacks=json.dumps(later),
                state=S.SENT,
                step=1,
                due_at=due_at,
                wake_at=wake_at,
                opened_at=self.work.now,
                changed_at=self.work.now,
                since=self.work.now,
                previous=row.id,
                bounces=bounces,
                agreed_at=agreed_at,
            )
        )
        self.work.insert(
            history, referral_id=next_id, step=1, state=S.SENT, by=SYSTEM, reason=None, at=self.work.now, event=None
        )
        left = self.take(row, Step(ReferralState(row.state), SYSTEM, reason, event="rerouted"), next_id=next_id)
        self.work.emit(
            events.ReferralRerouted(
                referral_id=row.id,
                case=row.case_id,
                from_state=left.state,
                to_state=left.state,
                reason=reason,
                step=left.step,
                next_referral_id=next_id,
                partner=partner,
                category=recipient["category"],
                bounces=bounces,
            )
        )
        tell_sent(
            events.ReferralSent(
                **{name: getattr(row, name) for name in ("visit_id", "site", "need")},
                reason=_NEXT,
                referral_id=next_id,
                case=row.case_id,
                partner=partner,
                category=recipient["category"],
                department=department,
                due_at=due_at,
                step=1,
                previous=row.id,
                bounces=bounces,
            ),
            self.work,
        )
        return next_id


def _event_of(step: Step) -> type[events.ReferralMoved]:
    if step.event == "reminded":
        return events.ReferralReminded
    if step.event == "escalated":
        return events.ReferralEscalated
    return events.EVENT_INTO[step.state]


def _said(recipient: dict[str, Any], row: Row[Any]) -> consent.Decision | None:
    """What the visit said of a fallback: that the person agreed, to what being sent there tells, too; or nothing."""
    if not recipient.get("agreed"):
        return None
    told = recipient.get("agreed_at")
    return consent.Decision(given=True, sensitive=True, at=datetime.fromisoformat(told) if told else row.opened_at)


def _sent(row: Row[Any]) -> events.ReferralSent:
    """What is told of a referral that leaves once the person has agreed."""
    told = ("visit_id", "need", "partner", "category", "site", "department", "reason", "due_at", "step", "bounces")
    values = {name: getattr(row, name) for name in told}
    return events.ReferralSent(**values, referral_id=row.id, case=row.case_id, previous=row.previous)


def tell_sent(sent: events.ReferralSent, work: Work) -> None:
    """Tell inside and the partner that a referral has left for it."""
    work.emit(sent)
    links = queries.links_of(sent.referral_id, work.settings)
    view = events.PartnerReferralSent(
        referral_id=sent.referral_id,
        need=sent.need,
        site=sent.site,
        department=sent.department,
        reason=sent.reason,
        due_at=sent.due_at,
        links=links,
    )
    work.emit(view, recipient=sent.partner)
