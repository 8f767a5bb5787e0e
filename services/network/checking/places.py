"""Codes of communes that nobody lives in any more, or never did."""

from collections.abc import Collection, Iterator, Sequence

from services.network import communes
from services.network.loading import Flaw, Source
from services.network.schema import NetworkFile

_COMMUNE_DIGITS = 5


def place_flaws(sources: Sequence[Source]) -> Iterator[Flaw]:
    """Tell of codes that are not a commune of today: visits are read with today's, so nobody lives in any other.

    A postcode that happens to be another commune's code passes.
    """
    for source in sources:
        for place, code in _codes(source.file):
            today = communes.commune(communes.today(code))
            if today is None:
                yield Flaw(source.name, place, f"aucune commune n’a le code INSEE {code}")
            elif today.code != code:
                reason = f"{code} n’est plus une commune, ses habitants sont comptés à {today.name} ({today.code})"
                yield Flaw(source.name, place, reason)


def _codes(file: NetworkFile) -> Iterator[tuple[str, str]]:
    for number, site in enumerate(file.sites):
        yield f"sites[{number}].commune", site.commune
    for number, charter in enumerate(file.charters):
        for position, code in enumerate(charter.territory):
            yield f"charters[{number}].territory[{position}]", code
    for number, partner in enumerate(file.partners):
        yield from ((f"partners[{number}].covers", code) for code in _communes(partner.covers))
    for number, sheet in enumerate(file.contact_sheets):
        yield from ((f"contact_sheets[{number}].covers", code) for code in _communes(sheet.covers))


def _communes(covers: str | Collection[str]) -> list[str]:
    return [] if isinstance(covers, str) else sorted(code for code in covers if len(code) == _COMMUNE_DIGITS)
