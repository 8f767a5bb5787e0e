"""Referral's whole outside."""

from collections.abc import Sequence
from uuid import UUID

from services.chassis import outside
from services.chassis.app import Work
from services.chassis.door import receive
from services.chassis.http import Answer, Request, http
from services.chassis.letters import Letter, Reply
from services.chassis.provider import AppProvider
from services.chassis.subscription import subscribe_together
from services.chassis.ticking import every
from services.contracts.envelope import CloudEvent
from services.contracts.orientation import OrientationProposed
from services.network.members import partner_queues, partner_webhooks
from services.referral import deadlines, forgetting, handlers, letters, notices, queries, retention, toward_sites
from services.referral.case_events import CaseEvents
from services.referral.forms import (
    AnswerForm,
    AnswerTaken,
    EventsPage,
    EventsQuery,
    ReferralForm,
    ReferralsPage,
    ReferralsQuery,
    ReferralTaken,
    WithdrawForm,
    WithdrawTaken,
)
from services.referral.web import ReferralPages


class ReferralService(CaseEvents, ReferralPages):
    """`OrientationProposed` in, referrals out to partners, theirs to sites, answers back in."""

    name = "referral"
    app = AppProvider(
        partner_queues, queries.readings, webhooks=partner_webhooks, forget=forgetting.forget_rows, vault=True
    )

    @subscribe_together(OrientationProposed)
    def on_orientations_proposed(self, events: Sequence[CloudEvent[OrientationProposed]], work: Work) -> None:
        """Open a referral for each proposal."""
        handlers.open_referrals(events, work, self.network)

    @http("GET", "/v1/referrals", roles=("partner", "site", "agent"), query=ReferralsQuery, answer=ReferralsPage)
    def get_referrals(self, request: Request) -> Answer:
        """Current states of what is addressed to the caller, and of what it sent."""
        return Answer(queries.list_referrals(request.query(ReferralsQuery), request.caller, self.app))

    @http("POST", "/v1/referrals", roles=("partner",), form=ReferralForm, answer=ReferralTaken)
    def post_referral(self, request: Request) -> Answer:
        """Orient a person toward a site: 201; the same again 200; other content under the same id 409."""
        form = request.body(ReferralForm)
        sent, again = toward_sites.send(form, request.caller, self.app, self.network, request.traceparent)
        return Answer(sent, status=200 if again else 201)

    @http("GET", "/v1/referrals/events", roles=("partner",), query=EventsQuery, answer=EventsPage)
    def get_events(self, request: Request) -> Answer:
        """The partner's own events, in commit order."""
        return Answer(queries.list_events(request.query(EventsQuery), request.caller, self.app))

    @http(
        "POST",
        "/v1/referrals/<uuid:referral_id>/answers",
        roles=("partner", "site", "agent"),
        form=AnswerForm,
        answer=AnswerTaken,
    )
    def post_answer(self, request: Request, referral_id: UUID) -> Answer:
        """An answer of whom it is addressed to: 201; the same again 200; a forbidden transition 409."""
        form = request.body(AnswerForm)
        taken, again = handlers.answer(referral_id, form, request.caller, self.office, request.traceparent)
        return Answer(taken, status=200 if again else 201)

    @receive(outside.PARTNERS, role="partner", at_once=1)
    def on_answers(self, answers: list[Letter]) -> list[Reply]:
        """An answer that a partner writes to `answers`; a refusal is an event of its own, while its budget lasts."""
        return [letters.take_answer(answer, self.office, self.budget) for answer in answers]

    @http(
        "POST",
        "/v1/referrals/<uuid:referral_id>/withdraw",
        roles=("partner", "site", "agent"),
        form=WithdrawForm,
        answer=WithdrawTaken,
    )
    def post_withdrawal(self, request: Request, referral_id: UUID) -> Answer:
        """Taken back by who sent it: 201; the same again 200; after its end 409."""
        form = request.body(WithdrawForm)
        taken, again = handlers.withdraw(referral_id, form, request.caller, self.office, request.traceparent)
        return Answer(taken, status=200 if again else 201)

    @every(deadlines.EVERY_SECONDS)
    def on_time(self) -> None:
        """Reminders, calls to named contacts, expiry."""
        deadlines.ring(self.app, self.network)

    @every(retention.EVERY_SECONDS, apart=True)
    def on_hour(self) -> None:
        """What partners sent without a case, and has served its time."""
        retention.run(self.app)

    @every(notices.EVERY_SECONDS, apart=True)
    def on_minute(self) -> None:
        """Mails to partners that something waits."""
        notices.send(self.app, self.network)
