"""What a reviewer would miss in network files that can be read: people routed wrongly, or what deserves a look.

Services start on such files all the same: a flaw found here must not stop a running network.
"""

from collections.abc import Sequence
from datetime import date

from services.network.checking.declared import declared_flaws
from services.network.checking.lines import line_flaws, read
from services.network.checking.places import place_flaws
from services.network.checking.recipients import recipient_flaws
from services.network.loading import Flaw, Source, join

__all__ = ["find"]


def find(sources: Sequence[Source], day: date) -> list[Flaw]:
    """Find the flaws as of that day, file by file."""
    network = join(sources)
    flaws = [*place_flaws(sources), *declared_flaws(sources, network, day)]
    for source in sources:
        if source.file.lines:
            readings = read(network.lines)
            reached = [0] * len(network.lines)
            for reading in readings.values():
                for number, where in reading.reached.items():
                    reached[number] |= where
            flaws += line_flaws(source.name, network.lines, readings)
            flaws += recipient_flaws(source.name, network, reached, day)
    order = [source.name for source in sources]
    return sorted(flaws, key=lambda flaw: order.index(flaw.file))
