"""A service that tells by webhook, and somebody who receives."""

import os
from collections.abc import Iterator

import pytest

from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.settings import Settings
from services.chassis.vault import Vault
from tests.support.receiver import Receiver, receiver
from tests.support.webhooks import Moved


@pytest.fixture
def clock() -> Moved:
    """Make the clock of a test."""
    return Moved()


@pytest.fixture
def app(database: Database, clock: Moved) -> App:
    """Make the App of a service that tries again after tenths of a second, and for a day."""
    settings = Settings(webhook_delays="0.2,0.4,0.8,86398.6")
    return App("referral", settings, database, Vault(os.urandom(32)), clock=clock)


@pytest.fixture
def partner() -> Iterator[Receiver]:
    """Start a receiver."""
    with receiver() as started:
        yield started
