"""Reporting's entrypoints, all of them."""

from services.chassis.app import Work
from services.chassis.http import Answer, Request, http
from services.chassis.provider import AppProvider, Provided
from services.chassis.subscription import subscribe
from services.contracts.envelope import CloudEvent
from services.contracts.intake import (
    AgreementGiven,
    AgreementWithdrawn,
    CaseErased,
    CasesMerged,
    CasesUnmerged,
    VisitRecorded,
)
from services.contracts.orientation import OrientationProposed
from services.contracts.paris import paris_day
from services.contracts.referral import MOVED, ReferralHeld, ReferralMoved, ReferralSent
from services.reporting import forgetting, handlers, pages, queries
from services.reporting.case_calls import CaseCalls
from services.reporting.domain.figures import last_twelve_months
from services.reporting.forms import ActivityQuery, ActivityReport
from services.reporting.kept import Kept
from services.reporting.scope import Scope

# Everybody may ask for the public page, and each time a year would be read for it.
_KEPT_SECONDS = 300.0


class ReportingService(CaseCalls):
    """Counts everything, tells each case's story in codes, and shows what may be shown."""

    name = "reporting"
    app = AppProvider(forget=forgetting.forget_rows)
    public_page: Kept[str] = Provided(lambda _: Kept(_KEPT_SECONDS))

    @subscribe(VisitRecorded)
    def on_visit_recorded(self, event: CloudEvent[VisitRecorded], work: Work) -> None:
        """Count it."""
        handlers.count_visit(event, work)

    @subscribe(OrientationProposed)
    def on_orientation_proposed(self, event: CloudEvent[OrientationProposed], work: Work) -> None:
        """Count it."""
        handlers.count_proposals(event, work)

    @subscribe(ReferralHeld)
    def on_referral_held(self, event: CloudEvent[ReferralHeld], work: Work) -> None:
        """Show that it waits."""
        handlers.hold_referral(event, work)

    @subscribe(ReferralSent)
    def on_referral_sent(self, event: CloudEvent[ReferralSent], work: Work) -> None:
        """Count it."""
        handlers.count_referral(event, work)

    @subscribe(*MOVED)
    def on_referral_moved(self, event: CloudEvent[ReferralMoved], work: Work) -> None:
        """Follow it."""
        handlers.move_referral(event, work)

    @subscribe(AgreementGiven)
    def on_agreement_given(self, event: CloudEvent[AgreementGiven], work: Work) -> None:
        """Tell it in the timeline."""
        handlers.agree(event, work)

    @subscribe(AgreementWithdrawn)
    def on_agreement_withdrawn(self, event: CloudEvent[AgreementWithdrawn], work: Work) -> None:
        """Tell it in the timeline."""
        handlers.disagree(event, work)

    @subscribe(CasesMerged)
    def on_cases_merged(self, event: CloudEvent[CasesMerged], work: Work) -> None:
        """Read them as one."""
        handlers.join(event, work)

    @subscribe(CasesUnmerged)
    def on_cases_unmerged(self, event: CloudEvent[CasesUnmerged], work: Work) -> None:
        """Each for itself again."""
        handlers.part(event, work)

    @subscribe(CaseErased)
    def on_case_erased(self, event: CloudEvent[CaseErased], work: Work) -> None:
        """Keep the count, and nothing that leads to the person."""
        forgetting.forget(event, work)

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

    @http("GET", "/")
    def home(self, _request: Request) -> Answer:
        """The public page of the last twelve months: rounded counts only, up to five minutes old."""
        return Answer.html(self.public_page.get(self.app.clock.monotonic(), self._public_page))

    def _public_page(self) -> str:
        scope = Scope(*last_twelve_months(paris_day(self.app.clock.now())))
        with self.app.read() as connection:
            return pages.home(queries.overview(connection, scope, queries.names_of(self.network)))
