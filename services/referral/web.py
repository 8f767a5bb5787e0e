"""Referral's pages: a partner's inbox, a site's follow-up, one referral with its answers."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.chassis.errors import Rejected
from services.chassis.http import Answer, Request, http
from services.chassis.provider import Provided
from services.chassis.tokens import Role
from services.network.members import WebForMembers
from services.referral import board, handlers, letters, page_forms, pages
from services.referral.cards import Card, Reader
from services.referral.forms import WithdrawForm
from services.referral.page_forms import AnswerPost, BoardQuery, Tried, WithdrawPost

READERS: tuple[Role, ...] = ("partner", "site", "agent")
_CONFLICT = 409


class ShownQuery(BaseModel):
    """`done`: its reader has just answered it or taken it back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    done: Literal["", "1"] = ""


class ReferralPages(WebForMembers):
    """What people of partners and sites see and press."""

    budget: letters.Budget = Provided(lambda _: letters.Budget())

    @property
    def office(self) -> handlers.Office:
        """What every call needs."""
        return handlers.Office(self.app, self.network)

    @http("GET", "/", session=READERS, query=BoardQuery)
    def home(self, request: Request) -> Answer:
        """A partner's inbox; what became of the people that a site sent."""
        asked, caller = request.query(BoardQuery), request.caller
        if caller.role == "partner":
            return Answer.html(pages.inbox(board.inbox(asked, caller, self.app, self.network)))
        return Answer.html(pages.follow_up(board.follow_up(asked, caller, self.app, self.network)))

    @http("GET", "/orientations/<uuid:referral_id>", session=READERS, query=ShownQuery)
    def referral_page(self, request: Request, referral_id: UUID) -> Answer:
        """One referral: where it stands, what its reader may do, its whole trail."""
        done = bool(request.query(ShownQuery).done)
        return Answer.html(pages.referral(self._card(referral_id, request), self.app.clock.now(), done=done))

    @http("POST", "/orientations/<uuid:referral_id>/reponse", session=READERS, form=AnswerPost)
    def answer_on_page(self, request: Request, referral_id: UUID) -> Answer:
        """An answer by a form, as by any other channel; back to the list or to the referral."""
        post = request.form(AnswerPost)
        form, problems = page_forms.read(post)
        tried = Tried(post.status, post.model_dump(), problems)
        if form is None:
            return self._again(request, referral_id, tried, 422)
        try:
            handlers.answer(referral_id, form, request.caller, self.office, request.traceparent)
        except Rejected as refused:
            return self._overtaken(request, referral_id, tried, refused)
        if post.listed:
            return Answer.see_other(f"/?{post.listed}&done={referral_id}")
        return Answer.see_other(f"/orientations/{referral_id}?done=1")

    @http("POST", "/orientations/<uuid:referral_id>/retrait", session=READERS, form=WithdrawPost)
    def withdraw_on_page(self, request: Request, referral_id: UUID) -> Answer:
        """Taken back by who sent it, with a reason."""
        reason = request.form(WithdrawPost).reason
        tried = Tried("withdrawn", {"reason": reason}, {} if reason else {"reason": "Choisissez un motif."})
        if not reason:
            return self._again(request, referral_id, tried, 422)
        form = WithdrawForm(reason=reason)
        try:
            handlers.withdraw(referral_id, form, request.caller, self.office, request.traceparent)
        except Rejected as refused:
            return self._overtaken(request, referral_id, tried, refused)
        return Answer.see_other(f"/orientations/{referral_id}?done=1")

    def _card(self, referral_id: UUID, request: Request) -> Card:
        with self.app.read() as connection:
            return Reader(request.caller, self.app, self.network, connection).one(referral_id)

    def _again(self, request: Request, referral_id: UUID, tried: Tried, status: int) -> Answer:
        card = self._card(referral_id, request)
        return Answer.html(pages.referral(card, self.app.clock.now(), tried=tried), status)

    def _overtaken(self, request: Request, referral_id: UUID, tried: Tried, refused: Rejected) -> Answer:
        """The referral as it is now, where it has moved on meanwhile."""
        if refused.status != _CONFLICT:
            raise refused
        return self._again(request, referral_id, tried, _CONFLICT)
