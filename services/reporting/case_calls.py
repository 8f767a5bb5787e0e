"""What agents and partners read of a case: over HTTP on their own token, and on pages by their session."""

import time
from uuid import UUID

from services.chassis.http import Answer, Request, http
from services.contracts.reporting import CaseRead
from services.network.members import WebForMembers
from services.reporting import case_pages, cases, queries, stories
from services.reporting.case_forms import CaseTimeline, ReferralCase
from services.reporting.referral_case import referral_case
from services.reporting.stories import Reader

# For how long reporting waits for a sending that intake has heard of already.
_BEHIND_SECONDS, _EVERY_SECONDS = 1.0, 0.1


class CaseCalls(WebForMembers):
    """The shared case view. Every read is told (`CaseRead`), and intake writes it into the person's log."""

    @http("GET", "/v1/cases/<uuid:case>", roles=("agent",), answer=CaseTimeline)
    def case(self, request: Request, case: UUID) -> Answer:
        """A case with its story, for an agent of a site that knows it."""
        return Answer(self._case(case, Reader(request.caller, request.bearer, request.traceparent)))

    @http("GET", "/v1/referrals/<uuid:referral_id>/case", roles=("partner",), answer=ReferralCase)
    def referral_case(self, request: Request, referral_id: UUID) -> Answer:
        """What the addressed partner may see of a case, while its referral is open."""
        return Answer(self._referral(referral_id, Reader(request.caller, request.bearer, request.traceparent)))

    @http("GET", "/dossiers/<uuid:case>", session=("agent",))
    def case_page(self, request: Request, case: UUID) -> Answer:
        """The same, to be read and printed."""
        reader = stories.reader_on_page(request.caller, request.traceparent, self.tokens)
        found = self._case(case, reader)
        rights = f"{self.app.settings.url('intake')}/dossiers/{case}"
        return Answer.html(case_pages.case(found, queries.names_of(self.network), self.app.clock.now(), rights))

    @http("GET", "/orientations/<uuid:referral_id>/dossier", session=("partner",))
    def referral_case_page(self, request: Request, referral_id: UUID) -> Answer:
        """The same, to be read and printed."""
        reader = stories.reader_on_page(request.caller, request.traceparent, self.tokens)
        found = self._referral(referral_id, reader)
        answers = f"{self.app.settings.url('referral')}/orientations/{referral_id}"
        return Answer.html(case_pages.referral(found, queries.names_of(self.network), self.app.clock.now(), answers))

    def _case(self, case: UUID, reader: Reader) -> CaseTimeline:
        """Raises Rejected (404)."""
        story = stories.of_case(case, reader, self.app.settings)
        names, told = queries.names_of(self.network), story.told is not None
        with self.app.work(reader.traceparent) as work:
            found = cases.case_timeline(work.connection, case, reader.caller.org, names, vouched=told)
            work.emit(_read(case, None, reader))
        return found.model_copy(update={"story": story.told, "missing": story.missing})

    def _referral(self, referral_id: UUID, reader: Reader) -> ReferralCase:
        """Raises Rejected: 404, the same for all reasons; 429.

        Intake is asked first, whoever asks: so every refusal takes the time that its refusals take.
        """
        story = stories.of_referral(referral_id, reader, self.app.settings)
        names, patience = queries.names_of(self.network), _BEHIND_SECONDS if story.told else 0.0
        org, partner = reader.caller.org, self.network.partner(reader.caller.org)
        reveals = partner is not None and partner.reveals_health
        while True:
            with self.app.work(reader.traceparent) as work:
                found = referral_case(work.connection, referral_id, org, names, reveals_health=reveals)
                if found:
                    work.emit(_read(found[0], referral_id, reader))
            if found:
                return found[1].model_copy(update={"story": story.told, "missing": story.missing})
            if patience <= 0:
                raise stories.unknown_referral()
            time.sleep(_EVERY_SECONDS)
            patience -= _EVERY_SECONDS


def _read(case: UUID, referral_id: UUID | None, reader: Reader) -> CaseRead:
    who = reader.caller
    return CaseRead(case=case, referral_id=referral_id, org=who.org, role=who.role, subject=who.sub)
