"""Made-up visits for a first look: a plausible year at three sites in small, always the same for the same day.

The people are invented, and so are their stories. Phone numbers are of the range that the regulator keeps for
fiction (01 99 00 …), e-mail addresses of `example.org`.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any, TypeVar
from uuid import UUID, uuid5

from services.contracts.codes import (
    EMPLOYMENT_NEEDS,
    SENSITIVE_NEEDS,
    SENSITIVE_OBSTACLES,
    SENSITIVE_PUBLICS,
    AgeBand,
    Category,
    Mode,
    Need,
    Obstacle,
    Outcome,
    Public,
    Sex,
)
from services.contracts.paris import PARIS
from services.intake.samples import words
from services.intake.samples.every_line import EVERY_LINE, Situation

T = TypeVar("T")
HISTORY_VISITS, LIVE_VISITS = 240, 160
# A live visit may be 7 days old at most; the seventh is left out so that the hour of sending does not matter.
LIVE_DAYS, YEAR_DAYS = 6, 365

_NAMESPACE = UUID("5d0f6c1e-3c2b-5f0a-9d57-0b6b1f0e7a11")


@dataclass(frozen=True)
class _Site:
    """What differs from one site to another: who comes, for what, and whom they agree to by name."""

    id: str
    employment: float
    communes: Mapping[str, int]
    quarters: Sequence[str]
    partners: Sequence[str]
    farm_workers: int


_MOREUIL = _Site(
    "fs-moreuil",
    0.3,
    {"80570": 60, "80010": 12, "80799": 6, "80212": 5, "80685": 3, "80021": 3},
    (),
    ("mission-locale-santerre", "france-travail", "departement-80"),
    15,
)
_ROYE = _Site(
    "fs-roye",
    0.3,
    {"80685": 65, "80680": 8, "80561": 8, "80585": 6, "80570": 2, "80620": 2},
    (),
    ("mission-locale-santerre", "point-conseil-budget-santerre", "departement-80-spie"),
    15,
)
_HEM = _Site(
    "hem",
    words.HEM_EMPLOYMENT,
    {"59299": 80, "59350": 5, "59512": 15},
    ("Hauts-Champs", "Longchamp", "Lionderie", "Trois Fermes", "Trois Baudets", "Beaumont"),
    ("mission-locale-hem", "plie-hem", "france-travail"),
    0,
)
_VISITS = {
    Mode.HISTORY: ((_HEM, 130), (_MOREUIL, 60), (_ROYE, 50)),
    Mode.LIVE: ((_HEM, 60), (_MOREUIL, 55), (_ROYE, 45)),
}


def sample_visits(today: date) -> list[dict[str, Any]]:
    """Bodies for `POST /v1/visits`, oldest first: 240 of the last year's history, 160 live ones of the last six days.

    Among the live ones each line of the routing table has a visit of its own. `today` is the Paris day on which they
    are sent; everything lies before it. The same day gives the same visits.
    """
    random = Random(f"relais {today.isoformat()}")  # noqa: S311 - made-up visits, no secret
    days = {
        Mode.HISTORY: _working_days(today - timedelta(days=YEAR_DAYS), today - timedelta(days=LIVE_DAYS + 1)),
        Mode.LIVE: _working_days(today - timedelta(days=LIVE_DAYS), today - timedelta(days=1)),
    }
    planned = sorted(
        (_moment(random, random.choice(days[mode])), number, mode, site)
        for mode, sites in _VISITS.items()
        for number, site in enumerate(site.id for site, count in sites for _ in range(count))
    )
    sites = {site.id: site for site in (_HEM, _MOREUIL, _ROYE)}
    visits = [
        _visit(random, uuid5(_NAMESPACE, f"{today.isoformat()}/{index}"), sites[site], mode, at)
        for index, (at, _number, mode, site) in enumerate(planned)
    ]
    free = {site: [each for each in visits if (each["site"], each["mode"]) == (site, Mode.LIVE)] for site in sites}
    for situation in EVERY_LINE:
        visit = free[situation.site].pop(random.randrange(len(free[situation.site])))
        visit |= _situated(random, visit, sites[situation.site], situation)
    return visits


def _working_days(first: date, last: date) -> list[date]:
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if day.weekday() < 5 and (day.month, day.day) not in words.HOLIDAYS]  # noqa: PLR2004


def _moment(random: Random, day: date) -> datetime:
    """Between 9:00 and 16:59 in Paris."""
    return datetime.combine(day, time(random.randrange(9, 17), random.randrange(60)), tzinfo=PARIS)


def _visit(random: Random, visit_id: UUID, site: _Site, mode: Mode, at: datetime) -> dict[str, Any]:
    codes = _needs(random, site)
    age_band = _weighted(random, words.NEED_AGES.get(codes[0]) or _ages_for(codes))
    sex = Sex.F if Need.ATTENDRE_UN_ENFANT in codes or _chance(random, 55) else Sex.M
    publics = _publics(random, codes)
    needs = [_need(random, code) for code in codes]
    referred = [Need(need["code"]) for need in needs if need["outcome"] == Outcome.TO_REFER]
    # Whom nothing is to be sent for has little reason to give a name.
    identified = _chance(random, 85 if referred else 8)
    story = _story(referred[0], sex) if identified and referred else None
    agreement = _agreement(random, site, at, needs, publics) if identified and referred else None
    return {
        "visit_id": str(visit_id),
        "site": site.id,
        "mode": mode.value,
        "occurred_at": at.isoformat(),
        "channel": _weighted(random, words.CHANNELS).value,
        "duration_minutes": random.choice((5, 10, 10, 15, 15, 20, 20, 30, 45)),
        "commune": _weighted(random, site.communes),
        "quarter": random.choice(site.quarters) if site.quarters and _chance(random, 80) else None,
        "age_band": age_band.value,
        "sex": sex.value,
        "publics": [public.value for public in publics],
        "france_travail_registered": random.choice((True, True, False, None)) if _about_work(codes) else None,
        "regime": "msa" if _chance(random, site.farm_workers) else random.choice(("general", None)),
        "needs": needs,
        "person": _person(random, sex, age_band, at.date()) if identified else None,
        "story": story,
        "agreement": agreement,
        "case": None,
    }


def _needs(random: Random, site: _Site) -> list[Need]:
    """One need mostly, sometimes two or three, all of the same class so that the site's share of each is kept."""
    mix = words.EMPLOYMENT_MIX if random.random() < site.employment else words.OTHER_MIX
    wanted = random.choices((1, 2, 3), (80, 17, 3))[0]
    codes: list[Need] = []
    while len(codes) < wanted:
        code = _weighted(random, mix)
        if code not in codes:
            codes.append(code)
    # The first need's ages hold for the whole visit; a young person's need goes first.
    return sorted(codes, key=lambda code: code not in words.NEED_AGES)


def _about_work(codes: Iterable[Need]) -> bool:
    return not EMPLOYMENT_NEEDS.isdisjoint(codes)


def _ages_for(codes: Iterable[Need]) -> dict[AgeBand, int]:
    return words.EMPLOYMENT_AGES if _about_work(codes) else words.ALL_AGES


def _publics(random: Random, codes: Sequence[Need]) -> list[Public]:
    """Only what the person said; most say nothing."""
    publics = [words.NEED_PUBLIC[code] for code in codes if code in words.NEED_PUBLIC and _chance(random, 80)]
    if _about_work(codes) and not publics and _chance(random, 35):
        others = {
            Public.RSA: 12,
            Public.DEMANDEUR_EMPLOI_LONGUE_DUREE: 9,
            Public.DEMANDEUR_EMPLOI_TRES_LONGUE_DUREE: 5,
            Public.ASS: 3,
            Public.PROTECTION_INTERNATIONALE: 2,
            Public.SORTANT_ASE: 1,
        }
        publics.append(_weighted(random, others))
    return publics


def _need(random: Random, code: Need) -> dict[str, Any]:
    outcome = Outcome.TO_REFER if code is Need.HEBERGEMENT_URGENCE else _weighted(random, words.OUTCOMES)
    obstacles: list[Obstacle] = []
    if code is Need.FREINS_MULTIPLES:
        obstacles = random.sample(list(Obstacle), random.choice((1, 1, 2, 2, 3)))
    return {
        "code": code.value,
        "obstacles": [obstacle.value for obstacle in obstacles],
        "outcome": outcome.value,
        "operator": words.OPERATORS.get(code) if outcome is Outcome.RESOLVED else None,
        "recipient": None,
        "override_reason": None,
        "label": None,
        "note": random.choice(words.NOTES) if _chance(random, 25) else None,
    }


def _story(need: Need, sex: Sex, own: str | None = None) -> str:
    return f"{'Madame' if sex is Sex.F else 'Monsieur'} {own or words.STORIES.get(need, words.ANY_STORY)}."


def _person(random: Random, sex: Sex, age_band: AgeBand, day: date) -> dict[str, Any]:
    family_name, given_name = random.choice(words.FAMILY_NAMES), random.choice(words.GIVEN_NAMES[sex])
    youngest, oldest = words.AGES[age_band]
    # Whole days of 365.25 could make somebody a day too young: half a year is kept from both ends.
    age = timedelta(days=round(365.25 * (random.randint(youngest, oldest) + 0.5)) + random.randint(-170, 170))
    mailbox = ".".join(_ascii(name) for name in (given_name, family_name))
    return {
        "family_name": family_name,
        "given_name": given_name,
        "birth_date": (day - age).isoformat(),
        "phone": f"01 99 00 {random.randrange(100):02} {random.randrange(100):02}" if _chance(random, 80) else None,
        "email": f"{mailbox}@example.org" if _chance(random, 40) else None,
    }


def _agreement(
    random: Random, site: _Site, at: datetime, needs: Sequence[Mapping[str, Any]], publics: Sequence[Public]
) -> dict[str, Any] | None:
    """Mostly to categories, sometimes to one partner only; one in eight agrees to nobody, and the referral waits."""
    operator, department, local = Category.OPERATOR.value, Category.DEPARTMENT.value, Category.LOCAL.value
    partner = random.choice(site.partners)
    choices = ([operator, department, local], [operator, local], [department, operator], [partner, operator], [partner])
    recipients: list[str] | None = random.choices((*choices, None), (6, 2, 2, 2, 2, 2))[0]
    if recipients is None:
        return None
    sensitive = (
        not SENSITIVE_NEEDS.isdisjoint(need["code"] for need in needs)
        or not SENSITIVE_PUBLICS.isdisjoint(publics)
        or any(not SENSITIVE_OBSTACLES.isdisjoint(need["obstacles"]) for need in needs)
    )
    return _given(at, recipients, sensitive=sensitive and _chance(random, 85))


def _given(at: datetime, recipients: list[str], *, sensitive: bool) -> dict[str, Any]:
    return {"recipients": recipients, "sensitive": sensitive, "given_at": at.isoformat(), "form": "oral"}


def _situated(random: Random, visit: Mapping[str, Any], site: _Site, situation: Situation) -> dict[str, Any]:
    """What makes of a visit the one of this situation."""
    at, sex = datetime.fromisoformat(visit["occurred_at"]), situation.sex or Sex(visit["sex"])
    obstacles = [obstacle.value for obstacle in situation.obstacles]
    needs = [{"code": situation.need.value, "outcome": Outcome.TO_REFER.value, "obstacles": obstacles}]
    agreement = _agreement(random, site, at, needs, situation.publics) if situation.named else None
    if situation.agreed is not None:
        agreement = _given(at, list(situation.agreed), sensitive=False) if situation.agreed else None
    return {
        "age_band": situation.age_band.value,
        "sex": sex.value,
        "publics": [public.value for public in situation.publics],
        "france_travail_registered": situation.registered,
        "regime": "general",
        "needs": needs,
        "person": _person(random, sex, situation.age_band, at.date()) if situation.named else None,
        "story": _story(situation.need, sex, situation.story) if situation.named else None,
        "agreement": agreement,
    }


def _chance(random: Random, percent: int) -> bool:
    return random.randrange(100) < percent


def _weighted(random: Random, weights: Mapping[T, int]) -> T:
    return random.choices(list(weights), list(weights.values()))[0]


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower().replace("œ", "oe")).encode("ascii", "ignore").decode()
    return "".join(letter for letter in plain if letter.isalnum())
