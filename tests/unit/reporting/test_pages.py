"""The public page and the CSV: no exact figure on the one, every figure in the other."""

import csv
import re
from datetime import date
from html.parser import HTMLParser
from io import StringIO

import pytest

from services.chassis.errors import Rejected
from services.reporting import pages
from services.reporting.domain.figures import By
from services.reporting.forms import (
    ActivityQuery,
    ActivityReport,
    Delay,
    Delays,
    Filters,
    Overrides,
    Period,
    Proposals,
    Referrals,
    Row,
    StoryAnswersOf,
    TellingsAt,
    ToldOnce,
    Totals,
)
from services.reporting.queries import Overview
from services.reporting.scope import Scope

PERIOD = Scope(date(2025, 11, 23), date(2026, 11, 22))


def row(key: str | None, label: str, emploi: int, complementaire: int) -> Row:
    """One row of a breakdown."""
    return Row(key=key, label=label, visits=emploi + complementaire, emploi=emploi, complementaire=complementaire)


def full() -> Overview:
    """A year of two sites."""
    return Overview(
        scope=PERIOD,
        sites=[row("hem", "France services Hem", 7623, 866), row("fs-roye", "Roye <b>", 7, 13)],
        needs=[row("logement", "Se loger", 3, 20)],
        proposals=Proposals(total=17, by_category={"operator": 12}, desk_first=4, unmet=1),
        referrals={("operator", "sent"): 23, ("operator", "completed"): 2},
        bounces={("logement", True): 17, ("logement", False): 2, ("numerique", False): 24},
        delays=Delays(
            sent_to_received=Delay(count=23, median=1.7, p90=8.6),
            sent_to_accepted=Delay(count=10, median=3.1, p90=9.3),
            visit_to_appointment=Delay(count=11, median=0.4, p90=31.8),
        ),
        told_once=ToldOnce(
            answers_by_category=[
                answers("operator", "Opérateur", 52, 18, 31),
                answers("local", "Mission locale", 14, 3, 12),
            ],
            answers_by_site=[answers("hem", "France services Hem", 66, 21, 43)],
            tellings_by_site=[TellingsAt(key="hem", label="France services Hem", stories=64, retold=4)],
        ),
    )


def answers(key: str, label: str, sufficient: int, insufficient: int, silent: int) -> StoryAnswersOf:
    """What was said of the story."""
    return StoryAnswersOf(key=key, label=label, sufficient=sufficient, insufficient=insufficient, silent=silent)


def cells(page: str) -> list[str]:
    """The text of every cell and header of the tables."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, _attrs: object) -> None:
            if tag in {"td", "th"}:
                found.append("")

        def handle_data(self, data: str) -> None:
            if found:
                found[-1] += data.strip()

    Reader().feed(page)
    return found


def test_the_page_shows_rounded_counts_only() -> None:
    """8,489 visits at Hem are about 8,490; 7 are « 10 ou moins »; no exact count is anywhere in the page."""
    page = pages.home(full())
    shown = cells(page)
    assert {"7\u202f620", "870", "8\u202f490", "10 ou moins"} <= set(shown)
    text = re.sub(r"<[^>]+>", " ", page)
    assert not re.search(r"\b(7623|866|8489|23|13|17|12|24|52|18|31|14|66|21|43|64)\b(?! novembre)", text)


def test_the_page_shows_what_came_back_without_a_figure_to_subtract() -> None:
    """By need, in two parts with nothing in common, and totals of what is shown: 17 and 2 are 20, hidden, about 30."""
    shown = cells(pages.home(full()))
    start = shown.index("Se loger ou garder son logement")
    assert shown[start : start + 4] == ["Se loger ou garder son logement", "20", "10 ou moins", "environ 30"]
    start = shown.index("Être aidé avec le numérique")
    assert shown[start : start + 4] == ["Être aidé avec le numérique", "0", "20", "20"]


def test_the_page_shows_delays_of_more_than_ten_cases_only() -> None:
    """In whole days, with the rounded number of cases: ten are too few, and so is nothing at all."""
    page = pages.home(full())
    shown = cells(page)
    start = shown.index("De l’envoi à la première réponse")
    assert shown[start + 1 : start + 4] == ["20", "9 jours", "2 jours"]
    start = shown.index("De la visite au premier rendez-vous")
    assert shown[start + 1 : start + 4] == ["10", "32 jours", "moins d’un jour"]
    assert "De l’envoi à l’acceptation" not in shown
    assert "De l’envoi à la décision, après relance" not in shown
    assert not re.search(r"1[.,]7|8[.,]6|0[.,]4|31[.,]8", re.sub(r"<[^>]+>", " ", page))


def test_every_delay_has_a_label() -> None:
    """A delay added to the report without a label would be missing from the page and the CSV."""
    assert set(pages.DELAY_LABELS) == set(Delays.model_fields)


def test_the_page_escapes_and_brings_nothing_from_elsewhere() -> None:
    """Names are text; there is no script, no inline style, and no address but our own."""
    page = pages.home(full())
    assert "Roye &lt;b&gt;" in page
    assert not re.search(r"<script|style=|<style|\son\w+=|(?:src|href)=\"(?:https?:)?//", page)


def test_the_page_can_be_read_without_eyes() -> None:
    """Language, landmarks, a skip link whose target exists, and captions and scopes for every table."""
    page = pages.home(full())
    assert '<html lang="fr">' in page
    for landmark in ("<header>", "<nav aria-label=", '<main id="contenu"', "<footer>", 'href="#contenu"'):
        assert landmark in page
    assert page.count("<table>") == page.count("<caption") == 9
    assert not re.search(r"<th(?![^>]*scope=)[ >]", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|aria-labelledby=")([^"]+)"', page)) <= set(ids)


def test_an_empty_page_says_how_to_begin() -> None:
    """No visits yet: no table, but the three ways to send a first one."""
    empty = Overview(
        scope=PERIOD,
        sites=[],
        needs=[],
        proposals=Proposals(),
        referrals={},
        bounces={},
        delays=Delays(),
        told_once=ToldOnce(),
    )
    page = pages.home(empty)
    assert "<table>" not in page
    assert "relais visits send" in page
    assert "/v1/visits" in page
    assert "None" not in page


def report(rows: list[Row] | None, by: By | None = None) -> ActivityReport:
    """A report of Hem."""
    return ActivityReport(
        period=Period(first=PERIOD.first, last=PERIOD.last),
        filters=Filters(site="hem", by=by, sites=["hem"]),
        totals=Totals(
            visits=8489,
            emploi=7623,
            complementaire=866,
            by_outcome={"resolved": 8000},
            proposals=Proposals(total=3, by_category={"operator": 2}, unmet=1, unmet_by_need={"logement": 1}),
            referrals=Referrals(
                sent=5,
                by_category={"operator": 5},
                by_state={"sent": 2, "declined": 2, "expired": 1},
                bounces=3,
                rerouted=1,
                bounces_by_category={"operator": 3},
                bounces_by_need={"logement": 3},
            ),
        ),
        delays=Delays(sent_to_received=Delay(count=2, median=1.5, p90=2.3)),
        overrides=[Overrides(rule="16-logement", proposals=8, overridden=2), Overrides(rule="x")],
        rows=rows,
    )


def test_csv_without_breakdown_has_one_line_per_figure() -> None:
    """Hem's split is in it exactly."""
    lines = list(csv.DictReader(StringIO(pages.to_csv(report(None)))))
    figures = {(line["figure"], line["code"]): float(line["count"]) for line in lines}
    assert figures["visits", ""] == 8489
    assert (figures["emploi", ""], figures["complementaire", ""]) == (7623, 866)
    assert figures["referrals", "operator"] == 5
    assert figures["unmet", "logement"] == 1


def test_csv_tells_of_bounces_and_delays() -> None:
    """How many came back, from where, for which need, how many went on; and how long what took, where it is known."""
    lines = list(csv.DictReader(StringIO(pages.to_csv(report(None)))))
    told = {(line["figure"], line["code"]): line["count"] for line in lines}
    assert told["bounces", ""] == told["bounces", "operator"] == told["bounces-by-need", "logement"] == "3"
    assert told["rerouted", ""] == "1"
    delays = ("delays", "delay-median", "delay-p90")
    assert [told[figure, "sent_to_received"] for figure in delays] == ["2", "1.5", "2.3"]
    assert [told.get((figure, "visit_to_appointment")) for figure in delays] == ["0", None, None]


def test_csv_tells_of_each_rule_how_often_agents_override_it() -> None:
    """Proposals, how many of them led elsewhere, and the share; without a proposal there is no share, in JSON null."""
    lines = list(csv.DictReader(StringIO(pages.to_csv(report(None)))))
    told = [(line["figure"], line["code"], line["count"]) for line in lines if line["code"] in {"16-logement", "x"}]
    assert told == [
        ("rules", "16-logement", "8"),
        ("overrides", "16-logement", "2"),
        ("override-rate", "16-logement", "0.25"),
        ("rules", "x", "0"),
        ("overrides", "x", "0"),
    ]
    assert [each.model_dump()["rate"] for each in report(None).overrides] == [0.25, None]


def test_csv_with_breakdown_has_one_line_per_row() -> None:
    """A quarter that reads like a formula is defused: somebody typed it."""
    rows = [row("=1+1", "=1+1", 1, 0), row(None, "Non renseigné", 2, 3)]
    lines = list(csv.DictReader(StringIO(pages.to_csv(report(rows, By.QUARTER)))))
    assert [(line["quarter"], line["emploi"], line["visits"]) for line in lines] == [
        ("'=1+1", "1", "1"),
        ("", "2", "5"),
    ]


@pytest.mark.parametrize(
    ("query", "accept", "form"),
    [
        ({}, "", "json"),
        ({}, "*/*", "json"),
        ({}, "text/csv", "csv"),
        ({}, "application/pdf, text/csv;q=0.5", "csv"),
        ({}, "text/csv;q=0.1, application/json", "json"),
        ({}, "text/html, application/xhtml+xml, */*;q=0.8", "json"),
        ({"format": "csv"}, "application/json", "csv"),
        ({"format": ""}, "application/json", "json"),
    ],
)
def test_the_form_of_the_answer(query: dict[str, str], accept: str, form: str) -> None:
    """`format` wins over Accept; nothing said is JSON."""
    assert ActivityQuery.model_validate(query).wanted(accept) == form


@pytest.mark.parametrize(
    ("query", "accept"),
    [({"format": "xlsx"}, "*/*"), ({"format": "pdf"}, "*/*"), ({}, "application/pdf"), ({}, "application/json;q=0")],
)
def test_other_forms_are_refused_with_what_there_is(query: dict[str, str], accept: str) -> None:
    """406, saying that JSON and CSV exist."""
    with pytest.raises(Rejected) as refused:
        ActivityQuery.model_validate(query).wanted(accept)
    assert refused.value.status == 406
    assert "JSON et en CSV" in refused.value.detail


def test_periods() -> None:
    """Blank parameters are absent ones; the end may be left out, and so may both."""
    today = date(2026, 11, 22)
    assert ActivityQuery.model_validate({"from": "", "to": "", "site": "", "by": ""}).period(today) == (
        date(2025, 11, 23),
        today,
    )
    assert ActivityQuery.model_validate({"from": "2026-01-01"}).period(today) == (date(2026, 1, 1), today)
    assert ActivityQuery.model_validate({"to": "2023-12-31"}).period(today) == (date(2023, 1, 1), date(2023, 12, 31))
    with pytest.raises(Rejected):
        ActivityQuery.model_validate({"from": "2027-01-01"}).period(today)


@pytest.mark.parametrize(
    "query", [{"from": "2026-02-01", "to": "2026-01-01"}, {"by": "mood"}, {"form": "csv"}, {"from": "hier"}]
)
def test_wrong_questions_are_refused(query: dict[str, str]) -> None:
    """Ends in the wrong order, an unknown dimension, an unknown parameter, no date."""
    with pytest.raises(ValueError, match="validation error"):
        ActivityQuery.model_validate(query)


def test_a_response_rate_is_made_of_what_is_shown() -> None:
    """52, 18 and 31 are shown as 50, 20 and 30: 70 %. A rate beside a hidden cell would tell it: none is published."""
    shown = cells(pages.home(full()))
    operator, local = shown.index("Opérateur", shown.index("Taux de réponse")), shown.index("Mission locale")
    assert shown[operator + 1 : operator + 6] == ["50", "20", "30", "100", "70\u00a0%"]
    assert "10 ou moins" in shown[local : local + 5]
    assert "non publié" in shown[local : local + 6]


def test_retellings_stand_beside_the_stories() -> None:
    """64 stories and 4 of them told again: both by the rules of every cell."""
    shown = cells(pages.home(full()))
    at = shown.index("Racontés de nouveau")
    assert {"60", "10 ou moins"} <= set(shown[at : at + 6])


def test_the_csv_has_what_was_said_of_the_story_and_how_often() -> None:
    """Overall, by category and by site, with the rate; and the stories told again."""
    told = report(None).model_copy(update={"told_once": full().told_once})
    found = {(line[0], line[1]): line[-1] for line in csv.reader(StringIO(pages.to_csv(told)))}
    assert found["story-insufficient", "category:local"] == "3"
    assert found["story-response-rate", "site:hem"] == "0.6692"
    assert found["retold", "site:hem"] == "4"
    assert ("story-response-rate", "") not in found  # nobody answered at all, in this report's total
