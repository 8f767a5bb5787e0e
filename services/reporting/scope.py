"""Whose figures of which days."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement


@dataclass(frozen=True)
class Scope:
    """Whose figures of which days; `sites` None means every site."""

    first: date
    last: date
    sites: frozenset[str] | None = None

    def holds(self, day: ColumnElement[Any], site: ColumnElement[Any]) -> ColumnElement[bool]:
        """The condition on a table's day and site columns."""
        within = day.between(self.first, self.last)
        return within if self.sites is None else within & site.in_(sorted(self.sites))
