"""What referral hears of cases: agreements after a visit, two cases of one person, a case to be forgotten."""

from collections.abc import Sequence

from services.chassis.app import Work
from services.chassis.subscription import subscribe, subscribe_together
from services.contracts.envelope import CloudEvent
from services.contracts.intake import AgreementGiven, AgreementWithdrawn, CaseErased, CasesMerged, CasesUnmerged
from services.network import Network
from services.referral import agreements, forgetting, joined


class CaseEvents:
    """The entrypoints."""

    network: Network

    @subscribe_together(AgreementGiven)
    def on_agreements_given(self, events: Sequence[CloudEvent[AgreementGiven]], work: Work) -> None:
        """Send what waits for them."""
        agreements.decide(events, work, self.network)

    @subscribe_together(AgreementWithdrawn)
    def on_agreements_withdrawn(self, events: Sequence[CloudEvent[AgreementWithdrawn]], work: Work) -> None:
        """Withdraw what is open there."""
        agreements.decide(events, work, self.network)

    @subscribe_together(CasesMerged)
    def on_cases_merged(self, events: Sequence[CloudEvent[CasesMerged]], work: Work) -> None:
        """Show one as the other."""
        joined.join(events, work, self.network)

    @subscribe(CasesUnmerged)
    def on_cases_unmerged(self, event: CloudEvent[CasesUnmerged], work: Work) -> None:
        """No more."""
        joined.part(event, work)

    @subscribe(CaseErased)
    def on_case_erased(self, event: CloudEvent[CaseErased], work: Work) -> None:
        """Forget it, and tell the partners who have it."""
        forgetting.forget(event, work)
