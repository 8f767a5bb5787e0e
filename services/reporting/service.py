"""Reporting's entrypoints, all of them."""

from uuid import UUID

from services.chassis.app import Work
from services.chassis.http import Answer, Request, http
from services.chassis.provider import AppProvider, Provided
from services.chassis.subscription import subscribe
from services.chassis.web import Web
from services.contracts.envelope import CloudEvent
from services.contracts.intake import VisitRecorded
from services.contracts.orientation import OrientationProposed
from services.contracts.referral import MOVED, ReferralMoved, ReferralSent
from services.network import load
from services.reporting import cases, handlers, pages, queries
from services.reporting.domain.figures import last_twelve_months, paris_day
from services.reporting.forms import ActivityQuery, ActivityReport, CaseTimeline
from services.reporting.scope import Scope


class ReportingService(Web):
    """Counts everything, tells each case's story in codes, and shows what may be shown."""

    name = "reporting"
    app = AppProvider()
    network = Provided(lambda settings: load(settings.network))

    @subscribe(VisitRecorded)
    def on_visit_recorded(self, event: CloudEvent[VisitRecorded], work: Work) -> None:
        """Count it."""
        handlers.count_visit(event, work)

    @subscribe(OrientationProposed)
    def on_orientation_proposed(self, event: CloudEvent[OrientationProposed], work: Work) -> None:
        """Count it."""
        handlers.count_proposals(event, work)

    @subscribe(ReferralSent)
    def on_referral_sent(self, event: CloudEvent[ReferralSent], work: Work) -> None:
        """Count it."""
        handlers.count_referral(event, work)

    @subscribe(*MOVED)
    def on_referral_moved(self, event: CloudEvent[ReferralMoved], work: Work) -> None:
        """Follow it."""
        handlers.move_referral(event, work)

    @http("GET", "/v1/reports/activity", roles=("steering",), query=ActivityQuery, answer=ActivityReport)
    def activity(self, request: Request) -> Answer:
        """The exact activity of the caller's sites, as JSON or CSV."""
        query = request.query(ActivityQuery)
        form = query.wanted(request.accept)
        sites = queries.sites_of(self.network, request.caller.org, query.site)
        scope = Scope(*query.period(paris_day(self.app.clock.now())), sites)
        with self.app.read() as connection:
            report = queries.activity(connection, scope, queries.names_of(self.network), site=query.site, by=query.by)
        if form == "json":
            return Answer(report)
        headers = {"Content-Disposition": f'attachment; filename="activite-{scope.first}-{scope.last}.csv"'}
        return Answer(pages.to_csv(report), content_type="text/csv; charset=utf-8", headers=headers)

    @http("GET", "/v1/cases/<uuid:case>", roles=("agent",), answer=CaseTimeline)
    def case(self, request: Request, case: UUID) -> Answer:
        """A case's timeline, for an agent of a site that knows it."""
        with self.app.read() as connection:
            found = cases.case_timeline(connection, case, request.caller.org, queries.names_of(self.network))
        return Answer(found)

    @http("GET", "/")
    def home(self, _request: Request) -> Answer:
        """The public page of the last twelve months: rounded counts only."""
        scope = Scope(*last_twelve_months(paris_day(self.app.clock.now())))
        with self.app.read() as connection:
            found = queries.overview(connection, scope, queries.names_of(self.network))
        return Answer.html(pages.home(found))
