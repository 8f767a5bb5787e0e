"""One signed POST: its signature, and how long a receiver may ask for."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from standardwebhooks.webhooks import Webhook

from services.chassis import webhook_post

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def test_the_signature_is_that_of_the_specifications_library() -> None:
    """To the byte, for each of two keys, the first one first."""
    keys, body = [b"k" * 32, b"l" * 24], '{"reason": "été"}'
    stamp = str(int(NOW.timestamp()))
    expected = " ".join(Webhook(key).sign("msg_1", NOW, body) for key in keys)
    assert webhook_post.signature(keys, "msg_1", stamp, body.encode()) == expected


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("120", 120), ("0", 0), ("-5", 0), ("99999999", 86400), ("9" * 40, 86400), ("", None), ("soon", None)],
)
def test_retry_after_in_seconds(asked: str, seconds: int | None) -> None:
    """At most a day; what cannot be read asks for nothing."""
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert webhook_post._wait(asked) == expected  # noqa: SLF001 - every form of the header


def test_retry_after_as_a_date() -> None:
    """As HTTP writes dates; one that is past asks for nothing more."""
    later = webhook_post._wait(format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True))  # noqa: SLF001
    assert later is not None
    assert timedelta(seconds=115) < later <= timedelta(minutes=2)
    assert webhook_post._wait("Wed, 21 Oct 2015 07:28:00 GMT") == timedelta(0)  # noqa: SLF001 - same


@pytest.mark.parametrize("offset", ["+99999999999999999999", "-2359", "+9999"])
def test_a_date_beyond_all_dates_asks_for_nothing(offset: str) -> None:
    """Whatever the receiver writes, a POST has an outcome."""
    asked = webhook_post._wait(f"Fri, 31 Dec 9999 23:59:59 {offset}")  # noqa: SLF001 - every form of the header
    assert asked in {None, timedelta(hours=24)}
