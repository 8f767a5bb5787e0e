"""The sample visits: what the demo sends must be what the public API takes."""

import re
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.contracts.codes import AgeBand, Category, Mode, Need, Outcome, VisitClass, visit_class
from services.contracts.paris import paris_day
from services.contracts.visits import repeated_needs
from services.intake.domain import days
from services.intake.forms import VisitForm
from services.intake.samples import LIVE_DAYS, sample_visits
from services.network import communes, load
from services.orientation.rules import Rules

PARIS = ZoneInfo("Europe/Paris")
NETWORKS = Path(__file__).parents[3] / "deploy" / "networks"
TODAY = date(2026, 11, 22)
# A Monday after a weekend, days after holidays, a leap day, both changes of the clock.
DAYS = [TODAY, date(2026, 3, 30), date(2027, 1, 2), date(2024, 2, 29), date(2026, 5, 9), date(2026, 10, 26)]
NUMBER_LIKE_SOCIAL_SECURITY = re.compile(r"[1-478](?:[\s.\-]*[0-9AB]){12}")


@pytest.fixture(scope="module")
def visits() -> list[dict[str, Any]]:
    """One day's samples."""
    return sample_visits(TODAY)


def texts(value: object) -> list[str]:
    """Every string of a body, however deep."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def needs_of(visits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All needs of these visits."""
    return [need for visit in visits for need in visit["needs"]]


@pytest.mark.parametrize("today", DAYS)
def test_every_visit_is_what_the_public_api_takes(today: date) -> None:
    """Each body passes intake's own form, and its id is its own."""
    visits = sample_visits(today)
    assert [str(VisitForm.model_validate(visit).visit_id) for visit in visits] == [v["visit_id"] for v in visits]
    assert len({visit["visit_id"] for visit in visits}) == len(visits) == 400


def test_the_same_day_gives_the_same_visits(visits: list[dict[str, Any]]) -> None:
    """Sending the samples twice sends the same visits; another day's are others."""
    assert sample_visits(TODAY) == visits
    tomorrow = sample_visits(TODAY + timedelta(days=1))
    assert not {visit["visit_id"] for visit in tomorrow} & {visit["visit_id"] for visit in visits}


@pytest.mark.parametrize("today", DAYS)
def test_visits_happen_when_a_counter_is_open(today: date) -> None:
    """Monday to Friday, 9 to 17 in Paris; before today; live ones young enough to be taken until today's end."""
    midnight = datetime(today.year, today.month, today.day, tzinfo=PARIS)
    for visit in sample_visits(today):
        at = datetime.fromisoformat(visit["occurred_at"])
        assert at.weekday() < 5
        assert 9 <= at.astimezone(PARIS).hour < 17
        assert at < midnight
        oldest = LIVE_DAYS if visit["mode"] == Mode.LIVE else 366
        assert at > midnight - timedelta(days=oldest, hours=1)


def test_modes_and_sites_keep_their_share(visits: list[dict[str, Any]]) -> None:
    """240 visits of history, 160 live, all three sites in each."""
    assert Counter(visit["mode"] for visit in visits) == {"history": 240, "live": 160}
    for mode in Mode:
        assert {v["site"] for v in visits if v["mode"] == mode} == {"hem", "fs-moreuil", "fs-roye"}


def test_hem_comes_mostly_for_employment(visits: list[dict[str, Any]]) -> None:
    """Hem's split is near the 7,623 of 8,489 that it counted; elsewhere employment is the lesser part."""
    classes = Counter((v["site"], visit_class(Need(need["code"]) for need in v["needs"])) for v in visits)
    for site, low, high in (("hem", 0.84, 0.95), ("fs-moreuil", 0.15, 0.45), ("fs-roye", 0.15, 0.45)):
        employment, other = classes[site, VisitClass.EMPLOI], classes[site, VisitClass.COMPLEMENTAIRE]
        assert low < employment / (employment + other) < high


def test_four_needs_in_five_end_at_the_desk(visits: list[dict[str, Any]]) -> None:
    """And every outcome occurs among the live ones, so that the demo shows each."""
    outcomes = Counter(need["outcome"] for need in needs_of(visits))
    assert 0.75 < outcomes[Outcome.RESOLVED] / outcomes.total() < 0.87
    assert {need["outcome"] for need in needs_of([v for v in visits if v["mode"] == Mode.LIVE])} == set(Outcome)


@pytest.mark.parametrize("today", DAYS)
def test_needs_to_refer_show_every_way_an_agreement_can_go(today: date) -> None:
    """Mostly identified people; some agree to categories, some to one partner, some to nobody; some stay anonymous."""
    live = [visit for visit in sample_visits(today) if visit["mode"] == Mode.LIVE]
    referred = [v for v in live if any(need["outcome"] == Outcome.TO_REFER for need in v["needs"])]
    identified = [visit for visit in referred if visit["person"]]
    agreed = [visit["agreement"]["recipients"] for visit in identified if visit["agreement"]]
    assert len(identified) > len(referred) / 2
    assert 8 <= len(agreed) < len(identified) < len(referred)
    assert any("operator" in recipients for recipients in agreed)
    assert all(visit["story"] for visit in identified)
    assert not [v for v in live if not v["person"] and (v["agreement"] or v["story"])]


@pytest.mark.parametrize("today", DAYS)
def test_no_visit_contradicts_itself(today: date) -> None:
    """The birth date lies in the age band, the commune is in the geographic code, and no need is told twice."""
    for form in map(VisitForm.model_validate, sample_visits(today)):
        if form.person:
            day = paris_day(form.occurred_at)
            assert days.age_problem(form.age_band, form.person.birth_date, day) is None
            assert form.age_band is not AgeBand.UNKNOWN
        assert form.commune is None or communes.problem(form.commune) is None
        assert repeated_needs(form.needs) == []


@pytest.mark.parametrize("today", DAYS)
def test_nothing_looks_like_a_real_number(today: date) -> None:
    """No text looks like a social security number; phones are of the range kept for fiction."""
    for visit in sample_visits(today):
        for text in texts({name: visit[name] for name in ("needs", "story", "person", "agreement")}):
            assert not NUMBER_LIKE_SOCIAL_SECURITY.search(text)
        if visit["person"] and visit["person"]["phone"]:
            assert re.fullmatch(r"01 99 00 \d\d \d\d", visit["person"]["phone"])


@pytest.mark.parametrize("today", DAYS)
def test_every_line_of_the_routing_table_is_shown(today: date) -> None:
    """Each proposes for some live visit; and of each kind of recipient, some is proposed to who agreed to that kind."""
    rules = Rules(load(NETWORKS))
    lines, agreed = set(), set()
    for visit in sample_visits(today):
        form = VisitForm.model_validate(visit)
        if form.mode is Mode.LIVE:
            for proposal in rules.propose(rules.visit(form, form.needs, paris_day(form.occurred_at))):
                first = {recipient.category for recipient in proposal.recipients[:1]}
                lines.add(proposal.rule)
                agreed |= first.intersection(form.agreement.recipients if form.agreement else ())
    assert lines == {line.id for line in rules.network.lines}
    assert agreed == {Category.STATE, Category.DEPARTMENT, Category.OPERATOR, Category.LOCAL}


def test_names_are_as_varied_as_names_are(visits: list[dict[str, Any]]) -> None:
    """Apostrophes, hyphens, accents and particles all occur, so that nobody is surprised by them later."""
    names = " ".join(v["person"]["family_name"] + " " + v["person"]["given_name"] for v in visits if v["person"])
    for pattern in ("’", "-", "[éèôïëÉ]", r"\b(de La|du|El|Ben) "):
        assert re.search(pattern, names)


def test_quarters_are_hems(visits: list[dict[str, Any]]) -> None:
    """All six quarters of Hem occur, and no other site has any."""
    assert len({v["quarter"] for v in visits if v["site"] == "hem" and v["quarter"]}) == 6
    assert not [v for v in visits if v["site"] != "hem" and v["quarter"]]
