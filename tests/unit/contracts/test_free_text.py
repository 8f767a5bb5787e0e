"""What is refused in a free text, and what is not."""

import hashlib
import random
import re
import time
from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

import pytest

from services.contracts.free_text import holds_nir, without_nir

# A woman of 1992, born in Corsica, in metropolitan France, overseas, abroad; months unknown; sexes that are not 1 or 2.
NUMBERS = [
    "185057800608491",
    "292032A004123",
    "292032B004123",
    "285051230612378",
    "2850597123456",
    "2850598712345",
    "285059935012345",
    "100207800608491",
    "199427800608491",
    "285507800608491",
    "285997800608491",
    "385057800608491",
    "485057800608491",
    "785057800608491",
    "885057800608491",
]
GROUPS = re.compile(r"(.)(..)(..)(..)(...)(...)(..)?")
SPACES = [*" \t\n\v\f\r\x85", *map(chr, (0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000))]
UNSEEN = [*map(chr, (0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF))]
DASHES = [*"-‐‑‒–—―−﹘﹣－"]  # noqa: RUF001 - each is one that somebody types or an editor makes
OTHERS = [*"._,/;:|·•*'’()[]\\⁄…", " - ", ", ", " / ", "\r\n    ", " . ", "…"]  # noqa: RUF001 - as above
ZEROS = "٠۰०০０𝟎𝟘𝟬𝟶⁰₀"  # of other scripts and widths


def grouped(number: str, separator: str) -> str:
    """As it stands on the card."""
    found = GROUPS.fullmatch(number)
    assert found
    return separator.join(filter(None, found.groups()))


@pytest.mark.parametrize("separator", ["", *SPACES, *UNSEEN, *DASHES, *OTHERS], ids=ascii)
def test_whatever_stands_between_its_groups_or_its_digits_it_is_found(separator: str) -> None:
    """With its key or without, in capitals or not, in the midst of a text."""
    for spelt in [each for number in NUMBERS for each in (grouped(number, separator), separator.join(number))]:
        assert holds_nir(spelt)
        assert holds_nir(f"Son numéro : {spelt.lower()}, à rappeler le 14/03 au 03 22 11 22 33")


@pytest.mark.parametrize("zero", ZEROS, ids=ascii)
def test_digits_of_any_script_and_width_are_digits(zero: str) -> None:
    """Full-width ones of an Asian keyboard, Arabic ones, the bold ones of a mathematician, superscripts."""
    other = "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(each)] if zero == "⁰" else chr(ord(zero) + int(each)) for each in NUMBERS[0])
    assert holds_nir(other)
    assert holds_nir(grouped(other, " "))


@pytest.mark.parametrize(
    "text",
    [
        "NIR185057800608491",
        "NIR:1850578006084clé 91",
        "née185057800608491le14mars",
        "cafe185057800608491",
        "n°185057800608491.",
        "a1850578006084",
        "292032a004123abc",
        "1 85 0578 006084",
        "185 05 78006084 91",
        "1850578 006084-91",
        "2 92 03 2 A 004 123",
        "1️⃣8️⃣5️⃣0️⃣5️⃣7️⃣8️⃣0️⃣0️⃣6️⃣0️⃣8️⃣4️⃣",
        "0322112233, puis 185057800608491",
        "185057800608492 (mal recopié : la clé est 91)",
    ],
)
def test_it_is_found_glued_to_letters_grouped_anyhow_and_mistyped(text: str) -> None:
    """Groups may be joined; a wrong key changes nothing."""
    assert holds_nir(text)


def test_cut_where_no_part_ends_it_is_found_by_its_key() -> None:
    """In threes, fours or pairs it could be anything else: then only the key tells."""
    for spelt in ("185 057 800 608 491", "1850 5780 0608 491", "18 50 57 80 06 08 49 1", "18505 78006 08491"):
        assert holds_nir(spelt)
        assert not holds_nir(spelt[:-1] + "2")


@pytest.mark.parametrize(
    "text",
    [
        "01 99 00 12 34",
        "06 12 34 56 78 puis 03 22 11 22 33",
        "+33 6 12 34 56 78, +33 3 22 11 22 33",
        "le 14/03/2007 à 10 h, le 15/04/2008 à 14 h 30",
        "2026-11-20T09:30:00+01:00",
        "80570",
        "80570, 80110, 80500",
        "dossier 123456789012",
        "SIRET 123 456 789 00012",
        "12345678900012",
        "FR76 3000 6000 0112 3456 7890 189",
        "CAF 1234567",
        "4970 1000 0000 0055",
        "0193508e-7a5c-7cc1-9a59-3f6d0c7a2b11",
        "5850578006084",  # no such sex
        "1851378006084",  # no such month
        "1854978006084",
        "1850500006084",  # no such département
        "1850578000084",  # no such commune
        "1850578006000",  # nobody's order
        "18505780060849",  # fourteen
        "1850578006084910",  # sixteen
        "",
    ],
)
def test_phones_dates_and_file_numbers_pass(text: str) -> None:
    """A filter that refused these would teach agents to write nothing."""
    assert not holds_nir(text)


class Ordinary:
    """What people write that has many digits, by chance from a fixed seed."""

    def __init__(self) -> None:
        self._chance = random.Random(6)  # noqa: S311 - for a test

    def digits(self, number: int) -> str:
        """So many."""
        return "".join(self._chance.choices("0123456789", k=number))

    def some(self, one: Callable[[], str], most: int) -> str:
        """One to `most` of them, side by side."""
        between = self._chance.choice([", ", " / ", "\n", " ", " ou ", " ; "])
        return between.join(one() for _ in range(self._chance.randint(1, most)))

    def phone(self) -> str:
        """Of ten digits, or with +33."""
        pairs = [self._chance.choice(["01", "02", "03", "04", "05", "06", "07", "09"]), *map(self.digits, (2, 2, 2, 2))]
        if self._chance.random() < 0.2:
            pairs[:1] = ["+33", pairs[0][1]]
        return self._chance.choice([" ", ".", "-", ""]).join(pairs)

    def day(self) -> str:
        """In the usual spellings."""
        told = date(1930, 1, 1) + timedelta(days=self._chance.randrange(35000))
        return told.strftime(self._chance.choice(["%d/%m/%Y", "%d.%m.%y", "%Y-%m-%d", "%d-%m-%Y", "%d %m %Y"]))

    def siret(self) -> str:
        """In one piece or as INSEE writes it."""
        siren = [self.digits(3) for _ in range(3)]
        return self._chance.choice([" ", ""]).join([*siren, f"000{self.digits(2)}"])

    def iban(self) -> str:
        """French."""
        text = f"FR{self.digits(25)}"
        return " ".join(text[start : start + 4] for start in range(0, 27, 4))

    def amount(self) -> str:
        """Of euros."""
        return f"{self._chance.randint(1, 20)} {self.digits(3)},{self.digits(2)}{self._chance.choice([' €', ''])}"

    def note(self) -> str:
        """Several of them in a sentence."""
        return (
            f"{self.phone()}, {self._chance.randint(1, 6)} enfants, né le {self.day()}, CAF {self.digits(7)}, loyer"
            f" {self.amount()}, {self._chance.randint(1, 99)} rue X, 80{self.digits(3)} Y, SIRET {self.siret()}"
        )


# At most this share of such texts is refused. Fiscal numbers have thirteen digits: nothing tells them apart.
SHARES: dict[str, tuple[Callable[[Ordinary], str], float]] = {
    "telephone numbers": (lambda some: some.some(some.phone, 5), 0.005),
    "dates": (lambda some: some.some(some.day, 5), 0.005),
    "SIRETs": (lambda some: some.some(some.siret, 3), 0.0005),
    "IBANs": (lambda some: some.iban(), 0.005),
    "CAF numbers": (lambda some: some.some(lambda: some.digits(7), 3), 0.0005),
    "amounts": (lambda some: some.some(some.amount, 5), 0.01),
    "postal codes": (lambda some: some.some(lambda: f"80{some.digits(3)}", 5), 0.015),
    "whole notes": (lambda some: some.note(), 0.0005),
    "fiscal numbers": (lambda some: some.digits(13), 0.55),
}


@pytest.mark.parametrize("kind", SHARES)
def test_ordinary_texts_are_hardly_ever_refused(kind: str, tell: Callable[[str], None]) -> None:
    """Of 5,000 of each kind, no more than so many; the share is printed."""
    make, most = SHARES[kind]
    ordinary, number = Ordinary(), 5000
    refused = sum(holds_nir(make(ordinary)) for _ in range(number)) / number
    tell(f"{kind} taken for a NIR: {refused:.2%}")
    assert refused <= most


def test_identifiers_that_machines_make_pass() -> None:
    """UUIDs of any digits and digests, in which chance would write a number now and then."""
    chance = random.Random(6)  # noqa: S311 - for a test
    for number in range(20_000):
        assert not holds_nir(str(UUID(int=chance.getrandbits(128))))
        assert not holds_nir(hashlib.sha256(str(number).encode()).hexdigest())


@pytest.mark.parametrize(
    "text",
    ["12 345 " * 2800, "1" * 20_000, "9 " * 10_000, "2 a " * 5000, "a" * 20_000, "a1" * 10_000, " " * 20_000],
    ids=lambda text: text[:6],
)
def test_the_longest_story_takes_no_time(text: str) -> None:
    """Whatever is in it: at most 0.2 s of a processor."""
    started = time.process_time()
    holds_nir(text)
    assert time.process_time() - started < 0.2


def test_the_reason_is_french_and_quotes_nothing() -> None:
    """It says what to do."""
    with pytest.raises(ValueError, match="numéro de sécurité sociale : retirez-le") as caught:
        without_nir(f"Elle a dit {NUMBERS[0]} au guichet.")
    assert NUMBERS[0] not in str(caught.value)
    assert without_nir("Rien de tel.") == "Rien de tel."
