"""What of an exception may be written down."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from services.chassis.errors import Rejected
from services.chassis.logs import reason_of
from services.chassis.vault import VaultError

# What a person told, as a library might quote it; the marker makes sure that it occurs nowhere by chance.
told = st.text(max_size=200).map(lambda text: f"¤{text}¤")
foreign = st.sampled_from([ValueError, KeyError, OSError, UnicodeError, RuntimeError, AssertionError, LookupError])


def raised(error: Exception) -> Exception:
    """Give an exception the traceback that only raising gives."""
    try:
        raise error
    except type(error) as caught:
        return caught


@given(told, foreign)
def test_the_text_of_a_foreign_exception_is_never_told(text: str, kind: type[Exception]) -> None:
    """Only its kind, since a library may quote the data it choked on."""
    assert reason_of(raised(kind(text))) == kind.__name__


@given(told)
def test_neither_is_the_text_of_its_cause_nor_of_what_it_interrupted(text: str) -> None:
    """`from` and `while handling` may quote the same data."""
    error = KeyError(text)
    error.__cause__ = raised(ValueError(text))
    error.__context__ = raised(OSError(text))
    error.add_note(text)
    assert reason_of(raised(error)) == "KeyError"


@given(told)
def test_an_exception_of_another_package_that_borrows_our_names_is_foreign(text: str) -> None:
    """What counts is the module that defines it, in full."""
    for module in ("servicesx", "xservices.chassis", "other.services.chassis"):
        kind = type("Rejected", (Exception,), {"__module__": module})
        assert text not in reason_of(raised(kind(text)))


def test_our_own_errors_speak() -> None:
    """They are written not to quote anything, and an operator needs them: a `Rejected` says its slug alone."""
    assert reason_of(raised(Rejected("invalid", "Ce que la personne a dit."))) == "Rejected: invalid"
    assert reason_of(raised(VaultError("wrong key, or altered text"))) == "VaultError: wrong key, or altered text"


def test_the_place_where_our_code_called_the_library_is_told() -> None:
    """Module and line of the innermost frame of ours, and nothing of the library's."""
    with pytest.raises(ValidationError) as caught:
        Failing.model_validate_json('{"number": "¤told¤"}')
    assert "¤told¤" in str(caught.value)
    assert reason_of(caught.value) == "ValidationError"
    with pytest.raises(AttributeError) as inside:
        reason_of(None)  # type: ignore[arg-type]
    reason, _, line = reason_of(inside.value).rpartition(":")
    assert reason == "AttributeError at services.chassis.logs"
    assert line.isdigit()


def printed(program: str) -> str:
    """Run a program in a process of its own, since it changes how this one would log; all that it printed."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own
    return done.stdout + done.stderr


def test_a_library_that_logs_an_exception_does_not_quote_it() -> None:
    """Its own words and the kind of exception; above all nameko, which logs whatever ends a service."""
    said = printed(
        "import logging; from services.chassis import logs; logs.configure('info', 'json')\n"
        "for name in ('foreign', 'nameko.containers', 'amqp', 'sqlalchemy.pool'):\n"
        "    try: int('told')\n"
        "    except ValueError: logging.getLogger(name).critical('it %s', 'failed', exc_info=True)\n"
    )
    assert "told" not in said
    lines = [json.loads(line) for line in said.splitlines()]
    assert [(line["event"], line["reason"]) for line in lines] == [("it failed", "ValueError")] * 2


def test_a_green_thread_that_dies_does_not_print_why() -> None:
    """eventlet would print a traceback, and its last line is the library's own text."""
    said = printed(
        "from services.chassis import green\n"
        "import eventlet\n"
        "def die(): int('told')\n"
        "for start in (eventlet.spawn, eventlet.spawn_n, eventlet.GreenPool().spawn_n): start(die)\n"
        "eventlet.spawn(die).link(lambda thread: thread.wait())\n"
        "eventlet.sleep(0.1); print('alive')\n"
    )
    assert said == "alive\n"


class Failing(BaseModel):
    """Refuses what is no number, quoting it."""

    number: int
