"""What every service answers over HTTP besides its own calls: health, metrics, OpenAPI, schemas."""

from services.chassis import broker, metrics, openapi, pages
from services.chassis.app import App
from services.chassis.errors import Rejected, Unavailable, not_found
from services.chassis.http import Answer, Request, http
from services.contracts import schemas


class Web:
    """Base of the four nameko services."""

    app: App

    @http("GET", "/healthz")
    def healthz(self, _request: Request) -> Answer:
        """The process is alive."""
        return Answer({"status": "ok"})

    @http("GET", "/readyz")
    def readyz(self, _request: Request) -> Answer:
        """The broker and the database answer; 503 with the reason otherwise.

        Also 200 while the broker blocks publishers, since what is recorded waits in the outbox: `broker` tells it.
        """
        away = []
        try:
            self.app.database.ping()
        except Unavailable:
            away.append("database")
        if not broker.reachable(self.app.settings.broker_url):
            away.append("broker")
        if away:
            raise Rejected("not-ready", f"Injoignable : {', '.join(away)}.", status=503, headers={"Retry-After": "5"})
        if self.app.blocked:
            return Answer({"status": "ok", "broker": "blocked: its disk or memory is short"})
        return Answer({"status": "ok"})

    @http("GET", "/metrics")
    def metrics(self, _request: Request) -> Answer:
        """Prometheus exposition."""
        return Answer(self.app.metrics.text(), content_type=metrics.CONTENT_TYPE)

    @http("GET", "/openapi.json")
    def openapi(self, _request: Request) -> Answer:
        """This document."""
        return Answer(openapi.document(type(self), self.app.service, self.app.settings))

    @http("GET", "/schemas/<path:name>")
    def schema(self, _request: Request, name: str) -> Answer:
        """JSON Schema of an event version, or the AsyncAPI document."""
        document = schemas.documents().get(name)
        if document is None:
            raise not_found("Schéma inconnu.")
        return Answer(
            document, content_type="application/schema+json" if name != "asyncapi.json" else "application/json"
        )

    @http("GET", "/assets/relais.css")
    def stylesheet(self, _request: Request) -> Answer:
        """What all pages refer to: a file of our own, so that no page needs an inline style."""
        return Answer.asset(pages.STYLESHEET, "text/css")
