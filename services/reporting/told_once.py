"""Whether a situation was told once: what partners say of the story they got, and how often it was told again."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Select, Subquery, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.types import Date

from services.contracts.codes import BY_RECIPIENT, CATEGORY_LABELS
from services.reporting.forms import StoryAnswers, StoryAnswersOf, Tellings, TellingsAt, ToldOnce
from services.reporting.scope import Scope
from services.reporting.tables import case_steps, referral_steps, visits

_CATEGORIES = {str(code): label for code, label in CATEGORY_LABELS.items()}


def told_once(connection: Connection, scope: Scope, names: Mapping[str, str]) -> ToldOnce:
    """Of the referrals sent in the scope and answered, and of its visits; the most answered first."""
    answers = connection.execute(_answers(scope)).mappings().all()
    tellings = _tellings(connection, scope)
    by_category, by_site = (_summed(answers, key) for key in ("category", "site"))
    return ToldOnce(
        answers=StoryAnswers(**_total(answers)),
        answers_by_category=_sorted(
            [StoryAnswersOf(key=key, label=_CATEGORIES.get(key, key), **said) for key, said in by_category.items()]
        ),
        answers_by_site=_sorted(
            [StoryAnswersOf(key=key, label=names.get(key, key), **said) for key, said in by_site.items()]
        ),
        tellings=Tellings(
            stories=sum(stories for stories, _ in tellings.values()),
            retold=sum(retold for _, retold in tellings.values()),
        ),
        tellings_by_site=[
            TellingsAt(key=site, label=names.get(site, site), stories=stories, retold=retold)
            for site, (stories, retold) in sorted(tellings.items(), key=lambda each: (-each[1][0], each[0]))
        ],
    )


_SAID = ("sufficient", "insufficient", "silent")


def _answers(scope: Scope) -> Select[Any]:
    """Answered referrals by category, site, and the last that was said of the story."""
    sent, step = referral_steps.alias("sent"), referral_steps.alias("step")
    by_recipient = step.c.event.is_(None) & step.c.state.in_(BY_RECIPIENT)
    last_first = aggregate_order_by(step.c.story_sufficient, step.c.step.desc())
    each = (
        select(
            sent.c.category,
            sent.c.site,
            func.array_agg(last_first).filter(step.c.story_sufficient.is_not(None))[1].label("said"),
        )
        .select_from(sent.join(step, step.c.referral_id == sent.c.referral_id))
        .where(scope.holds(sent.c.sent_day, sent.c.site), sent.c.sender.is_(None))
        .group_by(sent.c.referral_id, sent.c.category, sent.c.site)
        .having(func.bool_or(by_recipient))
        .subquery("each")
    )
    everything = func.count()
    return select(
        each.c.category,
        each.c.site,
        everything.filter(each.c.said.is_(True)).label("sufficient"),
        everything.filter(each.c.said.is_(False)).label("insufficient"),
        everything.filter(each.c.said.is_(None)).label("silent"),
    ).group_by(each.c.category, each.c.site)


def _tellings(connection: Connection, scope: Scope) -> dict[str, tuple[int, int]]:
    """(stories, of them told again) by site; where only a joining of cases shows it, at the site that joined them."""
    written = func.count(visits.c.retold)
    of_visits = select(visits.c.site, written, func.count().filter(visits.c.retold.is_(True)))
    of_visits = of_visits.where(scope.holds(visits.c.day, visits.c.site), visits.c.retold.is_not(None))
    found = {row[0]: (row[1], row[2]) for row in connection.execute(of_visits.group_by(visits.c.site))}
    joined = _joined()
    counted = select(joined.c.site, func.count())
    counted = counted.where(joined.c.site.is_not(None), scope.holds(joined.c.day, joined.c.site))
    for site, count in connection.execute(counted.group_by(joined.c.site)):
        stories, retold = found.get(site, (0, 0))
        found[site] = stories, retold + count
    return found


def _joined() -> Subquery:
    """Each joining that shows a retelling and stands: day and site of the last, for a case joined more than once.

    By numbers and days alone, and of one day's the first site by its id: erasure leaves of moments only the day.
    """
    of_joining = case_steps.c.kind == "merged"
    day = cast(func.timezone("Europe/Paris", case_steps.c.at), Date)
    last_first = aggregate_order_by(case_steps.c.site, day.desc(), case_steps.c.site)
    joinings, partings = (func.count().filter(case_steps.c.kind == kind) for kind in ("merged", "unmerged"))
    return (
        select(
            func.max(day).filter(of_joining).label("day"),
            func.array_agg(last_first).filter(of_joining)[1].label("site"),
        )
        .where(case_steps.c.retold)
        .group_by(case_steps.c.other)
        .having(joinings > partings)
        .subquery("joined")
    )


def _summed(rows: Iterable[Mapping[Any, Any]], key: str) -> dict[str, dict[str, int]]:
    found: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_SAID, 0))
    for row in rows:
        for name in _SAID:
            found[str(row[key])][name] += row[name]
    return found


def _total(rows: Iterable[Mapping[Any, Any]]) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in _SAID}


def _sorted(rows: list[StoryAnswersOf]) -> list[StoryAnswersOf]:
    return sorted(rows, key=lambda row: (-row.answered, row.key))
