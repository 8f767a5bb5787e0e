"""nameko's HTTP entrypoint with what the contract promises: roles, sessions, limits, problem documents, metrics."""

import inspect
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin
from urllib.parse import parse_qs

from eventlet import wsgi
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR
from nameko.web.handlers import HttpRequestHandler
from nameko.web.server import WebServer
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response

from services.chassis import logs, pages, problems, sessions, working
from services.chassis.clock import Ids
from services.chassis.crowding import Crowd
from services.chassis.errors import Rejected, RetryLater, Unavailable, forbidden
from services.chassis.provider import app_of
from services.chassis.tokens import Caller, Role, Tokens

F = TypeVar("F", bound=BaseModel)
_JSON, _HTML, _FORM = "application/json", "text/html; charset=utf-8", "application/x-www-form-urlencoded"
_FIELDS = 1000
_MANY = {list, tuple, set, frozenset}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": _POLICY,
}

# Without an Origin, which `no-referrer` makes "null", older browsers could post nothing to their own site. A page's
# address, which may hold an invitation, is told to nobody all the same.
_PAGE_HEADERS = {"Referrer-Policy": "strict-origin"}

log = logs.get(__name__)


@dataclass
class Answer:
    """What a service answers. `body` is a pydantic model, JSON data, text or bytes."""

    body: Any = None
    status: int = 200
    content_type: str = _JSON
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def html(cls, text: str, status: int = 200, *, scripts: bool = False) -> "Answer":
        """A page; only with `scripts` may it run any, and those of this service alone."""
        policy = {"Content-Security-Policy": f"{_POLICY}; script-src 'self'"} if scripts else {}
        return cls(text, status, _HTML, policy)

    @classmethod
    def asset(cls, text: str, kind: str) -> "Answer":
        """A file that a page refers to; `kind` is its media type, such as `text/css`. Browsers keep it for an hour."""
        return cls(text, content_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "max-age=3600"})

    @classmethod
    def see_other(cls, path: str, headers: dict[str, str] | None = None) -> "Answer":
        """Where of this service a browser shall go on (303), such as `/login`."""
        return cls.leave(f"{pages.ROOT}{path}", headers)

    @classmethod
    def leave(cls, url: str, headers: dict[str, str] | None = None) -> "Answer":
        """Where else a browser shall go on (303)."""
        return cls("", 303, _HTML, {"Location": url, **(headers or {})})

    def response(self, path: str) -> Response:
        """As werkzeug sends it to who asked for `path`; addresses of our own are written relative to it."""
        body, headers = self.body, {**_SAFE_HEADERS, **self.headers}
        if isinstance(body, BaseModel):
            body = body.model_dump_json()
        elif not isinstance(body, str | bytes):
            body = json.dumps(body, ensure_ascii=False, default=str)
        if self.content_type == _HTML:
            body = body.replace(pages.ROOT, _root(path))
            headers = {name: value.replace(pages.ROOT, _root(path)) for name, value in headers.items()}
        return Response(body, status=self.status, headers=headers, content_type=self.content_type)


def _root(path: str) -> str:
    """The way from `path` back to the first page: `.` from `/` and `/login`, `..` from `/a/b`."""
    return "/".join([".."] * (path.count("/") - 1)) or "."


class Request:
    """A request as a service sees it: who asks, and validated forms."""

    def __init__(self, request: WerkzeugRequest, caller: Caller | None) -> None:
        self._request = request
        self._caller = caller
        self.traceparent = Ids().trace_of(request.headers.get("traceparent"))

    @property
    def caller(self) -> Caller:
        """The bearer, or whose session it is; only where the entrypoint names roles."""
        if self._caller is None:
            raise Rejected("unauthorized", "Jeton attendu.", status=401)
        return self._caller

    @property
    def bearer(self) -> str:
        """The token itself, to ask another service on; empty without one."""
        return _bearer(self._request)

    @property
    def accept(self) -> str:
        """The Accept header."""
        return str(self._request.headers.get("Accept", "*/*"))

    @property
    def is_led_here_by_us(self) -> bool:
        """Whether the browser says that a page of this site led here; older ones, and those on plain HTTP, do not."""
        return self._request.headers.get("Sec-Fetch-Site") in {"same-origin", "same-site"}

    def cookie(self, name: str) -> str | None:
        """A cookie's value."""
        return self._request.cookies.get(name)

    def raw(self, content_type: str) -> bytes:
        """The body, which must be of this type. Raises Rejected (415)."""
        if self._request.mimetype != content_type:
            raise Rejected("unsupported-media-type", f"Le corps doit être de type {content_type}.", status=415)
        return bytes(self._request.get_data(cache=False))

    def body(self, form: type[F]) -> F:
        """The JSON body as `form`. Raises Rejected: 415, 400 when it is not JSON, 422 naming each field."""
        return problems.validate(form, self.raw(_JSON))

    def form(self, form: type[F]) -> F:
        """The fields of an HTML form as `form`. Raises Rejected: 415, 400 when it is none, 422 naming each field.

        A field that is a list gets every value sent under its name, any other one exactly one.
        """
        try:
            text = self.raw(_FORM).decode("ascii")
            sent = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
        except ValueError:
            raise Rejected("malformed", "Le formulaire est illisible.", status=400) from None
        many = _names_of_lists(form)
        try:
            return form.model_validate(
                {name: values if name in many or len(values) > 1 else values[0] for name, values in sent.items()}
            )
        except ValidationError as error:
            raise problems.invalid(error) from None

    def form_or_empty(self, form: type[F]) -> F:
        """The fields of an HTML form that was posted, or of the same form before anything was filled in."""
        return self.form(form) if self._request.method == "POST" else form()

    def query(self, form: type[F]) -> F:
        """The query string as `form`. Raises Rejected (422)."""
        try:
            return form.model_validate(self._request.args.to_dict())
        except ValidationError as error:
            raise problems.invalid(error) from None


def _bearer(request: WerkzeugRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return str(token.strip()) if scheme.lower() == "bearer" else ""


def _names_of_lists(form: type[BaseModel]) -> set[str]:
    def many(annotation: object) -> bool:
        return get_origin(annotation) in _MANY or any(map(many, get_args(annotation)))

    return {field.alias or name for name, field in form.model_fields.items() if many(field.annotation)}


class Server(WebServer):  # type: ignore[misc]
    """nameko's web server, silent, and with problem documents for unknown paths and methods."""

    def get_wsgi_app(self) -> Callable[..., Any]:
        """Wrap nameko's application."""
        inner = super().get_wsgi_app()

        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 - WSGI
            request = WerkzeugRequest(environ)
            try:
                provider, vars(request)["path_values"] = inner.url_map.bind_to_environ(environ).match()
            except HTTPException as error:
                return problems.of_http(error)(environ, start_response)
            return provider.handle_request(request)(environ, start_response)

        return app

    def get_wsgi_server(self, sock: Any, wsgi_app: Any, **_options: Any) -> Any:  # noqa: ANN401 - eventlet's
        """An eventlet server that logs no request line: our metrics count them, and a URL is nobody's business."""
        return wsgi.Server(
            sock,
            sock.getsockname(),
            wsgi_app,
            protocol=wsgi.HttpProtocol,
            debug=False,
            log_output=False,
            socket_timeout=60,
        )


class Http(HttpRequestHandler):  # type: ignore[misc]
    """`@http("POST", "/v1/visits", roles=("site",), form=VisitForm)`; `roles=None` is open to all.

    `session=("agent",)` names the roles whose session (`services.chassis.sessions`) it takes instead of a bearer token:
    who has none is sent to `/login`. `page=True` is a page that takes no session. In both, a refusal is an HTML page,
    a body is an HTML form, and whatever another site makes a browser post is refused. `reader=True` also takes the
    tokens by which another service's page asks as its reader (`Tokens.for_reader`). `at_once`: more requests of one
    organisation at a time are refused (429) before they take a worker.
    """

    server = Server()

    def __init__(  # noqa: PLR0913 - each is a word of the contract
        self,
        method: str,
        url: str,
        *,
        roles: tuple[Role, ...] | None = None,
        session: tuple[Role, ...] | None = None,
        page: bool = False,
        reader: bool = False,
        form: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        answer: type[BaseModel] | None = None,
        body_type: str | None = None,
        max_bytes: int | None = None,
        at_once: int | None = None,
        **options: Any,  # noqa: ANN401 - nameko's
    ) -> None:
        self.roles = roles
        self.session = session
        self.page = page or session is not None
        self.reader = reader
        self.form = form
        self.query_form = query
        self.answer = answer
        self.body_type = body_type or (_FORM if self.page else _JSON)
        self.max_bytes = max_bytes
        self.crowd = Crowd(at_once)
        super().__init__(method, url, **options)

    def start(self) -> None:
        """Called by nameko once everything is set up."""
        self.app = app_of(self.container)
        self.tokens = Tokens(self.app.settings)

    def handle_request(self, request: WerkzeugRequest) -> Response:
        """One request, from the door to the answer; never a traceback."""
        started = time.perf_counter()
        request.shallow = False
        try:
            response = self._answer(request).response(request.path)
        except Rejected as error:
            response = self._refusal(request, error)
        except RetryLater as error:
            response = self._refusal(request, problems.retry_later(error))
        except Unavailable:
            log.warning("unavailable", service=self.app.service, route=self.url)
            response = self._refusal(request, problems.UNAVAILABLE)
        except Exception as error:  # noqa: BLE001 - a bug: said in the log, not to the caller
            log.error("request failed", service=self.app.service, route=self.url, reason=logs.reason_of(error))  # noqa: TRY400
            response = self._refusal(request, problems.INTERNAL)
        if self.page:
            response.headers.update(_PAGE_HEADERS)
        self.app.metrics.requests.labels(self.app.service, self.url, str(response.status_code)).inc()
        self.app.metrics.request_seconds.observe(time.perf_counter() - started)
        return response

    def _refusal(self, request: WerkzeugRequest, error: Rejected) -> Response:
        if not self.page:
            return problems.response(error)
        page = pages.error(error, logged_in=vars(request).get("logged_in", False))
        return Answer(page, error.status, _HTML, error.headers).response(request.path)

    def _answer(self, request: WerkzeugRequest) -> Answer:
        if self.page:
            sessions.refuse_other_sites(request.method, request.headers, self.app.settings, self.app.service)
        caller = self._caller(request)
        if self.session and caller is None and request.method in {"GET", "HEAD"}:
            return Answer.see_other("/login")
        problems.refuse_nir(vars(request)["path_values"])
        limit = self.max_bytes or self.app.settings.max_body_bytes
        if request.content_length is None and request.headers.get("Transfer-Encoding"):
            raise Rejected("length-required", "Indiquez Content-Length.", status=411)
        if (request.content_length or 0) > limit:
            raise Rejected("too-large", f"Le corps dépasse {limit} octets.", status=413)
        with self.crowd.one_more(caller.org if caller else ""):
            answer = working.call(self, (Request(request, caller),), vars(request)["path_values"])
        assert isinstance(answer, Answer)
        return answer

    def _caller(self, request: WerkzeugRequest) -> Caller | None:
        if self.session is not None:
            return self._visitor(request, self.session)
        if self.roles is None:
            return None
        token = _bearer(request)
        if not token:
            headers = {"WWW-Authenticate": 'Bearer realm="relais"'}
            raise Rejected("unauthorized", "Un jeton Bearer est attendu.", status=401, headers=headers)
        caller = self.tokens.check(token, reader=self.reader)
        if caller.role not in self.roles:
            raise forbidden(f"Cet appel est réservé aux rôles : {', '.join(self.roles)}.")
        return caller

    def _visitor(self, request: WerkzeugRequest, roles: tuple[Role, ...]) -> Caller | None:
        """Whose session it is; None where a GET has none. Raises Rejected (403)."""
        caller = sessions.find(self.app, request.cookies.get(sessions.cookie_name(self.app.settings, self.app.service)))
        vars(request)["logged_in"] = caller is not None
        if caller is None and request.method not in {"GET", "HEAD"}:
            detail = "La session est terminée\u00a0: rien n’a été enregistré. Demandez un nouveau lien de connexion."
            raise Rejected("no-session", detail, status=403)
        if caller is not None and caller.role not in roles:
            raise forbidden("Cette page n’est pas ouverte à votre rôle.")
        return caller


http: Callable[..., Callable[[Any], Any]] = Http.decorator


def entrypoints(service: type) -> list[tuple[Any, Http]]:
    """Every method of a service that answers over HTTP, with what it was marked by."""
    return [
        (method, entry)
        for _, method in inspect.getmembers(service, inspect.isfunction)
        for entry in getattr(method, ENTRYPOINT_EXTENSIONS_ATTR, ())
        if isinstance(entry, Http)
    ]
