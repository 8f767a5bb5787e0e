"""One POST to a real receiver: what it carries, and what it does not put up with."""

import subprocess
import sys
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.chassis import outbox, webhook_post
from services.chassis.app import App
from services.contracts.envelope import CONTENT_TYPE
from tests.support.certificates import Authority
from tests.support.house import eventually
from tests.support.receiver import Answer, Receiver, receiver
from tests.support.webhooks import lane, pending, reason, secret_of, subscribe, write


def test_what_arrives_is_the_ledgers_own_bytes_signed_as_the_standard_says(app: App, partner: Receiver) -> None:
    """Verified by the specification's own library, which refuses it with another byte or another secret."""
    subscribe(app, "one")
    secret = secret_of(app, "one")
    assert secret
    with lane(app, one=partner.url):
        (id_,) = write(app, "one")
        (arrival,) = eventually(lambda: partner.arrivals)
        eventually(lambda: pending(app) == 0)
    told = Webhook(secret).verify(arrival.body, arrival.headers)
    assert told == {"id": id_, "data": {"reason": "été"}}
    with app.read() as connection:
        (row,) = outbox.after(connection, 0, recipient="one", limit=2)
    assert arrival.body == row.body.encode()
    assert arrival.headers["content-type"] == CONTENT_TYPE
    assert arrival.headers["webhook-id"] == id_
    for body, key in ((arrival.body + b" ", secret), (arrival.body, "whsec_" + "A" * 40)):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(body, arrival.headers)


def test_who_answers_drop_by_drop_is_left_in_time(partner: Receiver) -> None:
    """Each byte in time, and the whole never: in a service, all of it must come within the limit."""
    partner.answer = lambda _: Answer(headers=(("X-Long", "x" * 1000),), drip=0.05)
    program = (
        "from services.chassis import green, webhook_post; import sys, time; webhook_post.SECONDS = 1.0\n"
        "started = time.monotonic()\n"
        "with webhook_post.new_client() as client:\n"
        "    outcome = webhook_post.post(client, sys.argv[1], [b'key'], 'id', '{}')\n"
        "print(outcome.reason, time.monotonic() - started)"
    )
    done = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", program, partner.url], capture_output=True, text=True, timeout=60, check=True
    )
    reason_told, _, seconds = done.stdout.rpartition(" ")
    assert reason_told == "no answer within 15 s"
    assert 1.0 <= float(seconds) < 10


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_refused(app: App, partner: Receiver, status: int) -> None:
    """Whoever it leads to gets nothing, and the reason says so without the address."""
    with receiver() as elsewhere, lane(app, one=partner.url):
        partner.answer = lambda _: Answer(status=status, headers=(("Location", elsewhere.url),))
        write(app, "one")
        eventually(lambda: reason(app))
        assert reason(app) == f"HTTP {status}, redirects are not followed"
        assert elsewhere.arrivals == []


@pytest.mark.parametrize(
    ("issued_for", "trusted", "words"),
    [
        (["127.0.0.1"], True, ""),
        (["127.0.0.1"], False, "TLS: certificate refused: unable to get local issuer certificate"),
        (["elsewhere.example"], True, "TLS: certificate refused: IP address mismatch"),
    ],
    ids=["trusted", "unknown authority", "another's name"],
)
def test_a_receiver_must_prove_who_it_is(  # noqa: PLR0913, PLR0917 - a certificate, and who trusts it
    app: App,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    issued_for: list[str],
    trusted: bool,  # noqa: FBT001 - a case of the table
    words: str,
) -> None:
    """By a certificate for its name, of an authority that this machine knows; otherwise nothing is sent."""
    authority = Authority(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_path))
    webhook_post._trusted.cache_clear()  # noqa: SLF001 - it is read once a process
    with receiver(authority.certificate(*issued_for)) as partner, lane(app, one=partner.url):
        write(app, "one")
        if words:
            eventually(lambda: words in reason(app))
            assert partner.arrivals == []
        else:
            eventually(lambda: partner.arrivals)
    webhook_post._trusted.cache_clear()  # noqa: SLF001 - same
