"""Intake's whole outside."""

from services.chassis import outside
from services.chassis.app import Work
from services.chassis.door import receive
from services.chassis.http import Answer, Request, http
from services.chassis.letters import Letter, Reply
from services.chassis.provider import AppProvider
from services.chassis.subscription import subscribe
from services.chassis.ticking import every
from services.contracts.envelope import CloudEvent
from services.contracts.referral import MOVED, ReferralMoved, ReferralSent
from services.contracts.reporting import CaseRead
from services.intake import allowances, erasing, handlers, indexing, retention, stories
from services.intake.forms import VisitAnswer, VisitForm
from services.intake.web import CasePages

# Older cases are those, too, that a replica of the release before opens while this one already serves.
_MINUTE = 60.0


class IntakeService(CasePages):
    """Visits in, `VisitRecorded` out; cases, and who may read them."""

    name = "intake"
    app = AppProvider(prepare=erasing.catch_up, forget=erasing.forget_rows, vault=True)

    @every(_MINUTE, apart=True)
    def on_minute(self) -> None:
        """Cases that an earlier release opened are found again by who the person is, too; who searched is forgotten."""
        indexing.index_older_cases(self.app)
        allowances.drop_unused(self.app)

    @every(retention.EVERY_SECONDS, apart=True)
    def on_hour(self) -> None:
        """What has served its time goes."""
        retention.run(self.app)

    @subscribe(ReferralSent)
    def on_referral_sent(self, event: CloudEvent[ReferralSent], work: Work) -> None:
        """Whom it is addressed to may read the story from now on, while it is open."""
        stories.remember_sent(event, work)

    @subscribe(*MOVED)
    def on_referral_moved(self, event: CloudEvent[ReferralMoved], work: Work) -> None:
        """Until it comes to its end."""
        stories.remember_moved(event, work)

    @subscribe(CaseRead)
    def on_case_read(self, event: CloudEvent[CaseRead], work: Work) -> None:
        """Write down who read a timeline."""
        stories.remember_read(event, work)

    @http("POST", "/v1/visits", roles=("site", "agent"), form=VisitForm, answer=VisitAnswer)
    def post_visit(self, request: Request) -> Answer:
        """Record a visit: 201; the same again 200; other content under the same id 409."""
        form = request.body(VisitForm)
        recorded = handlers.record_visit(form, request.caller, self.app, self.network, request.traceparent)
        return Answer(recorded.answer, status=200 if recorded.again else 201)

    @http(
        "POST",
        "/v1/visits/batch",
        roles=("site",),
        form=VisitForm,
        body_type=handlers.LINES_TYPE,
        max_bytes=handlers.MAX_LINES_BYTES,
    )
    def post_visits(self, request: Request) -> Answer:
        """Record up to 1000 visits, one JSON document a line; one result line each, in order."""
        body = request.raw(handlers.LINES_TYPE)
        lines = handlers.record_lines(body, request.caller, self.app, self.network, request.traceparent)
        return Answer(lines, content_type=handlers.LINES_TYPE)

    @receive(outside.INGEST, role="site")
    def on_visits(self, letters: list[Letter]) -> list[Reply]:
        """Record what sites write to `visits.in`; each is answered in `replies.<site>`, as a line of a batch is."""
        return handlers.record_letters(letters, self.app, self.network)
