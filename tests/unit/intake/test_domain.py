"""References, identities, and when a visit may be recorded."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.intake import domain

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@given(st.binary(min_size=7, max_size=7))
def test_a_reference_survives_being_copied_by_hand(random: bytes) -> None:
    """Lower case, no dashes, O for 0, l for 1 and Z for 2: the same reference."""
    reference = domain.new_reference(random)
    assert [len(part) for part in reference.split("-")] == [4, 4, 4]
    copied = reference.lower().replace("-", " ").replace("0", "o").replace("1", "l").replace("2", "z")
    assert domain.normalised_reference(copied) == reference.replace("-", "")


@given(st.binary(min_size=7, max_size=7), st.integers(0, 11), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXY"))
def test_one_wrong_character_is_noticed(random: bytes, place: int, other: str) -> None:
    """The last character checks the others, so that a typing error finds nobody rather than somebody else."""
    right = domain.new_reference(random).replace("-", "")
    wrong = right[:place] + other + right[place + 1 :]
    assert (domain.normalised_reference(wrong) is None) == (wrong != right)


@given(st.binary(min_size=7, max_size=7), st.integers(0, 9))
def test_two_neighbours_swapped_are_noticed(random: bytes, place: int) -> None:
    """The commonest slip after the single wrong character."""
    right = domain.new_reference(random).replace("-", "")
    swapped = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
    assert (domain.normalised_reference(swapped) is None) == (swapped != right)


def test_one_person_has_one_spelling() -> None:
    """Accents, apostrophes, hyphens and case do not make another person; a birth date does."""
    born = date(2007, 3, 14)
    spelt = domain.normalised_identity("L’Hermitte-Da Silva", "Zoé", born)
    assert spelt == domain.normalised_identity("LHERMITTE DA SILVA", "zoe", born)
    assert spelt != domain.normalised_identity("L’Hermitte-Da Silva", "Zoé", date(2007, 3, 15))


def test_a_live_visit_is_of_this_week() -> None:
    """Seven days back, five minutes ahead; history may be as old as it is, and never ahead."""
    week, ahead, second = timedelta(days=7), timedelta(minutes=5), timedelta(seconds=1)
    assert domain.timing_problem(NOW - week, NOW, live=True) is None
    assert "history" in (domain.timing_problem(NOW - week - second, NOW, live=True) or "")
    assert domain.timing_problem(NOW - 100 * week, NOW, live=False) is None
    assert domain.timing_problem(NOW + ahead, NOW, live=True) is None
    assert domain.timing_problem(NOW + ahead + second, NOW, live=False)


def test_the_day_is_the_counters_even_in_the_night_the_clocks_change() -> None:
    """Half past midnight in Paris is yesterday in UTC, in summer and in winter time."""
    assert domain.paris_day(datetime(2026, 10, 24, 22, 30, tzinfo=UTC)) == date(2026, 10, 25)
    assert domain.paris_day(datetime(2026, 10, 25, 23, 30, tzinfo=UTC)) == date(2026, 10, 26)
    assert domain.paris_day(datetime(2026, 10, 25, 22, 30, tzinfo=UTC)) == date(2026, 10, 25)
