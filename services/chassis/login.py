"""Logging in to a service's pages by an invitation's link, and out again."""

from pydantic import BaseModel, ConfigDict, Field

from services.chassis import pages, sessions
from services.chassis.http import Answer, Request, entrypoints, http
from services.chassis.provider import Provided
from services.chassis.tokens import Invitation, Tokens
from services.chassis.web import Web

_LONGEST = 4096


class InvitationForm(BaseModel):
    """The one field of the page, hidden."""

    model_config = ConfigDict(extra="forbid")

    invitation: str = Field(max_length=_LONGEST)


class InvitationQuery(BaseModel):
    """What a login link carries; nothing when somebody was sent here for want of a session."""

    invitation: str = ""


class WebWithLogin(Web):
    """Base of a service with `session=` pages; its migrations call `create_session_tables`."""

    tokens = Provided(Tokens)

    @http("GET", "/login", page=True, query=InvitationQuery)
    def login_page(self, request: Request) -> Answer:
        """A button that uses the invitation: mail scanners open links, and must not use it up."""
        given = request.query(InvitationQuery).invitation
        if not given:
            return Answer.html(pages.no_login())
        invitation = self._invitation(given)
        if invitation is None:
            return _refused()
        with self.app.read() as connection:
            used = sessions.is_used(connection, invitation)
        return _refused() if used else Answer.html(pages.login(given, invitation), scripts=True)

    @http("POST", "/login", page=True, form=InvitationForm)
    def log_in(self, request: Request) -> Answer:
        """Use the invitation and open a session; whoever is in by it already goes on."""
        invitation = self._invitation(request.form(InvitationForm).invitation)
        if invitation is None:
            return _refused()
        with self.app.work() as work:
            value = sessions.open_by(work, invitation)
        if value:
            return self._go("/", value)
        own = sessions.is_of(self.app, request.cookie(self._cookie_name), invitation)
        return Answer.see_other("/") if own else _refused()

    @http("POST", "/logout", page=True)
    def log_out(self, request: Request) -> Answer:
        """End the session: its cookie opens nothing any more, whoever has it."""
        with self.app.work() as work:
            sessions.close(work, request.cookie(self._cookie_name))
        return self._go("/login", "")

    @http("GET", "/assets/once.js")
    def once_script(self, _request: Request) -> Answer:
        """What keeps « Entrer » from being pressed twice: the second answer would drop the first one's cookie."""
        return Answer.asset(pages.ONCE_SCRIPT, "text/javascript")

    def _invitation(self, token: str) -> Invitation | None:
        """Whom it invites here; None also when no page of this service is for that role."""
        found = self.tokens.check_invitation(token, service=self.app.service)
        roles = {role for _, entry in entrypoints(type(self)) for role in entry.session or ()}
        return found if found and found.role in roles else None

    @property
    def _cookie_name(self) -> str:
        return sessions.cookie_name(self.app.settings, self.app.service)

    def _go(self, location: str, cookie: str) -> Answer:
        header = sessions.cookie(self.app.settings, self.app.service, cookie)
        return Answer.see_other(location, {"Set-Cookie": header})


def _refused() -> Answer:
    return Answer.html(pages.no_login(refused=True), status=403)
