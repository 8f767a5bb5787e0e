"""Referral without its processes: its handlers on a real database, a clock that tests move, the demo networks."""

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, select

from services.chassis.app import App, D
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.settings import Settings
from services.chassis.tables import outbox
from services.chassis.tokens import Caller
from services.chassis.vault import Vault
from services.contracts.codes import Category, Need
from services.contracts.envelope import CloudEvent
from services.contracts.intake import AgreementGiven, AgreementWithdrawn, CasesMerged, CasesUnmerged
from services.contracts.orientation import OrientationProposed, Proposal, Recipient
from services.network import Network, load
from services.referral import agreements, deadlines, handlers, toward_sites
from services.referral import joined as merging
from services.referral.forms import AnswerForm, ReferralForm, WithdrawForm
from services.referral.tables import history, referrals

# A Friday, 10:30 in Paris.
MORNING = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SITE = "fs-moreuil"
AGENT, COUNTER = Caller("agent", SITE, "agent:x"), Caller("site", SITE, "site:x")
NETWORK = load(Path(__file__).parents[2] / "deploy" / "networks")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HELPS, THEN = "mission-locale-santerre", "france-travail"
RECIPIENTS = (Recipient(partner=HELPS, category=Category.LOCAL, department="80"),
              Recipient(partner=THEN, category=Category.OPERATOR, department="80"))  # fmt: skip


class MovedClock(Clock):
    """Stands still until it is moved."""

    def __init__(self, at: datetime = MORNING) -> None:
        self.at = at

    def now(self) -> datetime:
        """The moment it was moved to."""
        return self.at

    def move(self, **by: float) -> None:
        """Move on by so many days, and so on."""
        self.at += timedelta(**by)


def partner(org: str) -> Caller:
    """Somebody of a partner."""
    return Caller("partner", org, f"partner:{org}")


def proposed(
    *recipients: Recipient, agreed: tuple[str, ...] = ("local", "operator"), need: Need = Need.CHERCHER_UN_EMPLOI
) -> OrientationProposed:
    """What orientation proposes to a person of Moreuil: the Mission locale, then France Travail, unless told."""
    proposal = Proposal(need=need, recipients=recipients or RECIPIENTS, rule="14", reason="Chercher un emploi")
    return OrientationProposed(
        orientation_id=uuid4(),
        visit_id=uuid4(),
        site=SITE,
        occurred_at=MORNING,
        case=uuid4(),
        spie=False,
        rules_version="test",
        proposals=(proposal,),
        agreed=agreed,
    )


class Desk:
    """One referral service's handlers, called as its entrypoints call them."""

    def __init__(self, database: Database, network: Network = NETWORK) -> None:
        self.clock = MovedClock()
        self.app = App("referral", Settings(), database, Vault(os.urandom(32)), clock=self.clock)
        self.office = handlers.Office(self.app, network)

    def with_network(self, **changes: Any) -> None:  # noqa: ANN401 - a field of Network
        """Go on with changed network files."""
        self.office = handlers.Office(self.app, replace(self.office.network, **changes))

    def open(self, proposal: OrientationProposed | None = None) -> UUID:
        """Open the referral of a proposal; its id."""
        data = proposal or proposed()
        event = CloudEvent[OrientationProposed](
            id=str(uuid4()), source="/relais/orientation", type=data.TYPE, time=self.clock.now(), data=data
        )
        with self.app.work() as work:
            handlers.open_referrals([event], work, self.office.network)
        with self.app.read() as connection:
            last = select(referrals.c.id).order_by(referrals.c.change.desc()).limit(1)
            return UUID(str(connection.execute(last).scalar_one()))

    def decide(self, case: UUID, recipient: str, *, at: datetime, given: bool, sensitive: bool = False) -> None:
        """What a person decides after a visit."""
        yes = AgreementGiven(case=case, recipient=recipient, sensitive=sensitive, at=at)
        no = AgreementWithdrawn(case=case, recipient=recipient, at=at, reason="withdrawn")
        with self.app.work() as work:
            if given:
                agreements.decide([self._event(yes)], work, self.office.network)
            else:
                agreements.decide([self._event(no)], work, self.office.network)

    def join(self, case: UUID, merged: UUID, *, joined: bool = True) -> None:
        """Two cases are one person's, or are not after all."""
        with self.app.work() as work:
            if joined:
                merging.join([self._event(CasesMerged(case=case, merged=merged))], work, self.office.network)
            else:
                merging.part(self._event(CasesUnmerged(case=case, merged=merged)), work)

    def _event(self, data: D) -> CloudEvent[D]:
        now = self.clock.now()
        return CloudEvent[D].model_construct(
            id=str(uuid4()), source="/relais/intake", type=data.TYPE, time=now, data=data
        )

    def send(self, sender: str, site: str = SITE, about: UUID | None = None) -> UUID:
        """Have a partner send somebody to a site; the referral's id."""
        form = ReferralForm(referral_id=uuid4(), site=site, need=Need.DECLARER_REVENUS, agreed=True, about=about)
        toward_sites.send(form, partner(sender), self.app, self.office.network, TRACE)
        return form.referral_id

    def answer(self, referral: UUID, by: Caller, status: str, **more: Any) -> str:  # noqa: ANN401 - any field
        """Answer; the state it is in then. Raises Rejected."""
        form = AnswerForm.model_validate({"answer_id": str(uuid4()), "status": status, **more})
        return handlers.answer(referral, form, by, self.office, TRACE)[0].state

    def withdraw(self, referral: UUID, by: Caller, reason: str = "sender") -> str:
        """Take it back; the state it is in then. Raises Rejected."""
        form = WithdrawForm.model_validate({"reason": reason})
        return handlers.withdraw(referral, form, by, self.office, TRACE)[0].state

    def ring(self) -> int:
        """Let the clock do what is due."""
        return deadlines.ring(self.app, self.office.network)

    def row(self, referral: UUID) -> Row[Any]:
        """A referral as it is kept."""
        with self.app.read() as connection:
            return connection.execute(select(referrals).where(referrals.c.id == referral)).one()

    def trail(self, referral: UUID) -> list[tuple[str, str | None]]:
        """(state, what happened in it) of each of its steps."""
        with self.app.read() as connection:
            found = select(history.c.state, history.c.event).where(history.c.referral_id == referral)
            return [(row.state, row.event) for row in connection.execute(found.order_by(history.c.step))]

    def told(self, recipient: str | None = None) -> list[str]:
        """The names of the events told inside, or to a partner, in commit order."""
        with self.app.read() as connection:
            found = select(outbox.c.type).where(outbox.c.recipient.is_not_distinct_from(recipient))
            return [kind.split(".")[2] for kind in connection.execute(found.order_by(outbox.c.position)).scalars()]

    def events(self, recipient: str | None = None) -> list[CloudEvent[dict[str, Any]]]:
        """What was told inside, or to a partner, in commit order."""
        with self.app.read() as connection:
            found = select(outbox.c.body).where(outbox.c.recipient.is_not_distinct_from(recipient))
            bodies = connection.execute(found.order_by(outbox.c.position)).scalars().all()
        return [CloudEvent[dict[str, Any]].model_validate_json(body) for body in bodies]

    def documents(self, *names: str, recipient: str | None = None) -> Iterable[dict[str, Any]]:
        """The data of the events of these names."""
        return (event.data for event in self.events(recipient) if event.type.split(".")[2] in names)
