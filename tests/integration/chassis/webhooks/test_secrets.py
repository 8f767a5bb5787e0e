"""What signs: made once, kept sealed, rotated."""

import os
import time
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs

from services.chassis import webhook_secrets
from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.pruning import Pruner
from services.chassis.vault import Vault, VaultError
from services.chassis.webhooks import Webhooks
from services.referral.domain.life import owner_of_words
from tests.support.databases import dump
from tests.support.house import eventually
from tests.support.receiver import Receiver
from tests.support.webhooks import DAY, Moved, lane, pending, reason, running, secret_of, subscribe, write


def test_without_a_secret_nothing_is_sent_and_nothing_is_lost(app: App, partner: Receiver) -> None:
    """The log names who lacks one, the list says what waits for it; once made, everything arrives."""
    subscribe(app, "one")
    webhooks = Webhooks(app, {"one": partner.url})
    with capture_logs() as logged, running(webhooks):
        ids = write(app, "one", "one")
        eventually(lambda: logged)
        time.sleep(0.5)
        assert partner.arrivals == []
        assert reason(app) == "no secret yet"
        assert pending(app) == 2
        secret_of(app, "one")
        eventually(lambda: pending(app) == 0)
    assert [(line["event"], line["recipient"]) for line in logged] == [("webhook without secret", "one")]
    assert partner.ids == ids


def test_after_a_rotation_both_secrets_verify_for_a_day(app: App, partner: Receiver, clock: Moved) -> None:
    """And then the new one only; a second secret is not made unasked."""
    old = secret_of(app, "one")
    with lane(app, one=partner.url) as webhooks:
        assert secret_of(app, "one") is None
        new = secret_of(app, "one", rotate=True)
        assert old
        assert new
        for number, by in enumerate((timedelta(0), DAY - timedelta(minutes=1), DAY + timedelta(minutes=1))):
            clock.by = by
            write(app, "one")
            eventually(lambda number=number: len(partner.arrivals) > number)  # type: ignore[misc]
            # What a round signs with, it looked up before.
            eventually(lambda: not webhooks._receivers["one"].busy)  # noqa: SLF001 - the end of the round
    first, late, after = partner.arrivals
    for secret in (old, new):
        for arrival in (first, late):
            Webhook(secret).verify(arrival.body, arrival.headers)
    Webhook(new).verify(after.body, after.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(after.body, after.headers)
    clock.by = DAY * 3
    assert Pruner(app, relayed_outside=False).prune()["webhook_secrets"] == 1


def test_secrets_lie_sealed(app: App, database: Database) -> None:
    """Nothing of them is readable in the database, and another master key opens none."""
    secret = secret_of(app, "one")
    assert secret
    url = database.engine.url.render_as_string(hide_password=False)
    stored = "".join(dump(url).values())
    assert secret.removeprefix("whsec_") not in stored
    assert secret.encode().hex() not in stored
    other = App("referral", app.settings, database, Vault(os.urandom(32)))
    with pytest.raises(VaultError), other.work() as work:
        webhook_secrets.signing(work, "one")
    with app.read() as connection:
        (owner,) = connection.scalars(text("SELECT owner FROM vault_keys"))
    assert UUID(str(owner)).version == 3


def test_its_key_is_nobodys_elses(app: App) -> None:
    """Whatever id a partner gives a referral, the words in it are not sealed with the key of a webhook's secret."""
    secret_of(app, "one")
    with app.read() as connection:
        owners = {UUID(str(owner)) for owner in connection.scalars(text("SELECT owner FROM vault_keys"))}
    assert len(owners) == 1
    assert owner_of_words(None, webhook_secrets._OWNERS, "one") not in owners  # noqa: SLF001 - the one that was equal
