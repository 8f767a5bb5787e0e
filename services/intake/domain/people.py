"""Who may be the same person: names and birth dates as they are spelt at one counter and at another.

Phone and address are never compared: two people at one address with one phone stay two.
"""

import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Literal

# What stands before a name and is often left out, or written in one with it.
_PARTICLES = frozenset(
    ("d", "de", "du", "des", "l", "la", "le", "les", "von", "van", "der", "den", "ter", "ten", "zu", "da", "do", "dos",
     "das", "di", "del", "della", "ben", "bin", "ibn", "bint", "ould", "ait", "el", "al", "o")
)  # fmt: skip
_WRITTEN_OUT = {"st": "saint", "ste": "sainte"}


def _plain(code: int) -> str:
    """What a character becomes: itself, if a letter; nothing, if an accent; else the space between two words."""
    letter = chr(code)
    return letter if letter.isalpha() else "" if unicodedata.combining(letter) else " "


class _Plain(dict[int, str]):
    """What each character becomes: Latin letters and accents are in it, any other is looked at whenever it comes."""

    def __missing__(self, code: int) -> str:
        return _plain(code)


_LATIN_AND_ACCENTS = range(0x370)
_PLAIN = _Plain({code: _plain(code) for code in _LATIN_AND_ACCENTS})
# Letters that no decomposition takes apart.
_PLAIN |= str.maketrans(
    {"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "\u0131": "i"}
)
# Twins may be called Léa and Léo: a shorter given name with another letter is another name.
_LEAST_FAMILY, _LEAST_GIVEN = 3, 4

_TYPO = "Une lettre diffère ou deux sont interverties dans le {}."
_PART = "Une partie d’un nom composé manque ou a changé de place dans le {}."
_FAMILY, _GIVEN = "nom", "prénom"
_SWAPPED = "Le nom et le prénom sont intervertis."
_SAME = "Mêmes nom, prénom et date de naissance."
_DAY_AND_MONTH = "Le jour et le mois de naissance sont intervertis."
_TWO_DIGITS = "Deux chiffres de la date de naissance sont intervertis."
_ONE_DIGIT = "Un chiffre de la date de naissance diffère."


@dataclass(frozen=True, slots=True)
class Name:
    """A family name or given names: `letters` in one word; `spellings` also without particles; `parts` without them."""

    letters: str
    spellings: frozenset[str]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Whom names and a birth date tell of, whatever their spelling."""

    family: Name
    given: Name
    born: date

    def names(self) -> str:
        """One spelling for the names, whichever field each was written in."""
        return "|".join(sorted((self.family.letters, self.given.letters)))


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much two persons are alike, and why, in French: never a name or a date."""

    kind: Literal["exact", "near"]
    why: tuple[str, ...]


def person(family_name: str, given_name: str, birth_date: date) -> Person:
    """A person to be compared."""
    return Person(_name(family_name), _name(given_name), birth_date)


def likeness(sought: Person, stored: Person) -> Likeness | None:
    """Equal after normalisation, or with a single difference that a slip of the pen makes; None for anybody else."""
    born = "" if sought.born == stored.born else _slip(sought.born, stored.born)
    if born is None:
        return None
    near = None
    for family, given, swapped in ((stored.family, stored.given, ()), (stored.given, stored.family, (_SWAPPED,))):
        differences = _differences(sought, family, given)
        if differences is None:
            continue
        slips = (*differences, *((born,) if born else ()))
        if not slips:
            return Likeness("exact", swapped or (_SAME,))
        if len(slips) == 1:
            near = near or Likeness("near", (*swapped, *slips))
    return near


def _differences(sought: Person, family: Name, given: Name) -> list[str] | None:
    """What differs, name by name; None when one of them is another name."""
    differences = []
    for mine, other, field, least in (
        (sought.family, family, _FAMILY, _LEAST_FAMILY),
        (sought.given, given, _GIVEN, _LEAST_GIVEN),
    ):
        if mine.spellings.isdisjoint(other.spellings):
            difference = _difference(mine, other, least)
            if difference is None:
                return None
            differences.append(difference.format(field))
    return differences


def _difference(one: Name, other: Name, least: int) -> str | None:
    for mine in one.spellings:
        for theirs in other.spellings:
            if max(len(mine), len(theirs)) >= least and _one_typo(mine, theirs):
                return _TYPO
    mine_parts, their_parts = set(one.parts), set(other.parts)
    return _PART if mine_parts <= their_parts or their_parts <= mine_parts else None


def _one_typo(one: str, other: str) -> bool:
    """Whether a letter was replaced, left out or put in, or two neighbours were swapped; false for equal words."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    one, other = one[start:], other[start:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) == 1 or (len(one) == len(other) == 2 and one == other[::-1])  # noqa: PLR2004


def _slip(sought: date, stored: date) -> str | None:
    if (sought.day, sought.month, sought.year) == (stored.month, stored.day, stored.year):
        return _DAY_AND_MONTH
    one, other = f"{sought:%d%m%Y}", f"{stored:%d%m%Y}"
    differing = [place for place in range(len(one)) if one[place] != other[place]]
    if len(differing) == 1:
        return _ONE_DIGIT
    if len(differing) == 2:  # noqa: PLR2004
        first, last = differing
        return _TWO_DIGITS if (one[first], one[last]) == (other[last], other[first]) else None
    return None


def _name(text: str) -> Name:
    # Composed letters that casefold takes apart come out alike whichever way they were typed.
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    words = [_WRITTEN_OUT.get(word, word) for word in plain.translate(_PLAIN).split()]
    letters = "".join(words) or text.casefold()
    parts = tuple(word for word in words if word not in _PARTICLES)
    spellings = {letters}
    if parts:
        spellings.add("".join(parts))
        while words[0] in _PARTICLES:
            del words[0]
            spellings.add("".join(words))
    return Name(letters, frozenset(spellings), parts or (letters,))
