"""What is refused in a free text, and what is not."""

import pytest

from services.contracts.free_text import holds_nir


@pytest.mark.parametrize(
    "text",
    [
        "185057800608436",
        "Son numéro : 1 85 05 78 006 084 36, à rappeler",
        "2-99-12-2A-004-123",
        "2.55.08.99.123.456.78",
        "1850578006084",
    ],
)
def test_what_is_shaped_like_a_social_security_number_is_found(text: str) -> None:
    """With its key or without, spaced, dotted, dashed, Corsican."""
    assert holds_nir(text)


@pytest.mark.parametrize(
    "text",
    ["01 99 00 12 34", "06 12 34 56 78 puis 03 22 11 22 33", "le 14/03/2007 à 10 h", "80570", "dossier 123456789012"],
)
def test_phones_dates_and_file_numbers_pass(text: str) -> None:
    """A filter that refused these would teach agents to write nothing."""
    assert not holds_nir(text)
