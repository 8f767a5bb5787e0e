"""nameko's HTTP entrypoint with what the contract promises: roles, limits, problem documents, metrics."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eventlet import wsgi
from eventlet.event import Event as Result
from nameko.web.handlers import HttpRequestHandler
from nameko.web.server import WebServer
from pydantic import BaseModel, TypeAdapter, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response

from services.chassis import logs, problems
from services.chassis.clock import Ids
from services.chassis.errors import Rejected, RetryLater, Unavailable, forbidden
from services.chassis.provider import app_of
from services.chassis.tokens import Caller, Role, Tokens

F = TypeVar("F", bound=BaseModel)
_TRACEPARENT = re.compile(r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
_SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
}

log = logs.get(__name__)


@dataclass
class Answer:
    """What a service answers. `body` is a pydantic model, JSON data, text or bytes."""

    body: Any = None
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def html(cls, text: str) -> "Answer":
        """A page."""
        return cls(text, content_type="text/html; charset=utf-8")

    def response(self) -> Response:
        """As werkzeug sends it."""
        body = self.body
        if isinstance(body, BaseModel):
            body = body.model_dump_json()
        elif not isinstance(body, str | bytes):
            body = json.dumps(body, ensure_ascii=False, default=str)
        headers = {**_SAFE_HEADERS, **self.headers}
        return Response(body, status=self.status, headers=headers, content_type=self.content_type)


class Request:
    """A request as a service sees it: who asks, and validated forms."""

    def __init__(self, request: WerkzeugRequest, caller: Caller | None) -> None:
        self._request = request
        self._caller = caller
        given = request.headers.get("traceparent", "")
        self.traceparent = given if _TRACEPARENT.match(given) else Ids().new_trace()

    @property
    def caller(self) -> Caller:
        """The bearer; only where the entrypoint names roles."""
        if self._caller is None:
            raise Rejected("unauthorized", "Jeton attendu.", status=401)
        return self._caller

    @property
    def accept(self) -> str:
        """The Accept header."""
        return str(self._request.headers.get("Accept", "*/*"))

    def raw(self, content_type: str) -> bytes:
        """The body, which must be of this type. Raises Rejected (415)."""
        if self._request.mimetype != content_type:
            raise Rejected("unsupported-media-type", f"Le corps doit être de type {content_type}.", status=415)
        return bytes(self._request.get_data(cache=False))

    def body(self, form: type[F]) -> F:
        """The JSON body as `form`. Raises Rejected: 415, 400 when it is not JSON, 422 naming each field."""
        return validate(form, self.raw("application/json"))

    def query(self, form: type[F]) -> F:
        """The query string as `form`. Raises Rejected (422)."""
        try:
            return form.model_validate(self._request.args.to_dict())
        except ValidationError as error:
            raise problems.invalid(error) from None


def validate(form: type[F] | TypeAdapter[F], body: bytes) -> F:
    """JSON bytes as `form`. Raises Rejected: 400 when it is not JSON, 422 naming each wrong field."""
    try:
        return form.validate_json(body) if isinstance(form, TypeAdapter) else form.model_validate_json(body)
    except ValidationError as error:
        raise problems.invalid(error) from None


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
    """`@http("POST", "/v1/visits", roles=("site",), form=VisitForm)`; `roles=None` is open to all."""

    server = Server()

    def __init__(  # noqa: PLR0913 - each is a word of the contract
        self,
        method: str,
        url: str,
        *,
        roles: tuple[Role, ...] | None = None,
        form: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        answer: type[BaseModel] | None = None,
        body_type: str = "application/json",
        max_bytes: int | None = None,
        **options: Any,  # noqa: ANN401 - nameko's
    ) -> None:
        self.roles = roles
        self.form = form
        self.query_form = query
        self.answer = answer
        self.body_type = body_type
        self.max_bytes = max_bytes
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
            response = self._answer(request).response()
        except Rejected as error:
            response = problems.response(error)
        except RetryLater as error:
            response = problems.response(problems.retry_later(error))
        except Unavailable:
            log.warning("unavailable", service=self.app.service, route=self.url)
            response = problems.response(problems.UNAVAILABLE)
        except Exception as error:  # noqa: BLE001 - a bug: said in the log, not to the caller
            log.error("request failed", service=self.app.service, route=self.url, reason=logs.reason_of(error))  # noqa: TRY400
            response = problems.response(problems.INTERNAL)
        self.app.metrics.requests.labels(self.app.service, self.url, str(response.status_code)).inc()
        self.app.metrics.request_seconds.observe(time.perf_counter() - started)
        return response

    def _answer(self, request: WerkzeugRequest) -> Answer:
        caller = self._caller(request)
        limit = self.max_bytes or self.app.settings.max_body_bytes
        if request.content_length is None and request.headers.get("Transfer-Encoding"):
            raise Rejected("length-required", "Indiquez Content-Length.", status=411)
        if (request.content_length or 0) > limit:
            raise Rejected("too-large", f"Le corps dépasse {limit} octets.", status=413)
        result = Result()

        def done(_context: object, value: object, raised: Any) -> tuple[object, Any]:  # noqa: ANN401 - nameko's
            result.send(value, raised)
            return value, None

        self.container.spawn_worker(self, (Request(request, caller),), vars(request)["path_values"], handle_result=done)
        answer = result.wait()
        assert isinstance(answer, Answer)
        return answer

    def _caller(self, request: WerkzeugRequest) -> Caller | None:
        if self.roles is None:
            return None
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            headers = {"WWW-Authenticate": 'Bearer realm="relais"'}
            raise Rejected("unauthorized", "Un jeton Bearer est attendu.", status=401, headers=headers)
        caller = self.tokens.check(token.strip())
        if caller.role not in self.roles:
            raise forbidden(f"Cet appel est réservé aux rôles : {', '.join(self.roles)}.")
        return caller


http: Callable[..., Callable[[Any], Any]] = Http.decorator
