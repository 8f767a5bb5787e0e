"""Intake's whole outside."""

from services.chassis import outside
from services.chassis.door import receive
from services.chassis.http import Answer, Request, http
from services.chassis.letters import Letter, Reply
from services.chassis.provider import AppProvider, Provided
from services.chassis.web import Web
from services.intake import handlers
from services.intake.forms import VisitAnswer, VisitForm
from services.network import Network, load


class IntakeService(Web):
    """Visits in, `VisitRecorded` out."""

    name = "intake"
    app = AppProvider(vault=True)
    network: Network = Provided(lambda settings: load(settings.network))

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
