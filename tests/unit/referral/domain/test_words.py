"""Days, hours, numbers and steps as French says them."""

from datetime import UTC, datetime

import pytest

from services.contracts.codes import DeclineReason, ReferralOutcome, ReferralState, Waiting, WithdrawReason
from services.referral.domain import words

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (datetime(2026, 11, 24, 13, 30, tzinfo=UTC), "mardi 24 novembre à 14 h 30"),
        (datetime(2026, 7, 14, 8, 0, tzinfo=UTC), "mardi 14 juillet à 10 h"),
        (datetime(2026, 11, 30, 23, 5, tzinfo=UTC), "mardi 1er décembre à 0 h 05"),
        (datetime(2026, 12, 31, 22, 59, tzinfo=UTC), "jeudi 31 décembre à 23 h 59"),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), "vendredi 1er janvier 2027 à 0 h"),
        (datetime(2027, 3, 28, 1, 0, tzinfo=UTC), "dimanche 28 mars 2027 à 3 h"),
    ],
)
def test_a_moment_is_told_in_paris(at: datetime, told: str) -> None:
    """Summer, winter, the turn of the year, midnight; the year only where it is another one."""
    assert words.moment(at, NOW).replace("\u00a0", " ") == told


def test_nothing_of_a_moment_goes_to_the_next_line_but_the_hour() -> None:
    """The only breaking space is before « à »."""
    told = words.moment(datetime(2027, 11, 24, 13, 30, tzinfo=UTC), NOW)
    assert told.split(" ") == ["mercredi\u00a024\u00a0novembre\u00a02027", "à\u00a014\u00a0h\u00a030"]


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0 orientation"), (1, "1 orientation"), (2, "2 orientations"), (5000, "5\u202f000 orientations")],
)
def test_zero_and_one_are_singular(number: int, told: str) -> None:
    """As French has it."""
    assert words.counted(number, "orientation") == told.replace(" ", "\u00a0")
    assert words.counted(number, "orientation", "orientations") == words.counted(number, "orientation")


@pytest.mark.parametrize("code", [*DeclineReason, *ReferralOutcome, *WithdrawReason, *Waiting])
def test_every_reason_has_words(code: str) -> None:
    """No code is shown to anybody."""
    told = words.reason(code)
    assert told
    assert told != code


@pytest.mark.parametrize("state", ReferralState)
def test_every_state_has_words(state: ReferralState) -> None:
    """A step into it, and news in it."""
    assert "-" not in words.step(state, None, None)
    assert words.step(state, None, None, again=True).startswith("nouvelles données")


def test_what_happens_in_a_state_has_words() -> None:
    """A reminder and a call to the named contact, with what is waited for."""
    assert words.step("sent", "reminded", None) == "relance envoyée, une réponse est attendue"
    assert words.step("sent", "escalated", "not-received").endswith("\u00a0: pas d’accusé de réception")


def test_how_a_recipient_was_left_behind() -> None:
    """It declined, or it said nothing."""
    told = words.passed_on("declined", "no-capacity", "Mission locale", "France Travail")
    assert told == "Mission locale a décliné (plus de place), réadressée à France Travail"
    told = words.passed_on("expired", "not-answered", "Mission locale", "France Travail")
    assert told == "Mission locale n’a pas répondu à temps, réadressée à France Travail"


def test_a_duty_says_by_when_or_that_it_is_late() -> None:
    """And no day where none is set."""
    before = datetime(2026, 11, 25, 22, 59, 59, tzinfo=UTC)
    told = words.duty("Accuser réception", before, NOW).replace("\u00a0", " ")
    assert told == "accuser réception, au plus tard le mercredi 25 novembre."
    late = words.duty("Accuser réception", before, datetime(2026, 11, 26, 8, tzinfo=UTC)).replace("\u00a0", " ")
    assert late == "accuser réception. C’était attendu au plus tard le mercredi 25 novembre."
    assert words.duty("Revoir la personne", None, NOW) == "revoir la personne."
