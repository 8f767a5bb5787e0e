"""Orientation's whole outside."""

from services.chassis.app import Work
from services.chassis.errors import forbidden
from services.chassis.http import Answer, Request, http
from services.chassis.provider import AppProvider, Provided
from services.chassis.subscription import subscribe
from services.contracts.envelope import CloudEvent
from services.contracts.intake import CaseErased, VisitRecorded
from services.contracts.paris import paris_day
from services.network import load
from services.network.members import WebForMembers
from services.orientation import archive, asking, contact_sheets, explaining, forgetting, handlers, pages, queries
from services.orientation.forms import (
    ContactSheetsPage,
    ContactSheetsQuery,
    CounterForm,
    ExplainForm,
    Explanation,
    LookUp,
    ServicesPage,
    ServicesQuery,
    SimulateForm,
    Simulation,
)
from services.orientation.rules import Rules


class OrientationService(WebForMembers):
    """`VisitRecorded` in, `OrientationProposed` out."""

    name = "orientation"
    app = AppProvider(readings=contact_sheets.readings, prepare=archive.keep_from_now)
    rules = Provided(lambda settings: Rules(load(settings.network)))

    @subscribe(VisitRecorded)
    def on_visit_recorded(self, event: CloudEvent[VisitRecorded], work: Work) -> None:
        """Propose whom the person should meet."""
        handlers.propose(event, work, self.rules)

    @subscribe(CaseErased)
    def on_case_erased(self, event: CloudEvent[CaseErased], work: Work) -> None:
        """Forget it."""
        forgetting.forget(event, work)

    @http("POST", "/v1/orientations/simulate", roles=("site", "agent"), form=SimulateForm, answer=Simulation)
    def post_simulation(self, request: Request) -> Answer:
        """What the rules propose for a visit, before it is posted; stores nothing."""
        form = request.body(SimulateForm)
        if form.site != request.caller.org:
            raise forbidden("Ce jeton n’est pas celui de ce site.")
        return Answer(handlers.simulate(form, self.rules))

    @http("POST", "/v1/orientations/explain", roles=("site", "agent"), form=ExplainForm, answer=Explanation)
    def post_explanation(self, request: Request) -> Answer:
        """Which lines of the table matched a visit, and why the others did not, by the rules of its day."""
        form = request.body(ExplainForm)
        if form.site != request.caller.org:
            raise forbidden("Ce jeton n’est pas celui de ce site.")
        with self.app.read() as connection:
            return Answer(explaining.explain(form, connection, self.app.settings, self.rules))

    @http("GET", "/v1/contact-sheets", roles=asking.READERS, query=ContactSheetsQuery, answer=ContactSheetsPage)
    def get_contact_sheets(self, request: Request) -> Answer:
        """Named direct contacts, for a need and around a commune."""
        query, today = request.query(ContactSheetsQuery), paris_day(self.app.clock.now())
        return Answer(contact_sheets.list_sheets(query, self.rules.network, today))

    @http("GET", "/v1/services", roles=asking.READERS, query=ServicesQuery, answer=ServicesPage)
    def get_services(self, request: Request) -> Answer:
        """The service directory: by need, by public, around a commune."""
        with self.app.read() as connection:
            return Answer(queries.list_services(request.query(ServicesQuery), connection))

    @http("GET", "/", session=asking.COUNTER)
    def counter(self, request: Request) -> Answer:
        """The agent's page: a form of what the person says."""
        shown = handlers.blank(request.caller.org, self.rules, self.app)
        return Answer.html(pages.counter(shown, self.rules.names))

    @http("POST", "/", session=asking.COUNTER, form=CounterForm)
    def consult(self, request: Request) -> Answer:
        """Whom the rules propose, why, and each contact sheet; stores nothing."""
        shown = handlers.consult(request.form(CounterForm), request.caller.org, self.rules, self.app)
        return Answer.html(pages.counter(shown, self.rules.names), shown.status)

    @http("POST", "/fiche", session=asking.COUNTER, form=CounterForm)
    def slip(self, request: Request) -> Answer:
        """What the person takes away, to print on half a page."""
        shown = handlers.consult(request.form(CounterForm), request.caller.org, self.rules, self.app)
        return Answer.html(pages.slip(shown, self.rules.names), shown.status, scripts=True)

    @http("GET", "/fiches", session=asking.COUNTER)
    @http("POST", "/fiches", session=asking.COUNTER, form=LookUp)
    def sheets(self, request: Request) -> Answer:
        """The contact sheets around the site, or another commune: asked for by POST, so that no address tells it."""
        shown = handlers.look_up_sheets(request.form_or_empty(LookUp), request.caller.org, self.rules, self.app)
        return Answer.html(pages.sheets(shown), shown.status)

    @http("GET", "/annuaire", session=asking.COUNTER)
    @http("POST", "/annuaire", session=asking.COUNTER, form=LookUp)
    def directory(self, request: Request) -> Answer:
        """The service directory around the site, or another commune."""
        shown = handlers.look_up_services(request.form_or_empty(LookUp), request.caller.org, self.rules, self.app)
        return Answer.html(pages.directory(shown), shown.status)

    @http("GET", "/assets/print.js")
    def print_script(self, _request: Request) -> Answer:
        """What the slip's button does."""
        return Answer.asset(pages.PRINT_SCRIPT, "text/javascript")
