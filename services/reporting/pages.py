"""The public page and the CSV form of a report."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from services.chassis.pages import environment
from services.contracts.codes import (
    CATEGORY_LABELS,
    NEED_LABELS,
    REFERRAL_STATE_LABELS,
    VISIT_CLASS_LABELS,
    Category,
    ReferralState,
    VisitClass,
)
from services.contracts.french import french_day
from services.reporting.domain.figures import (
    HIDDEN_UP_TO,
    OUTCOME_LABELS,
    Shown,
    publish,
    publish_days,
    published_total,
)
from services.reporting.forms import ActivityReport, Delays, Proposals, StoryAnswersOf, TellingsAt, ToldOnce, Visits
from services.reporting.queries import Overview

DELAY_LABELS = {
    "sent_to_received": "De l’envoi à la première réponse",
    "sent_to_accepted": "De l’envoi à l’acceptation",
    "sent_to_decided_with_reminders": "De l’envoi à la décision, après relance",
    "visit_to_appointment": "De la visite au premier rendez-vous",
}
_TEMPLATES = environment(Path(__file__).parent / "templates")


@dataclass(frozen=True)
class Line:
    """One line of a published table; `percent` is the length of its bar beside the longest one."""

    label: str
    cells: tuple[Shown, ...]
    percent: int = 0


@dataclass(frozen=True)
class Board:
    """A published table: the cells are rounded one by one, every total is made from the cells."""

    columns: tuple[str, ...]
    lines: list[Line]
    total: Line | None


def home(found: Overview) -> str:
    """The first page: nothing but published counts goes into the template."""
    return _TEMPLATES.get_template("home.html").render(
        first=french_day(found.scope.first),
        last=french_day(found.scope.last),
        hidden_up_to=HIDDEN_UP_TO,
        visits=_crossed(
            [(row.label, (row.emploi, row.complementaire)) for row in found.sites],
            # A soft hyphen, so that the table fits on a phone.
            tuple(VISIT_CLASS_LABELS[each].replace("complém", "complé\u00adm") for each in VisitClass),
        ),
        # No total: a visit has several needs, and their sum would be no number of anything.
        needs=_board(("Visites",), [(row.label, (publish(row.visits),)) for row in found.needs]),
        proposals=_proposals(found.proposals),
        referrals=_referrals(found.referrals),
        bounces=_bounces(found.bounces),
        delays=_delays(found.delays),
        answers_by_category=_answers(found.told_once.answers_by_category),
        answers_by_site=_answers(found.told_once.answers_by_site),
        tellings=_tellings(found.told_once.tellings_by_site),
    )


def _board(columns: tuple[str, ...], rows: Iterable[tuple[str, tuple[Shown, ...]]], total: Line | None = None) -> Board:
    kept = [(label, cells) for label, cells in rows if any(cell.value for cell in cells)]
    longest = max((cells[-1].value for _, cells in kept), default=0) or 1
    lines = [Line(label, cells, max(1, 100 * cells[-1].value // longest)) for label, cells in kept]
    return Board(columns, lines, total)


def _crossed(rows: Sequence[tuple[str, tuple[int, ...]]], columns: tuple[str, ...]) -> Board:
    """Counts by line and column, with totals both ways; a line's total is its last cell."""
    cells = [(label, tuple(publish(count) for count in counts)) for label, counts in rows]
    down = [published_total(line[column] for _, line in cells) for column in range(len(columns))]
    everything = published_total(cell for _, line in cells for cell in line)
    return _board(
        (*columns, "Total"),
        [(label, (*line, published_total(line))) for label, line in cells],
        Line("Total", (*down, everything)) if len(cells) > 1 else None,
    )


def _proposals(found: Proposals) -> Board:
    rows = [(CATEGORY_LABELS[each], publish(found.by_category.get(each, 0))) for each in Category]
    rows += [("Réponse au guichet", publish(found.desk_first)), ("Aucun partenaire disponible", publish(found.unmet))]
    total = Line("Total", (published_total(cell for _, cell in rows),))
    return _board(("Propositions",), [(label, (cell,)) for label, cell in rows], total)


def _referrals(found: dict[tuple[str, str], int]) -> Board:
    """By category and state; states that no referral is in have no column."""
    states = [each for each in ReferralState if any(found.get((category, each)) for category in Category)]
    rows = [(CATEGORY_LABELS[each], tuple(found.get((each, state), 0) for state in states)) for each in Category]
    return _crossed(
        [(label, counts) for label, counts in rows if any(counts)],
        tuple(REFERRAL_STATE_LABELS[state] for state in states),
    )


def _bounces(found: dict[tuple[str, bool], int]) -> Board:
    """By need, in two parts that have nothing in common: a total and its part would tell the rest by subtraction."""
    rows = [(label, (found.get((need, True), 0), found.get((need, False), 0))) for need, label in NEED_LABELS.items()]
    return _crossed([row for row in rows if any(row[1])], ("Réorientée", "Sans suite"))


def _answers(rows: Sequence[StoryAnswersOf]) -> Board:
    """In three parts that have nothing in common; the rate is made of what is shown, where nothing of it is hidden."""
    told = [(row.label, (row.sufficient, row.insufficient, row.silent)) for row in rows]
    board = _crossed(told, ("Suffisait", "Ne suffisait pas", "Sans avis"))
    every = (*board.lines, *((board.total,) if board.total else ()))
    rated = {line.label: replace(line, cells=(*line.cells, _response_rate(line.cells))) for line in every}
    lines = [rated[line.label] for line in board.lines]
    return Board((*board.columns, "Taux de réponse"), lines, rated["Total"] if board.total else None)


def _response_rate(cells: Sequence[Shown]) -> Shown:
    sufficient, insufficient, silent, _ = (cell.value for cell in cells)
    if any(0 < value < HIDDEN_UP_TO for value in (sufficient, insufficient, silent)):
        return Shown("non publié", 0)
    said = sufficient + insufficient
    return Shown(f"{round(100 * said / (said + silent))}\u00a0%", said)


def _tellings(rows: Sequence[TellingsAt]) -> Board:
    """Apart, since one is no part of the other where only a joining of cases showed it."""
    told = [(row.label, (publish(row.retold), publish(row.stories))) for row in rows]
    total = Line("Total", tuple(published_total(cells[each] for _, cells in told) for each in (0, 1)))
    return _board(("Racontés de nouveau", "Récits écrits"), told, total if len(told) > 1 else None)


def _delays(found: Delays) -> Board:
    """In whole days, and only what rests on more cases than are hidden; the bars compare the medians."""
    rows = []
    for name, label in DELAY_LABELS.items():
        delay = getattr(found, name)
        if delay.count > HIDDEN_UP_TO:
            rows.append((label, (publish(delay.count), publish_days(delay.p90), publish_days(delay.median))))
    return _board(("Nombre", "Neuf sur dix en", "La moitié en"), rows)


def to_csv(report: ActivityReport) -> str:
    """With a breakdown, its rows; without, one line per figure: `figure,code,label,count`.

    Only these are no counts: an `override-rate` and a `story-response-rate`, shares between 0 and 1; `delay-median` and
    `delay-p90`, in days.
    """
    text = StringIO()
    sheet = csv.writer(text, lineterminator="\r\n")
    if report.rows is None:
        sheet.writerow(["figure", "code", "label", "count"])
        lines = [*_figures(report), *_override_figures(report), *_delay_figures(report.delays)]
        lines += _told_once_figures(report.told_once)
        sheet.writerows([*(_safe(cell) for cell in line[:3]), line[3]] for line in lines)
    else:
        figures = list(Visits.model_fields)
        sheet.writerow([report.filters.by or "key", "label", *figures])
        for row in report.rows:
            sheet.writerow([_safe(row.key or ""), _safe(row.label), *(getattr(row, figure) for figure in figures)])
    return text.getvalue()


def _figures(report: ActivityReport) -> list[tuple[str, str, str, int]]:
    totals = report.totals
    labels = {
        "visits": "Visites",
        "emploi": VISIT_CLASS_LABELS[VisitClass.EMPLOI],
        "complementaire": VISIT_CLASS_LABELS[VisitClass.COMPLEMENTAIRE],
        "spie": "Visites relevant du SPIE",
        "needs": "Besoins exprimés",
    }
    lines = [(figure, "", label, int(getattr(totals, figure))) for figure, label in labels.items()]
    for code, count in totals.by_outcome.items():
        lines.append(("needs", code, f"Besoins\u00a0: {_label(OUTCOME_LABELS, code)}", count))
    proposals, referrals = totals.proposals, totals.referrals
    lines += [
        ("proposals", "", "Propositions", proposals.total),
        ("proposals", "desk_first", "Propositions\u00a0: réponse au guichet", proposals.desk_first),
        ("proposals", "unmet", "Propositions\u00a0: aucun partenaire disponible", proposals.unmet),
    ]
    for code, count in proposals.by_category.items():
        lines.append(("proposals", code, f"Propositions\u00a0: {_label(CATEGORY_LABELS, code)}", count))
    for code, count in proposals.unmet_by_need.items():
        lines.append(("unmet", code, f"Aucun partenaire\u00a0: {_label(NEED_LABELS, code)}", count))
    lines.append(("referrals", "", "Orientations envoyées", referrals.sent))
    for code, count in referrals.by_category.items():
        lines.append(("referrals", code, f"Orientations\u00a0: {_label(CATEGORY_LABELS, code)}", count))
    for code, count in referrals.by_state.items():
        lines.append(("states", code, f"Orientations\u00a0: {_label(REFERRAL_STATE_LABELS, code)}", count))
    lines.append(("bounces", "", "Renvois", referrals.bounces))
    lines.append(("rerouted", "", "Renvois\u00a0: transmis à l’interlocuteur suivant", referrals.rerouted))
    for code, count in referrals.bounces_by_category.items():
        lines.append(("bounces", code, f"Renvois\u00a0: {_label(CATEGORY_LABELS, code)}", count))
    for code, count in referrals.bounces_by_need.items():
        lines.append(("bounces-by-need", code, f"Renvois\u00a0: {_label(NEED_LABELS, code)}", count))
    return lines


def _override_figures(report: ActivityReport) -> Iterator[tuple[str, str, str, float]]:
    for each in report.overrides:
        yield "rules", each.rule, f"Propositions de la règle {each.rule}", each.proposals
        yield "overrides", each.rule, f"Autre choix de l’agent que la règle {each.rule}", each.overridden
        if each.rate is not None:
            yield "override-rate", each.rule, f"Part des autres choix que la règle {each.rule}", each.rate


def _delay_figures(delays: Delays) -> Iterator[tuple[str, str, str, float]]:
    for name, label in DELAY_LABELS.items():
        delay = getattr(delays, name)
        yield "delays", name, f"{label}\u00a0: nombre de cas", delay.count
        if delay.count:
            yield "delay-median", name, f"{label}\u00a0: médiane en jours", delay.median
            yield "delay-p90", name, f"{label}\u00a0: 90e centile en jours", delay.p90


def _told_once_figures(found: ToldOnce) -> Iterator[tuple[str, str, str, float]]:
    parts = [("", "", found.answers)]
    parts += [(f"category:{each.key}", f", {each.label}", each) for each in found.answers_by_category]
    parts += [(f"site:{each.key}", f", {each.label}", each) for each in found.answers_by_site]
    for code, whose, said in parts:
        yield "story-sufficient", code, f"Le récit suffisait{whose}", said.sufficient
        yield "story-insufficient", code, f"Le récit ne suffisait pas{whose}", said.insufficient
        yield "story-silent", code, f"Orientations répondues sans avis sur le récit{whose}", said.silent
        if said.response_rate is not None:
            yield "story-response-rate", code, f"Taux de réponse sur le récit{whose}", said.response_rate
    told = [
        ("", "", found.tellings),
        *((f"site:{each.key}", f", {each.label}", each) for each in found.tellings_by_site),
    ]
    for code, whose, tellings in told:
        yield "stories", code, f"Récits écrits{whose}", tellings.stories
        yield "retold", code, f"Récits racontés de nouveau{whose}", tellings.retold


def _label(labels: Mapping[Any, str], code: str) -> str:
    return labels.get(code, code)


def _safe(cell: str) -> str:
    """A quarter is what somebody typed: a spreadsheet must not take it for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
