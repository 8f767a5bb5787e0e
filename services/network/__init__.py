"""The network file: who is a site, a partner, a charter, and which lines route a need.

Everything that a local network may change is data here and code nowhere. `load` reads one TOML file or a folder of
them and either answers with a checked `Network` or raises `NetworkError` with every problem found.
"""

from services.network.advice import ContactSheet, Information, Journey
from services.network.loading import NetworkError, load, load_files
from services.network.schema import (
    Charter,
    Line,
    Network,
    NetworkFile,
    Partner,
    Site,
    Step,
)

__all__ = [
    "Charter",
    "ContactSheet",
    "Information",
    "Journey",
    "Line",
    "Network",
    "NetworkError",
    "NetworkFile",
    "Partner",
    "Site",
    "Step",
    "load",
    "load_files",
]
