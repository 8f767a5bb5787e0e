"""Codes of communes that nobody lives in any more, or never did."""

from collections.abc import Iterator, Sequence

from services.network import communes
from services.network.loading import Flaw, Severity, Source
from services.network.schema import NetworkFile
from services.network.vocabulary import EVERYWHERE

_COMMUNE_DIGITS = 5


def place_flaws(sources: Sequence[Source]) -> Iterator[Flaw]:
    """Tell of codes that are not a commune of today: visits are read with today's, so nobody lives in any other.

    Harmless where today's is covered as well. A postcode that happens to be another commune's code passes.
    """
    for source in sources:
        for place, code, covered in _codes(source.file):
            today = communes.commune(communes.today(code))
            if today is None:
                yield Flaw(source.name, place, f"aucune commune n’a le code INSEE {code}")
            elif today.code != code:
                reason = f"{code} n’est plus une commune, ses habitants sont comptés à {today.name} ({today.code})"
                harmless = not covered.isdisjoint((today.code, today.department, EVERYWHERE))
                yield Flaw(source.name, place, reason, Severity.WARNING if harmless else Severity.ERROR)


def _codes(file: NetworkFile) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Each commune's place and code, and what is covered there; a charter's territory routes nobody."""
    for number, site in enumerate(file.sites):
        yield f"sites[{number}].commune", site.commune, frozenset()
    for number, charter in enumerate(file.charters):
        for position, code in enumerate(charter.territory):
            yield f"charters[{number}].territory[{position}]", code, frozenset({EVERYWHERE})
    for number, partner in enumerate(file.partners):
        yield from ((f"partners[{number}].covers", *each) for each in _communes(partner.covers))
    for number, sheet in enumerate(file.contact_sheets):
        yield from ((f"contact_sheets[{number}].covers", *each) for each in _communes(sheet.covers))


def _communes(covers: str | frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    if isinstance(covers, str):
        return []
    return [(code, covers) for code in sorted(covers) if len(code) == _COMMUNE_DIGITS]
