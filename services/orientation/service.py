"""Orientation's whole outside."""

from services.chassis.app import Work
from services.chassis.errors import forbidden
from services.chassis.http import Answer, Request, http
from services.chassis.provider import AppProvider, Provided
from services.chassis.subscription import subscribe
from services.chassis.web import Web
from services.contracts.envelope import CloudEvent
from services.contracts.intake import VisitRecorded
from services.network import load
from services.orientation import handlers
from services.orientation.forms import SimulateForm, Simulation
from services.orientation.rules import Rules


class OrientationService(Web):
    """`VisitRecorded` in, `OrientationProposed` out."""

    name = "orientation"
    app = AppProvider()
    rules = Provided(lambda settings: Rules(load(settings.network)))

    @subscribe(VisitRecorded)
    def on_visit_recorded(self, event: CloudEvent[VisitRecorded], work: Work) -> None:
        """Propose whom the person should meet."""
        handlers.propose(event, work, self.rules)

    @http("POST", "/v1/orientations/simulate", roles=("site", "agent"), form=SimulateForm, answer=Simulation)
    def post_simulation(self, request: Request) -> Answer:
        """What the rules propose for a visit, before it is posted; stores nothing."""
        form = request.body(SimulateForm)
        if form.site != request.caller.org:
            raise forbidden("Ce jeton n’est pas celui de ce site.")
        return Answer(handlers.simulate(form, self.rules))
