"""What goes with the proposals of a visit, for people to read: first-level information, and typical journeys."""

from collections.abc import Iterable

from services.contracts.codes import Need, Public
from services.contracts.orientation import Proposal
from services.network import Journey, Network


def information(
    network: Network, needs: Iterable[Need], publics: Iterable[Public], *, charter: bool
) -> tuple[str, ...]:
    """The texts for a visit with these needs, each once, in the order of the files; `charter`: one is in force."""
    told, declared = frozenset(needs), frozenset(publics)
    return tuple(
        dict.fromkeys(
            each.text
            for each in network.information
            if not told.isdisjoint(each.all_needs)
            and (not each.publics or not declared.isdisjoint(each.publics))
            and (charter or not each.charter)
        )
    )


def journeys(network: Network, proposals: Iterable[Proposal]) -> tuple[Journey, ...]:
    """The journeys that the proposals name, each once, in the order of the proposals."""
    named = dict.fromkeys(each.journey for each in proposals if each.journey)
    found = map(network.journey, named)
    return tuple(each for each in found if each)
