"""What people write: never holding a social security number (NIR), which no service has a field for.

A NIR is sex, year, month, département, commune, order: 1, 2, 2, 2, 3 and 3 characters, then a key of 2 or none. Its
months go beyond 12 where the birth's is not known, its départements to 99 (born abroad), with 2A and 2B, and overseas
97 and 98 with a digit of the next three.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_SHAPE = re.compile(
    r"[1-478]\d\d(?:0[1-9]|1[0-2]|[235-9]\d|4[0-2])(?:0[1-9]|[1-9]\d|2[AB])(?!000)\d{3}(?!000)\d{3}(?:\d\d)?", re.ASCII
)
NIR = "Ce texte contient ce qui ressemble à un numéro de sécurité sociale : retirez-le."
_LENGTHS = (13, 15)
_FEWEST_DIGITS = 12  # of a Corsican's without the key
_DIGIT = re.compile(r"[\d²³¹⁰-⁹₀-₉①-⓿❶-➓🄀-🄊]")
# Characters, but for letters and the `+` of a telephone number, that people put between groups or digits.
_RUN = re.compile(r"(?:[0-9]|(?<![^\W\d_])[AB](?=[\W_]*[0-9])|(?!\+)[\W_])+")
_GROUP = re.compile(r"[0-9]*2[AB][0-9]+|[0-9]+|[AB]")
_ENDS_OF_PARTS = frozenset((1, 3, 5, 7, 10, 13))
_AFTER_THE_2_OF_2A = 6
_POSTAL_CODES = [5, 5, 5]
# Numbers that machines make, and in which chance would sometimes write a NIR.
_MADE = re.compile(r"(?<![^\W_])(?:[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}|[0-9A-F]{16,})(?![^\W_])")
_LETTERS = re.compile(r"[A-F]+")
_UNSEEN = frozenset(("Cf", "Mn", "Me"))  # soft hyphens, zero-width spaces, marks over a character


def holds_nir(text: str) -> bool:
    """Whether a text holds something shaped like a social security number, in any spelling.

    Its key may be wrong, as people mistype. But where the groups are not those of a NIR, nor each digit alone, only
    fifteen digits with the right key are one: else telephone numbers and amounts beside each other would be.
    """
    if len(text) < _LENGTHS[0] or len(_DIGIT.findall(text)) < _FEWEST_DIGITS:
        return False
    plain = _MADE.sub(_without_made, _plain(text))
    return any(_is_nir(groups) for run in _RUN.findall(plain) for groups in _candidates(_GROUP.findall(run)))


def _plain(text: str) -> str:
    """In capitals, every digit 0 to 9, without what nobody sees."""
    if text.isascii():
        return text.upper()
    seen = (each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) not in _UNSEEN)
    return "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in seen).upper()


def _without_made(found: re.Match[str]) -> str:
    """Nothing of a UUID or a digest, in which letters stand here and there; what merely has some beside it stays."""
    made = "-" in found[0] or len(_LETTERS.findall(found[0])) > 2  # noqa: PLR2004 - before, after, and once within
    return "" if made else found[0]


def _candidates(groups: list[str]) -> Iterator[list[str]]:
    """Neighbouring groups that are as long as a NIR together."""
    for first in range(len(groups)):
        length = 0
        for last in range(first, len(groups)):
            length += len(groups[last])
            if length in _LENGTHS:
                yield groups[first : last + 1]
            if length >= _LENGTHS[-1]:
                break


def _is_nir(groups: list[str]) -> bool:
    number, lengths = "".join(groups), [len(each) for each in groups]
    if not _SHAPE.fullmatch(number):
        return False
    ends = {sum(lengths[:number_of]) for number_of in range(1, len(lengths))}
    if not number.isdecimal():
        ends -= {_AFTER_THE_2_OF_2A}
    usual = (ends <= _ENDS_OF_PARTS and lengths != _POSTAL_CODES) or len(groups) == len(number)
    return usual or _key_fits(number)


def _key_fits(number: str) -> bool:
    """INSEE: 97 less the remainder by 97, with 19 for 2A and 18 for 2B."""
    digits = number[:13].replace("2A", "19").replace("2B", "18")
    return len(number) == _LENGTHS[-1] and int(number[13:]) == 97 - int(digits) % 97


def without_nir(text: str) -> str:
    """The text itself. Raises ValueError, in French, when it looks as if it held a NIR."""
    if holds_nir(text):
        raise ValueError(NIR)
    return text


WithoutNir = AfterValidator(without_nir)
FreeText = Annotated[str, StringConstraints(max_length=4000), WithoutNir]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200), WithoutNir]
Story = Annotated[str, StringConstraints(max_length=20000), WithoutNir]
