"""Logging in to a service's pages by an invitation's link or an OpenID provider, and out again."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from services.chassis import pages, sessions
from services.chassis.errors import not_found
from services.chassis.http import Answer, Request, entrypoints, http
from services.chassis.oidc import ATTEMPT_VALID, CALLBACK, Attempt, OpenId, Returned, is_by_provider, unknown_here
from services.chassis.oidc_memory import Memory
from services.chassis.provider import Provided
from services.chassis.tokens import Invitation, Role, Tokens
from services.chassis.web import Web
from services.contracts.free_text import WithoutNir

_LONGEST = 4096


class InvitationForm(BaseModel):
    """The one field of the page, hidden."""

    model_config = ConfigDict(extra="forbid")

    invitation: Annotated[str, Field(max_length=_LONGEST), WithoutNir]


class InvitationQuery(BaseModel):
    """What a login link carries; nothing when somebody was sent here for want of a session.

    `on`: from the service before, where the button was pressed for all of them. Anybody can write that into a link.
    """

    invitation: Annotated[str, WithoutNir] = ""
    on: Literal["", "1"] = ""


class WebWithLogin(Web):
    """Base of a service with `session=` pages; its migrations call `create_session_tables`."""

    tokens = Provided(Tokens)
    provider_memory: Memory = Provided(lambda _: Memory())

    def knows(self, role: Role, org: str) -> bool:
        """Whether an organisation that the provider tells is one of ours, for that role."""
        raise NotImplementedError

    @http("GET", "/login", page=True, query=InvitationQuery)
    def login_page(self, request: Request) -> Answer:
        """A button that uses the invitation: mail scanners open links, and must not use it up."""
        asked = request.query(InvitationQuery)
        given = asked.invitation
        if not given:
            return self._no_login()
        invitation = self._invitation(given)
        if invitation is None:
            return self._no_login(refused=True)
        with self.app.read() as connection:
            used = sessions.is_used(connection, invitation)
        if used:
            return self._no_login(refused=True)
        at_once = bool(asked.on) and self._may_go_on(request, invitation)
        return Answer.html(pages.login(given, invitation, at_once=at_once), scripts=True)

    @http("POST", "/login", page=True, form=InvitationForm)
    def log_in(self, request: Request) -> Answer:
        """Use the invitation and open a session in place of the browser's own; whoever is in by it already goes on."""
        given = request.form(InvitationForm).invitation
        invitation = self._invitation(given)
        if invitation is None:
            return self._no_login(refused=True)
        with self.app.work() as work:
            value = sessions.open_by(work, invitation)
            if value:
                sessions.close(work, request.cookie(self._cookie_name))
        own = value or sessions.is_of(self.app, request.cookie(self._cookie_name), invitation)
        if not own:
            return self._no_login(refused=True)
        headers = {"Set-Cookie": sessions.cookie(self.app.settings, self.app.service, value)} if value else {}
        return self._further(given, invitation, headers)

    @http("GET", "/oidc/start", page=True)
    def to_provider(self, _request: Request) -> Answer:
        """Send the browser to the OpenID provider, with a cookie that ties to it what it will bring back."""
        attempt = Attempt.begin()
        kept = sessions.kept(self._attempt_cookie, attempt.secret, ATTEMPT_VALID, self.app.settings, self.app.service)
        return Answer.leave(self._provider().where_to_log_in(attempt), {"Set-Cookie": kept})

    @http("GET", CALLBACK, page=True, query=Returned)
    def from_provider(self, request: Request) -> Answer:
        """Open a session, in place of the browser's own, for whom the provider let in, if the network knows them."""
        secret = request.cookie(self._attempt_cookie)
        caller = self._provider().caller(request.query(Returned), Attempt(secret) if secret else None)
        if caller.role not in self._roles or not self.knows(caller.role, caller.org):
            raise unknown_here()
        with self.app.work() as work:
            sessions.close(work, request.cookie(self._cookie_name))
            value = sessions.open_for(work, caller)
        return self._go("/", value)

    @http("POST", "/logout", page=True)
    def log_out(self, request: Request) -> Answer:
        """End the session, whoever has its cookie; and lead to where the provider ends its own, if that opened ours."""
        value = request.cookie(self._cookie_name)
        caller = sessions.find(self.app, value)
        with self.app.work() as work:
            sessions.close(work, value)
        openid = self._openid()
        if caller is None or not is_by_provider(caller) or not openid.configured:
            return self._go("/login", "")
        further = openid.where_to_log_out()
        if further is None:
            return self._go("/login", "")
        # No redirect: the policy lets a form lead nowhere but here.
        answer = Answer.html(pages.logged_out(further, self.app.settings.oidc_name))
        answer.headers["Set-Cookie"] = sessions.cookie(self.app.settings, self.app.service, "")
        return answer

    @http("GET", "/assets/once.js")
    def once_script(self, _request: Request) -> Answer:
        """What keeps « Entrer » from being pressed twice: the second answer would drop the first one's cookie."""
        return Answer.asset(pages.ONCE_SCRIPT, "text/javascript")

    def _may_go_on(self, request: Request, invitation: Invitation) -> bool:
        """Whether a script may press the button: not for another site, nor over another organisation's session."""
        if not request.is_led_here_by_us:
            return False
        caller = sessions.find(self.app, request.cookie(self._cookie_name))
        return caller is None or caller.org == invitation.org

    def _further(self, given: str, invitation: Invitation, headers: dict[str, str]) -> Answer:
        """To the next service that the invitation is for; from the last one back to where work begins."""
        services = invitation.services
        following = services[services.index(self.app.service) + 1 :]
        if not following and services[0] == self.app.service:
            return Answer.see_other("/", headers)
        if following:
            further = f"{self.app.settings.url(following[0])}/login?{urlencode({'invitation': given, 'on': '1'})}"
        else:
            further = f"{self.app.settings.url(services[0])}/"
        # No redirect: the policy lets a form lead nowhere but here.
        answer = Answer.html(pages.logged_in(further))
        answer.headers |= headers
        return answer

    def _invitation(self, token: str) -> Invitation | None:
        """Whom it invites here; None also when no page of this service is for that role."""
        found = self.tokens.check_invitation(token, service=self.app.service)
        return found if found and found.role in self._roles else None

    @property
    def _roles(self) -> set[Role]:
        """Those for whom this service has a page."""
        return {role for _, entry in entrypoints(type(self)) for role in entry.session or ()}

    def _openid(self) -> OpenId:
        return OpenId(self.app.settings, self.app.service, self.provider_memory)

    def _provider(self) -> OpenId:
        """Raises Rejected (404) where none is configured."""
        openid = self._openid()
        if not openid.configured:
            raise not_found()
        return openid

    def _no_login(self, *, refused: bool = False) -> Answer:
        settings = self.app.settings
        page = pages.no_login(refused=refused, provider=settings.oidc_name if settings.oidc_issuer else None)
        return Answer.html(page, status=403 if refused else 200)

    @property
    def _attempt_cookie(self) -> str:
        return f"{self._cookie_name}_oidc"

    @property
    def _cookie_name(self) -> str:
        return sessions.cookie_name(self.app.settings, self.app.service)

    def _go(self, location: str, cookie: str) -> Answer:
        header = sessions.cookie(self.app.settings, self.app.service, cookie)
        return Answer.see_other(location, {"Set-Cookie": header})
