"""Rules of the past in the database: last month's visit is explained by last month's rules."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, select

from services.chassis.app import App
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.errors import Rejected
from services.chassis.migrate import migrate
from services.chassis.settings import Settings
from services.contracts.codes import AgeBand, Category, Channel, Mode, Need, Outcome, Public
from services.contracts.orientation import OrientationProposed, Proposal, Recipient
from services.network import communes, load
from services.orientation import archive, explaining, handlers
from services.orientation.forms import CounterForm, ExplainForm, SimulatedNeed
from services.orientation.rules import Rules
from services.orientation.tables import rules_in_use

NETWORK = load(Path(__file__).parents[3] / "deploy" / "networks")
OCTOBER, NOVEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
LAST_MONTH, THIS_MONTH = datetime(2026, 10, 20, 9, 30, tzinfo=UTC), datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def reworded(reason: str) -> Rules:
    """The shipped rules, but that line 16 (housing) gives another reason."""
    lines = [line.model_copy(update={"reason": reason}) if line.id == "16-logement" else line for line in NETWORK.lines]
    return Rules(replace(NETWORK, lines=tuple(lines)))


OLD, NEW = reworded("Comme en octobre."), reworded("Comme en novembre.")


@pytest.fixture
def database(databases: Callable[[], dict[str, str]]) -> Iterator[Database]:
    """Orientation's own, migrated; the old rules came with October, the new ones with November."""
    found = Database(databases()["orientation"], "test")
    migrate(found, "orientation")
    with found.begin() as connection:
        archive.keep(connection, OLD, OCTOBER)
        archive.keep(connection, NEW, NOVEMBER)
    yield found
    found.close()


def visit(occurred_at: datetime, visit_id: UUID | None = None, version: str | None = None, **facts: Any) -> ExplainForm:  # noqa: ANN401 - any fact
    """Somebody asks for housing at Moreuil."""
    return ExplainForm(
        **facts,
        site="fs-moreuil",
        visit_id=visit_id,
        rules_version=version,
        occurred_at=occurred_at,
        channel=Channel.DESK,
        age_band=AgeBand.FROM_30,
        needs=(SimulatedNeed(code=Need.LOGEMENT, outcome=Outcome.TO_REFER),),
    )


def told(database: Database, form: ExplainForm) -> tuple[str, str]:
    """The reason of the line that applied, and why these rules."""
    with database.begin() as connection:
        found = explaining.explain(form, connection, Settings())
    (line,) = (line for line in found.needs[0].lines if line.applies)
    return line.reason, found.why_these_rules


class Then(Clock):
    """The second of November."""

    def now(self) -> datetime:
        """Then."""
        return NOVEMBER + timedelta(days=1)


def oriented(
    database: Database, tmp_path: Path, visit_id: UUID, site: str = "fs-moreuil", clock: Clock | None = None
) -> None:
    """Put the proposals that November's rules made for a visit of October into the ledger, on 2 November by default."""
    recipient = Recipient(partner="departement-80", category=Category.DEPARTMENT, department="80")
    with App("orientation", Settings(state=tmp_path), database, clock=clock or Then()).work() as work:
        work.emit(
            OrientationProposed(
                orientation_id=work.ids.new(),
                visit_id=visit_id,
                site=site,
                occurred_at=LAST_MONTH,
                case=None,
                spie=True,
                rules_version=NEW.book.version,
                proposals=(Proposal(need=Need.LOGEMENT, recipients=(recipient,), rule="16-logement", reason=""),),
            )
        )


def test_each_day_has_the_rules_that_were_in_use(database: Database) -> None:
    """October's visit shows October's reason although November's rules are in use."""
    assert told(database, visit(LAST_MONTH)) == ("Comme en octobre.", "in-use")
    assert told(database, visit(THIS_MONTH)) == ("Comme en novembre.", "in-use")


def test_a_recorded_visit_has_the_rules_it_was_oriented_by(database: Database, tmp_path: Path) -> None:
    """Seen on 31 October and sent by its site on 2 November: November's rules proposed, and they are shown."""
    late, others = uuid4(), uuid4()
    oriented(database, tmp_path, late)
    oriented(database, tmp_path, others, "fs-roye")
    assert told(database, visit(LAST_MONTH, late)) == ("Comme en novembre.", "recorded")
    # A visit's id is its own site's: another site's of the same id says nothing.
    assert told(database, visit(LAST_MONTH, others)) == ("Comme en octobre.", "in-use")


def test_clocks_that_differ_hide_no_visit(database: Database, tmp_path: Path) -> None:
    """The site's clock is four minutes ahead of the one that stamps the ledger: the visit is found as recorded."""
    ahead = uuid4()
    oriented(database, tmp_path, ahead)
    form = visit(Then().now() + timedelta(minutes=4), ahead)
    assert told(database, form) == ("Comme en novembre.", "recorded")


def test_a_visit_whose_event_was_parked_for_weeks_is_found(database: Database, tmp_path: Path) -> None:
    """Oriented 60 days after it took place, when the parked event was tried again: by the rules of then."""

    class December(Clock):
        def now(self) -> datetime:
            return LAST_MONTH + timedelta(days=60)

    parked = uuid4()
    oriented(database, tmp_path, parked, clock=December())
    assert told(database, visit(LAST_MONTH, parked)) == ("Comme en novembre.", "recorded")


def test_a_clock_that_goes_back_hides_no_change_of_rules(database: Database) -> None:
    """The later start decides, even if it believes to be earlier; two at the same instant both start."""
    for rules in (OLD, NEW):
        with database.begin() as connection:
            archive.keep(connection, rules, NOVEMBER - timedelta(minutes=10))
    assert told(database, visit(THIS_MONTH)) == ("Comme en novembre.", "in-use")


def test_a_commune_merged_since_leads_to_the_same_partner(database: Database) -> None:
    """Rules of the past name a commune by the code that it had: it is the commune of today that is meant."""
    old_code, new_code = "80007", "80436"
    partners = tuple(
        each.model_copy(update={"covers": frozenset({old_code})}) if each.id == "departement-80" else each
        for each in NETWORK.partners
    )
    rules = Rules(replace(NETWORK, partners=partners))
    assert (communes.today(old_code), rules.book.version != OLD.book.version) == (new_code, True)
    with database.begin() as connection:
        archive.keep(connection, rules, THIS_MONTH)
        form = visit(THIS_MONTH + timedelta(days=1), commune=new_code)
        found = explaining.explain(form, connection, Settings())
    ((attempt,),) = found.needs[0].recipients
    assert attempt.partner == "departement-80"
    assert found.rules_version == rules.book.version


def test_a_visit_of_the_past_is_counted_and_not_explained_as_if_it_had_been_oriented(database: Database) -> None:
    """History opens no referral: there is no proposal to explain."""
    with database.begin() as connection:
        form = visit(LAST_MONTH, mode=Mode.HISTORY)
        (need,) = explaining.explain(form, connection, Settings()).needs
    assert (need.closed, need.lines, need.proposals) == ("Reprise d’historique : comptée, jamais orientée.", [], [])


def test_rules_can_be_asked_for_by_the_version_that_a_proposal_names(database: Database) -> None:
    """What October's rules would say today; an unknown version is refused, and named nowhere."""
    assert told(database, visit(THIS_MONTH, version=OLD.book.version)) == ("Comme en octobre.", "asked")
    with pytest.raises(Rejected) as refused:
        told(database, visit(THIS_MONTH, version="1999"))
    assert [error["pointer"] for error in refused.value.errors] == ["/rules_version"]
    assert "1999" not in refused.value.detail


def test_a_visit_before_the_oldest_rules_kept_says_so(database: Database) -> None:
    """It is explained all the same, and nobody takes it for the rules of its day."""
    assert told(database, visit(OCTOBER - timedelta(days=1))) == ("Comme en octobre.", "oldest")


def test_a_restart_with_the_same_rules_writes_nothing(database: Database) -> None:
    """What is written is a change of rules; back to the former ones is a change, too."""

    def count() -> int:
        with database.begin() as connection:
            return connection.scalar(select(func.count()).select_from(rules_in_use)) or 0

    with database.begin() as connection:
        archive.keep(connection, NEW, THIS_MONTH)
    assert count() == 2
    with database.begin() as connection:
        archive.keep(connection, OLD, THIS_MONTH)
    assert count() == 3
    assert told(database, visit(THIS_MONTH + timedelta(hours=1))) == ("Comme en octobre.", "in-use")
    assert told(database, visit(THIS_MONTH - timedelta(hours=1))) == ("Comme en novembre.", "in-use")


def test_the_page_for_a_day_that_is_past_has_the_rules_of_that_day(database: Database, tmp_path: Path) -> None:
    """An agent asks in November what was right on 20 October: October's reason, and no contact of today's."""
    app = App("orientation", Settings(state=tmp_path), database, clock=Then())
    form = CounterForm(needs=(Need.LOGEMENT,), day="2026-10-20")
    shown = handlers.consult(form, "fs-moreuil", NEW, app)
    assert [each.reason for each in shown.proposals] == ["Comme en octobre."]
    assert (shown.day.isoformat(), dict(shown.sheets)) == ("2026-10-20", {})
    assert shown.simulation is not None
    assert any("logement" in text for text in shown.simulation.information)
    today = handlers.consult(form.model_copy(update={"day": ""}), "fs-moreuil", NEW, app)
    assert [each.reason for each in today.proposals] == ["Comme en novembre."]
    assert today.sheets


def test_the_page_for_a_past_day_of_the_same_rules_misses_nothing(database: Database, tmp_path: Path) -> None:
    """Yesterday under today's rules: contact sheets, journeys and the words for an emergency, as today."""
    app = App("orientation", Settings(state=tmp_path), database, clock=Then())
    with database.begin() as connection:
        archive.keep(connection, NEW, OCTOBER)
    needs = (Need.LOGEMENT, Need.HEBERGEMENT_URGENCE, Need.JEUNE_SANS_EMPLOI_NI_FORMATION)
    form = CounterForm(needs=needs, publics=(Public.NEET,), age_band=AgeBand.FROM_18, day="2026-11-01")
    past, today = (
        handlers.consult(each, "fs-moreuil", NEW, app) for each in (form, form.model_copy(update={"day": ""}))
    )
    assert past.sheets == today.sheets != {}
    assert past.told == today.told
    assert any("115" in text for text in past.told[Need.HEBERGEMENT_URGENCE])
    assert past.simulation is not None
    assert past.simulation.journeys


def test_the_page_for_a_day_before_the_site_joined_says_so(database: Database, tmp_path: Path) -> None:
    """Today's rules, and a word about it; not an error that the site does not exist."""
    app = App("orientation", Settings(state=tmp_path), database, clock=Then())
    sites = tuple(each for each in NETWORK.sites if each.id != "fs-moreuil")
    charters = tuple(each.model_copy(update={"sites": ("fs-roye",)}) for each in NETWORK.charters)
    with database.begin() as connection:
        connection.execute(delete(rules_in_use))
        archive.keep(connection, Rules(replace(NETWORK, sites=sites, charters=charters)), OCTOBER)
    form = CounterForm(needs=(Need.LOGEMENT,), day="2026-10-20")
    shown = handlers.consult(form, "fs-moreuil", NEW, app)
    assert shown.explanation is not None
    assert shown.explanation.why_these_rules == "later"
    with pytest.raises(Rejected) as refused:
        told(database, visit(LAST_MONTH))
    assert "pas encore" in refused.value.detail


def test_before_the_first_visit_the_rules_are_kept(databases: Callable[[], dict[str, str]], tmp_path: Path) -> None:
    """A service that starts writes down what it will orient by: no proposal names rules that nobody can look up."""
    found = Database(databases()["orientation"], "test")
    migrate(found, "orientation")
    app = App("orientation", Settings(state=tmp_path), found)
    archive.keep_from_now(app)
    with found.begin() as connection:
        kept = archive.of_version(connection, Rules(NETWORK).book.version)
    found.close()
    assert kept is not None
    assert kept.rules.network.lines == NETWORK.lines
