"""Intake's pages: a search, a case, who looked at it."""

from collections import defaultdict
from datetime import date, datetime
from pathlib import Path

from services.chassis.pages import environment
from services.contracts.codes import CATEGORY_LABELS, NEED_LABELS, Category
from services.contracts.french import french_day, french_month
from services.contracts.paris import paris
from services.intake.call import Call
from services.intake.case_forms import AccessesView, AgreementsView, Erased, Matches, StoryView
from services.intake.page_forms import Problems, SearchPost
from services.network import Network

_TEMPLATES = environment(Path(__file__).parent / "templates")


def _day(day: date | datetime) -> str:
    return french_day(paris(day) if isinstance(day, datetime) else day)


def _moment(instant: datetime) -> str:
    return f"{_day(instant)} à {paris(instant):%H:%M}"


_TEMPLATES.filters |= {"day": _day, "moment": _moment, "month": french_month}
_TEMPLATES.globals |= {
    "need_labels": NEED_LABELS,
    "bases": {"mission": "mission de service public", "agreement": "accord de la personne"},
}


def search(
    asked: SearchPost, found: Matches | None = None, network: Network | None = None, problems: Problems | None = None
) -> str:
    """The form, and under it the cases that may be the person's."""
    names = {site.id: site.name for site in network.sites} if network else {}
    facts = {"asked": asked, "found": found, "names": names, "problems": problems or {}}
    return _TEMPLATES.get_template("search.html").render(facts, logged_in=True)


def case(story: StoryView, decided: AgreementsView, call: Call, problems: Problems) -> str:
    """A case: who it is, what was told, to whom the person agrees, what may be done."""
    page = _TEMPLATES.get_template("case.html")
    return page.render(
        story=story,
        decided=decided,
        problems=problems,
        choices=_choices(call.network),
        names={site.id: site.name for site in call.network.sites},
        timeline=f"{call.app.settings.url('reporting')}/dossiers/{decided.case}",
        logged_in=True,
    )


def _choices(network: Network) -> dict[str, dict[str, str]]:
    """Recipients by group: each category, then partners by their category."""
    groups: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for category in Category:
        groups["Toute une catégorie"][category] = CATEGORY_LABELS[category]
    for partner in sorted(network.partners, key=lambda each: each.name):
        groups[CATEGORY_LABELS[partner.category]][partner.id] = partner.name
    return dict(groups)


def accesses(shown: AccessesView) -> str:
    """Who looked, when and what for."""
    return _TEMPLATES.get_template("accesses.html").render(shown=shown, logged_in=True)


def erased(done: Erased, network: Network) -> str:
    """What is gone, and who is told."""
    names = {partner.id: partner.name for partner in network.partners}
    return _TEMPLATES.get_template("erased.html").render(done=done, names=names, logged_in=True)
