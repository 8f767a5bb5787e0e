"""Intake without its processes: its handlers on a real database, a clock that tests move, the demo networks."""

import os
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, Table, select

from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.settings import Settings
from services.chassis.tables import outbox
from services.chassis.tokens import Caller
from services.chassis.vault import Vault
from services.contracts.envelope import CloudEvent
from services.intake import handlers, joining, search
from services.intake.call import Call
from services.intake.case_forms import Joined, Match, SearchForm
from services.intake.forms import VisitAnswer, VisitForm
from services.network import Network
from tests.support.house import visit
from tests.support.office import NETWORK, TRACE, MovedClock

SITE, OTHER = "fs-moreuil", "fs-roye"


def somebody(
    family_name: str = "Lefèvre", given_name: str = "Amélie", birth_date: str = "1984-05-17"
) -> dict[str, Any]:
    """A person as a form has her."""
    return {"family_name": family_name, "given_name": given_name, "birth_date": birth_date}


def agent_of(site: str) -> Caller:
    """Somebody at a counter."""
    return Caller("agent", site, f"agent:{site}")


class Counter:
    """One intake service's handlers, called as its entrypoints call them; `state` is the folder of its files."""

    def __init__(self, database: Database, state: Path, network: Network = NETWORK) -> None:
        self.clock = MovedClock()
        self.network = network
        self.app = App("intake", Settings(state=state), database, Vault(os.urandom(32)), clock=self.clock)

    def call(self, site: str = SITE) -> Call:
        """What an agent's call is given."""
        return Call(agent_of(site), TRACE, self.app, self.network)

    def body(self, person: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
        """A visit of this moment; of a person, where one is given."""
        facts = {"visit_id": str(uuid4()), "occurred_at": self.clock.now().isoformat(), "age_band": "unknown"}
        return visit(**{**facts, "person": person, "agreement": None, "story": None, **changes})

    def record(self, person: dict[str, Any] | None = None, **changes: Any) -> VisitAnswer:  # noqa: ANN401 - any field
        """Record a visit by its own site. Raises Rejected."""
        form = VisitForm.model_validate(self.body(person, **changes))
        caller = Caller("site", form.site, f"site:{form.site}")
        return handlers.record_visit(form, caller, self.app, self.network, TRACE).answer

    def record_together(self, *bodies: dict[str, Any]) -> None:
        """Record visits in one batch, by their own sites. Raises AssertionError where one is refused."""
        forms = [VisitForm.model_validate(body) for body in bodies]
        posted = [handlers.Posted(form, Caller("site", form.site, f"site:{form.site}"), TRACE) for form in forms]
        results = handlers.record_visits(posted, self.app, self.network)
        assert all(isinstance(result, handlers.Recorded) for result in results), results

    def opened(self, person: dict[str, Any] | None = None, **changes: Any) -> UUID:  # noqa: ANN401 - any field
        """Record the first visit of a person; the case."""
        case = self.record(person or somebody(), **changes).case
        assert case is not None
        return case

    def found(self, person: dict[str, Any] | str, site: str = SITE) -> list[Match]:
        """Search for a person, or by a reference. Raises Rejected (429)."""
        sought = {"reference": person} if isinstance(person, str) else {"person": person}
        return search.find(SearchForm.model_validate(sought), self.call(site)).matches

    def merged(self, case: UUID, other: UUID, site: str = SITE) -> Joined:
        """Join two cases. Raises Rejected."""
        return joining.merge(case, other, self.call(site))

    def parted(self, case: UUID, other: UUID, site: str = SITE) -> Joined:
        """Part two cases. Raises Rejected."""
        return joining.unmerge(case, other, self.call(site))

    def rows(self, table: Table, **where: Any) -> list[Row[Any]]:  # noqa: ANN401 - any column
        """What a table holds."""
        with self.app.read() as connection:
            found = select(table).where(*(table.c[name] == value for name, value in where.items()))
            return list(connection.execute(found).all())

    def told(self, *names: str) -> list[CloudEvent[dict[str, Any]]]:
        """The events of these names, in commit order."""
        with self.app.read() as connection:
            bodies = connection.execute(select(outbox.c.body).order_by(outbox.c.position)).scalars().all()
        events = [CloudEvent[dict[str, Any]].model_validate_json(body) for body in bodies]
        return [event for event in events if event.type.split(".")[2] in names]
