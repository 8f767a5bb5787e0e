"""Logging in to a service's pages by an invitation's link, and out again."""

from pydantic import BaseModel, ConfigDict, Field

from services.chassis import pages, sessions
from services.chassis.http import Answer, Request, http
from services.chassis.provider import Provided
from services.chassis.tokens import Tokens
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
            return Answer.html(pages.login(None))
        invitation = self.tokens.check_invitation(given)
        if invitation is None:
            return _refused()
        with self.app.read() as connection:
            used = sessions.is_used(connection, invitation)
        return _refused() if used else Answer.html(pages.login(given))

    @http("POST", "/login", page=True, form=InvitationForm)
    def log_in(self, request: Request) -> Answer:
        """Use the invitation and open a session."""
        invitation = self.tokens.check_invitation(request.form(InvitationForm).invitation)
        if invitation is None:
            return _refused()
        with self.app.work() as work:
            value = sessions.open_by(work, invitation)
        return self._go("/", value) if value else _refused()

    @http("POST", "/logout", page=True)
    def log_out(self, request: Request) -> Answer:
        """End the session: its cookie opens nothing any more, whoever has it."""
        with self.app.work() as work:
            sessions.close(work, request.cookie(sessions.cookie_name(self.app.service)))
        return self._go("/login", "")

    def _go(self, location: str, cookie: str) -> Answer:
        header = sessions.cookie(self.app.settings, self.app.service, cookie)
        return Answer.see_other(location, {"Set-Cookie": header})


def _refused() -> Answer:
    return Answer.html(pages.login(None, refused=True), status=403)
