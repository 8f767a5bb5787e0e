"""Intake's pages, for agents: a case found again, and what its person decides about it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from services.chassis.errors import Rejected
from services.chassis.http import Answer, Request, http
from services.chassis.tokens import Role
from services.intake import agreements, erasing, exporting, joining, pages, rights, search, stories
from services.intake.call import Call
from services.intake.case_calls import CaseCalls
from services.intake.case_forms import AgreementPut, SearchForm
from services.intake.forms import PersonForm
from services.intake.page_forms import (
    AgreementPost,
    ErasePost,
    JoinPost,
    Nothing,
    PersonPost,
    Problems,
    SearchPost,
    StopPost,
    of_refusal,
    read,
)

AGENTS: tuple[Role, ...] = ("agent",)
_TAKEN = frozenset({409, 422, 429})


class CasePages(CaseCalls):
    """What an agent sees and presses."""

    @http("GET", "/", session=AGENTS)
    def home(self, _request: Request) -> Answer:
        """Looking for a case."""
        return Answer.html(pages.search(SearchPost()))

    @http("POST", "/recherche", session=AGENTS, form=SearchPost)
    def search_page(self, request: Request) -> Answer:
        """What may be the person's: asked for by POST, so that no address tells whom."""
        post = request.form(SearchPost)
        form, problems = read(SearchForm, post.asked)
        if form is None:
            return Answer.html(pages.search(post, problems=problems), 422)
        try:
            found = search.find(form, self.call(request))
        except Rejected as refused:
            return Answer.html(pages.search(post, problems=of_refusal(refused)), refused.status)
        return Answer.html(pages.search(post, found, self.network))

    @http("POST", "/dossiers/<uuid:case>/confirmer", session=AGENTS, form=Nothing)
    def confirm_page(self, request: Request, case: UUID) -> Answer:
        """The agent says that it is this person; on to the case."""
        confirmed = search.confirm(case, self.call(request))
        return Answer.see_other(f"/dossiers/{confirmed.case}")

    @http("GET", "/dossiers/<uuid:case>", session=AGENTS)
    def case_page(self, request: Request, case: UUID) -> Answer:
        """The story, the agreements, the person's rights."""
        return self._page(request, case)

    @http("GET", "/dossiers/<uuid:case>/acces", session=AGENTS)
    def accesses_page(self, request: Request, case: UUID) -> Answer:
        """Who looked, when and what for."""
        return Answer.html(pages.accesses(rights.accesses_of(case, self.call(request))))

    @http("GET", "/dossiers/<uuid:case>/export", session=AGENTS, at_once=1)
    def export_page(self, request: Request, case: UUID) -> Answer:
        """All that is held, to be handed over."""
        return exporting.export(case, request, self.call(request))

    @http("POST", "/dossiers/<uuid:case>/accords", session=AGENTS, form=AgreementPost)
    def agree_on_page(self, request: Request, case: UUID) -> Answer:
        """An agreement given or withdrawn."""
        post = request.form(AgreementPost)
        if not post.recipient:
            return self._page(request, case, {"recipient": "Choisissez un destinataire."})
        form, problems = read(AgreementPut, post.asked)
        if form is None:
            return self._page(request, case, problems)
        call, put = self.call(request), form
        if post.decision == "give":
            return self._act(request, case, lambda: agreements.give(case, post.recipient, put, call))
        return self._act(request, case, lambda: agreements.withdraw(case, post.recipient, call))

    @http("POST", "/dossiers/<uuid:case>/droits", session=AGENTS, form=StopPost)
    def stop_on_page(self, request: Request, case: UUID) -> Answer:
        """Objection and restriction, begun or ended."""
        post, call = request.form(StopPost), self.call(request)
        act = agreements.stop if post.on else agreements.resume
        return self._act(request, case, lambda: act(case, post.kind, call))

    @http("POST", "/dossiers/<uuid:case>/personne", session=AGENTS, form=PersonPost)
    def correct_on_page(self, request: Request, case: UUID) -> Answer:
        """An identity put right."""
        form, problems = read(PersonForm, request.form(PersonPost).asked)
        if form is None:
            return self._page(request, case, problems)
        right, call = form, self.call(request)
        return self._act(request, case, lambda: rights.correct_person(case, right, call))

    @http("POST", "/dossiers/<uuid:case>/reunir", session=AGENTS, form=JoinPost)
    def join_on_page(self, request: Request, case: UUID) -> Answer:
        """Another case of the same person, by its printed reference; or parted again."""
        post, call = request.form(JoinPost), self.call(request)
        if isinstance(post.part, UUID):
            other = post.part
            return self._act(request, case, lambda: joining.unmerge(case, other, call))
        form, problems = read(SearchForm, {"reference": post.reference or "-"})
        if form is None:
            return self._page(request, case, problems)
        sought = form
        return self._act(request, case, lambda: _join(case, sought, call))

    @http("POST", "/dossiers/<uuid:case>/effacer", session=AGENTS, form=ErasePost)
    def erase_on_page(self, request: Request, case: UUID) -> Answer:
        """Forgotten everywhere, once the agent has said that the person is sure."""
        if not request.form(ErasePost).sure:
            return self._page(request, case, {"sure": "Cochez la case : l’effacement ne se défait pas."})
        return Answer.html(pages.erased(erasing.erase(case, self.call(request)), self.network))

    def _act(self, request: Request, case: UUID, act: Callable[[], Any]) -> Answer:
        """Do it and show the case again; what cannot be taken is said there."""
        try:
            act()
        except Rejected as refused:
            if refused.status not in _TAKEN:
                raise
            return self._page(request, case, of_refusal(refused))
        return Answer.see_other(f"/dossiers/{case}")

    def _page(self, request: Request, case: UUID, problems: Problems | None = None) -> Answer:
        call = self.call(request)
        story, decided = stories.of_case(case, call), agreements.listed(case, call)
        page = pages.case(story, decided, call, problems or {})
        return Answer.html(page, 422 if problems else 200)


def _join(case: UUID, sought: SearchForm, call: Call) -> None:
    """Who presses the button says that both are this person's. Raises Rejected: 404, 422, 429."""
    found = search.find(sought, call).matches
    if not found:
        reason = "Aucun dossier ne porte cette référence : relisez-la."
        raise Rejected("invalid", reason, errors=[{"pointer": "/reference", "detail": reason}])
    search.confirm(found[0].case, call)
    joining.merge(case, found[0].case, call)
