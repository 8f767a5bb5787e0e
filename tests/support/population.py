"""A made-up population, and how its people are written down when they come back: neatly, otherwise, or wrongly."""

import tomllib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

_NAMES: dict[str, Any] = tomllib.loads(Path(__file__).with_name("names.toml").read_text())
_YOUNGEST, _DAYS = date(2010, 12, 31), 70 * 365
_PARTICLES = (
    "De La ",
    "Van Der ",
    "Da ",
    "De ",
    "Dos ",
    "Du ",
    "Le ",
    "El ",
    "Ben ",
    "Van ",
    "Aït ",
    "D’",
    "L’",
    "N’",
    "M’",
)


@dataclass(frozen=True)
class Someone:
    """As somebody is written down."""

    family_name: str
    given_name: str
    birth_date: date

    def form(self) -> dict[str, str]:
        """As an agent types it in."""
        return {
            "family_name": self.family_name,
            "given_name": self.given_name,
            "birth_date": self.birth_date.isoformat(),
        }


class Population:
    """People as they come one after the other: always the same for the same seed.

    One in ten is of a family from elsewhere, and one in six of these has 1 January for a birth date; 1 % are twins of
    the one before, 0.2 % have the very names and birth date of another; 7 % have a double family name.
    """

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)  # noqa: S311 - made-up people, no secret

    def people(self, number: int) -> list[Someone]:
        """So many of them."""
        found: list[Someone] = []
        while len(found) < number:
            fate = self.random.random()
            if found and fate < 0.01:
                found.append(self._twin(found[-1]))
            elif found and fate < 0.012:
                found.append(self.random.choice(found))
            else:
                found.append(self._newcomer())
        return found

    def _newcomer(self) -> Someone:
        random = self.random
        day = _YOUNGEST - timedelta(days=random.randrange(_DAYS))
        if random.random() < 0.1:
            names = random.choice(_NAMES["elsewhere"])
            if random.random() < 1 / 6:
                day = day.replace(month=1, day=1)
            return Someone(random.choice(names["family"]), random.choice(names["given"]), day)
        family = self._family()
        if random.random() < 0.07:
            family = f"{family}{random.choice('- ')}{self._family()}"
        return Someone(family, self._given(), day)

    def _twin(self, other: Someone) -> Someone:
        twin = other
        while twin.given_name == other.given_name:
            twin = replace(other, given_name=self._given())
        return twin

    def _family(self) -> str:
        # The two hundred most common names are borne by far fewer than three in ten: there are more homonyms here.
        if self.random.random() < 0.3:
            return str(self.random.choices(_NAMES["family"], cum_weights=self._family_weights)[0])
        return str(self.random.choice(_NAMES["beginnings"]) + self.random.choice(_NAMES["endings"]))

    def _given(self) -> str:
        return str(self.random.choices(_NAMES["given"], cum_weights=self._given_weights)[0])

    @cached_property
    def _family_weights(self) -> list[float]:
        return _falling(_NAMES["family"])

    @cached_property
    def _given_weights(self) -> list[float]:
        return _falling(_NAMES["given"])


def otherwise(someone: Someone, random: Random) -> Someone:
    """The same person by another hand: accents, case, hyphens, apostrophes, particles, fields; no letter is wrong."""
    written = someone
    for way in random.sample(_WAYS, random.randint(1, 3)):
        family, given = way(written.family_name, random), way(written.given_name, random)
        written = replace(written, family_name=family or written.family_name, given_name=given or written.given_name)
    if random.random() < 0.1:
        written = replace(written, family_name=written.given_name, given_name=written.family_name)
    return written


def wrongly(someone: Someone, random: Random) -> Someone:
    """With one slip of the pen: in a name three times in five, in the birth date, or a part of a double name gone."""
    fate = random.random()
    if fate < 0.3:
        return _slipped(someone, random)
    parts = someone.family_name.replace("-", " ").split(" ")
    if fate < 0.4 and len(parts) == 2 and not someone.family_name.startswith(_PARTICLES):
        return replace(someone, family_name=random.choice(parts))
    if random.random() < 0.5:
        return replace(someone, family_name=_typo(someone.family_name, random))
    return replace(someone, given_name=_typo(someone.given_name, random))


def _slipped(someone: Someone, random: Random) -> Someone:
    """A wrong digit, two swapped, or day and month: whatever is a date, and another."""
    born = someone.birth_date
    while True:
        digits = list(f"{born:%Y%m%d}")
        fate, place = random.random(), random.randrange(len(digits))
        if fate < 0.4:
            digits[place] = random.choice("0123456789")
        elif fate < 0.7 and place:
            digits[place - 1], digits[place] = digits[place], digits[place - 1]
        else:
            digits = list(f"{born:%Y%d%m}")
        try:
            other = date.fromisoformat("".join(digits))
        except ValueError:
            continue
        if other != born and date(1900, 1, 1) < other < _YOUNGEST:
            return replace(someone, birth_date=other)
        if random.random() < 0.05:
            return replace(someone, family_name=_typo(someone.family_name, random))


def _typo(name: str, random: Random) -> str:
    """One letter of it, wrong in one of four ways."""
    places = [place for place, letter in enumerate(name) if letter.isalpha()]
    wrong = name
    while wrong == name:
        place, letter = random.choice(places), random.choice("abcdefghijklmnopqrstuvwxyz")
        wrong = random.choice(
            (
                name[:place] + letter + name[place + 1 :],
                name[:place] + letter + name[place:],
                name[:place] + name[place + 1 :] if len(places) > 1 else name,
                name[:place] + name[place : place + 2][::-1] + name[place + 2 :],
            )
        )
    return wrong


def _without_accents(name: str, _random: Random) -> str:
    return "".join(one for one in unicodedata.normalize("NFD", name) if not unicodedata.combining(one))


def _loud(name: str, _random: Random) -> str:
    return name.upper()


def _decomposed(name: str, _random: Random) -> str:
    return unicodedata.normalize("NFD", name)


def _otherwise_joined(name: str, random: Random) -> str:
    return name.replace("-", random.choice((" ", "", "–"))).replace("’", random.choice((" ", "'", "")))


def _in_one_word(name: str, _random: Random) -> str:
    return name.replace(" ", "")


def _without_particle(name: str, _random: Random) -> str:
    return next((name.removeprefix(particle) for particle in _PARTICLES if name.startswith(particle)), name)


def _without_ligature(name: str, _random: Random) -> str:
    return name.replace("œ", "oe").replace("æ", "ae")


_Way = Callable[[str, Random], str]
_WAYS: Sequence[_Way] = (
    _without_accents, _without_accents, _loud, _loud, _decomposed, _otherwise_joined, _otherwise_joined, _in_one_word,
    _without_particle, _without_ligature,
)  # fmt: skip


def _falling(names: Sequence[str]) -> list[float]:
    return list(accumulate(1 / (rank + 10) for rank in range(len(names))))
