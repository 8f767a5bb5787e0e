"""What agents and partners ask of a case over HTTP: found again, read, agreed to, put right, erased."""

from uuid import UUID

from services.chassis.http import Answer, Request, http
from services.intake import agreements, erasing, exporting, joining, rights, search, slowing, stories
from services.intake.call import Call
from services.intake.case_forms import (
    AccessesView,
    AgreementPut,
    AgreementsView,
    Erased,
    Joined,
    JoinForm,
    Matches,
    PersonView,
    SearchForm,
    StoryPut,
    StoryView,
)
from services.intake.export_forms import ExportQuery
from services.intake.forms import PersonForm
from services.network.members import WebForMembers


class CaseCalls(WebForMembers):
    """Cases, their stories and what people decide about them."""

    def call(self, request: Request) -> Call:
        """What every call needs."""
        return Call(request.caller, request.traceparent, self.app, self.network)

    @http("POST", "/v1/cases/search", roles=("agent",), form=SearchForm, answer=Matches)
    def post_search(self, request: Request) -> Answer:
        """Cases that may be a person's; the agent decides. Too many searches: 429."""
        return Answer(search.find(request.body(SearchForm), self.call(request)))

    @http("POST", "/v1/cases/<uuid:case>/confirm", roles=("agent",), answer=Joined)
    def post_confirmation(self, request: Request, case: UUID) -> Answer:
        """The agent says that a case that a search has just shown is this person's: from now on it may be read."""
        return Answer(search.confirm(case, self.call(request)))

    @http("POST", "/v1/cases/<uuid:case>/merge", roles=("agent",), form=JoinForm, answer=Joined)
    def post_merge(self, request: Request, case: UUID) -> Answer:
        """Two cases are one person's."""
        form = request.body(JoinForm)
        return Answer(joining.merge(case, form.case, self.call(request)))

    @http("POST", "/v1/cases/<uuid:case>/unmerge", roles=("agent",), form=JoinForm, answer=Joined)
    def post_unmerge(self, request: Request, case: UUID) -> Answer:
        """They are not."""
        form = request.body(JoinForm)
        return Answer(joining.unmerge(case, form.case, self.call(request)))

    @http("GET", "/v1/cases/<uuid:case>/story", roles=("agent",), reader=True, answer=StoryView)
    def get_case_story(self, request: Request, case: UUID) -> Answer:
        """What was told, for an agent of a site that knows the case; traced."""
        return Answer(stories.of_case(case, self.call(request)))

    @http(
        "GET",
        "/v1/referrals/<uuid:referral_id>/story",
        roles=("partner",),
        reader=True,
        answer=StoryView,
        at_once=slowing.BUDGET.most,
    )
    def get_story(self, request: Request, referral_id: UUID) -> Answer:
        """What the addressed partner is entitled to, decided and traced at this very read."""
        return Answer(stories.of_referral(referral_id, self.call(request)))

    @http("PUT", "/v1/visits/<uuid:visit_id>/story", roles=("agent",), form=StoryPut, answer=StoryView)
    def put_story(self, request: Request, visit_id: UUID) -> Answer:
        """A story put right by the site that wrote it down."""
        return Answer(rights.correct_story(visit_id, request.body(StoryPut), self.call(request)))

    @http("PUT", "/v1/cases/<uuid:case>/person", roles=("agent",), form=PersonForm, answer=PersonView)
    def put_person(self, request: Request, case: UUID) -> Answer:
        """An identity put right."""
        return Answer(rights.correct_person(case, request.body(PersonForm), self.call(request)))

    @http("GET", "/v1/cases/<uuid:case>/agreements", roles=("agent",), answer=AgreementsView)
    def get_agreements(self, request: Request, case: UUID) -> Answer:
        """What the person decided, recipient by recipient."""
        return Answer(agreements.listed(case, self.call(request)))

    @http(
        "PUT",
        "/v1/cases/<uuid:case>/agreements/<recipient>",
        roles=("agent",),
        form=AgreementPut,
        answer=AgreementsView,
    )
    def put_agreement(self, request: Request, case: UUID, recipient: str) -> Answer:
        """The person agrees to a recipient: what waits for that is sent."""
        form = request.body(AgreementPut)
        return Answer(agreements.give(case, recipient, form, self.call(request)))

    @http("DELETE", "/v1/cases/<uuid:case>/agreements/<recipient>", roles=("agent",), answer=AgreementsView)
    def delete_agreement(self, request: Request, case: UUID, recipient: str) -> Answer:
        """The person agrees no more: what waits or is open there is withdrawn."""
        return Answer(agreements.withdraw(case, recipient, self.call(request)))

    @http("PUT", "/v1/cases/<uuid:case>/<any(objection,restriction):kind>", roles=("agent",), answer=AgreementsView)
    def put_stop(self, request: Request, case: UUID, kind: str) -> Answer:
        """The person objects (RGPD, art. 21), or has it restricted (art. 18): all is withdrawn."""
        return Answer(agreements.stop(case, kind, self.call(request)))

    @http("DELETE", "/v1/cases/<uuid:case>/<any(objection,restriction):kind>", roles=("agent",), answer=AgreementsView)
    def delete_stop(self, request: Request, case: UUID, kind: str) -> Answer:
        """No more; agreements are to be given anew."""
        return Answer(agreements.resume(case, kind, self.call(request)))

    @http("GET", "/v1/cases/<uuid:case>/accesses", roles=("agent",), answer=AccessesView)
    def get_accesses(self, request: Request, case: UUID) -> Answer:
        """Who looked, when and what for."""
        return Answer(rights.accesses_of(case, self.call(request)))

    @http("GET", "/v1/cases/<uuid:case>/export", roles=("agent",), query=ExportQuery, at_once=1)
    def get_export(self, request: Request, case: UUID) -> Answer:
        """All that is held of a person, as JSON or PDF (`Accept` or `?format=`), for the person (RGPD, art. 15)."""
        return exporting.export(case, request, self.call(request))

    @http("DELETE", "/v1/cases/<uuid:case>", roles=("agent",), answer=Erased)
    def delete_case(self, request: Request, case: UUID) -> Answer:
        """Forgotten everywhere (RGPD, art. 17)."""
        return Answer(erasing.erase(case, self.call(request)))
