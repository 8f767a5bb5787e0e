"""The directory: what others publish of structures, services and sites, taken over by what changed."""

from datetime import date

__all__ = ["LOCK", "Busy", "OlderList"]

LOCK = 0x52454C41_49530005  # of PostgreSQL, held by an import until it is committed


class OlderList(Exception):
    """A newer list is there already: taking this one over would turn its changes back. Holds that one's date."""

    def __init__(self, newest: date) -> None:
        super().__init__(newest.isoformat())
        self.newest = newest


class Busy(Exception):
    """Another import is running."""
