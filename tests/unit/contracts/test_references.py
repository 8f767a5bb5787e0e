"""References: copied by hand, mistyped, read again."""

from hypothesis import given
from hypothesis import strategies as st

from services.contracts.references import new_reference, normalised_reference, shown_reference


@given(st.binary(min_size=7, max_size=7))
def test_a_reference_survives_being_copied_by_hand(random: bytes) -> None:
    """Lower case, no dashes, O for 0, l for 1 and Z for 2: the same reference."""
    reference = new_reference(random)
    assert [len(part) for part in reference.split("-")] == [4, 4, 4]
    copied = reference.lower().replace("-", " ").replace("0", "o").replace("1", "l").replace("2", "z")
    assert shown_reference(normalised_reference(copied) or "") == reference


@given(st.binary(min_size=7, max_size=7), st.integers(0, 11), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXY"))
def test_one_wrong_character_is_noticed(random: bytes, place: int, other: str) -> None:
    """The last character checks the others, so that a typing error finds nobody rather than somebody else."""
    right = new_reference(random).replace("-", "")
    wrong = right[:place] + other + right[place + 1 :]
    assert (normalised_reference(wrong) is None) == (wrong != right)


@given(st.binary(min_size=7, max_size=7), st.integers(0, 9))
def test_two_neighbours_swapped_are_noticed(random: bytes, place: int) -> None:
    """The commonest slip after the single wrong character."""
    right = new_reference(random).replace("-", "")
    swapped = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
    assert (normalised_reference(swapped) is None) == (swapped != right)
