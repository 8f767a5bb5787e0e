"""Cases as visits need them."""

from collections.abc import Callable

from sqlalchemy import event

from services.chassis.tokens import Caller
from services.intake import handlers
from services.intake.forms import VisitForm
from services.intake.handlers import Posted, Recorded
from services.intake.tables import cases
from tests.support.counter import OTHER, SITE, Counter, somebody
from tests.support.office import TRACE


def posted(counter: Counter, site: str, case: object) -> Posted:
    """A visit that names a case."""
    form = VisitForm.model_validate(counter.body(site=site, case=str(case)))
    return Posted(form, Caller("site", site, f"site:{site}"), TRACE)


def listening(said: list[str]) -> Callable[..., None]:
    """What writes down each statement; SQLAlchemy tells it third."""
    return lambda *told: said.append(told[2])


def test_a_batch_asks_once_which_cases_it_may_name(counter: Counter) -> None:
    """Fifty visits of two sites take as many statements as two; each is answered for its own site."""
    mine, others = counter.opened(somebody()), counter.opened(somebody("Morel"), site=OTHER)
    statements: list[int] = []
    for number in (1, 25):
        said: list[str] = []
        event.listen(
            counter.app.database.engine, "before_cursor_execute", lambda *told, said=said: said.append(told[2])
        )
        visits = [posted(counter, site, mine) for site in (SITE, OTHER) for _ in range(number)]
        results = handlers.record_visits([*visits, posted(counter, OTHER, others)], counter.app, counter.network)
        assert [isinstance(result, Recorded) for result in results] == [True] * number + [False] * number + [True]
        statements.append(sum("wanted" in statement or "FROM cases" in statement for statement in said))
    assert statements[0] == statements[1]


def test_a_new_case_is_indexed_and_dated(counter: Counter) -> None:
    """By three indexes of which none holds anything of the person; the last contact is the visit's Paris day."""
    case = counter.opened(somebody(), occurred_at="2026-11-19T23:30:00+00:00")
    (row,) = counter.rows(cases, id=case)
    assert {len(index) for index in (row.identity_index, row.birth_index, row.name_index)} == {32}
    assert str(row.last_contact_on) == "2026-11-20"
    same_day, same_names = counter.opened(somebody("Morel")), counter.opened(somebody(birth_date="1990-01-02"))
    found = {one.id: one for one in counter.rows(cases)}
    assert found[same_day].birth_index == row.birth_index
    assert found[same_names].name_index == row.name_index
    assert found[same_day].name_index != row.name_index
