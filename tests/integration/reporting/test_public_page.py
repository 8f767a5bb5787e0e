"""The public page, asked for again and again."""

from typing import Any

import pytest
from sqlalchemy import event

from services.chassis.app import App
from services.reporting.kept import Kept
from services.reporting.service import ReportingService
from tests.support.lives import take, told, visit
from tests.support.office import NETWORK


def test_a_year_is_read_once_in_five_minutes(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks in between gets the same page, without a word to the database."""
    now = 1000.0
    service: Any = ReportingService()
    service.app, service.network, service.public_page = app, NETWORK, Kept(300.0)
    monkeypatch.setattr(app.clock, "monotonic", lambda: now)
    asked: list[str] = []

    def note(*called: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        asked.append(called[2])

    event.listen(app.database.engine, "before_cursor_execute", note)
    request: Any = None
    first, once = service.home(request).body, len(asked)
    take(app, *[told(visit(None, occurred_at=app.clock.now())) for _ in range(20)])
    asked.clear()
    now += 299.0
    assert (service.home(request).body, asked) == (first, [])
    now += 1.0
    assert service.home(request).body != first
    assert len(asked) == once > 0
