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
from zoneinfo import ZoneInfo

from services.contracts.codes import (
    EMPLOYMENT_NEEDS,
    SENSITIVE_NEEDS,
    SENSITIVE_OBSTACLES,
    SENSITIVE_PUBLICS,
    AgeBand,
    Category,
    Channel,
    Mode,
    Need,
    Obstacle,
    Outcome,
    Public,
    Sex,
)

T = TypeVar("T")
HISTORY_VISITS, LIVE_VISITS = 240, 160
# A live visit may be 7 days old at most; the seventh is left out so that the hour of sending does not matter.
LIVE_DAYS, YEAR_DAYS = 6, 365

_PARIS = ZoneInfo("Europe/Paris")
_NAMESPACE = UUID("5d0f6c1e-3c2b-5f0a-9d57-0b6b1f0e7a11")
# Fixed public holidays, (month, day): closed. Easter's are left open; nobody will count the demo's eggs.
_HOLIDAYS = frozenset({(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)})

# Hem counted 7,623 visits about employment among 8,489 in 2023.
_HEM_EMPLOYMENT = 7623 / 8489
# fmt: off
_EMPLOYMENT_MIX: dict[Need, int] = {
    Need.CHERCHER_UN_EMPLOI: 50, Need.ACCOMPAGNEMENT_EMPLOI_FORMATION: 25, Need.JEUNE_SANS_EMPLOI_NI_FORMATION: 12,
    Need.FREINS_MULTIPLES: 8, Need.HANDICAP_ET_EMPLOI: 5,
}
_OTHER_MIX: dict[Need, int] = {
    Need.PERMIS_OU_CARTE_IDENTITE: 16, Need.DEMANDER_UNE_AIDE: 16, Need.DECLARER_REVENUS: 14,
    Need.REMBOURSER_SOINS: 11, Need.PREPARER_RETRAITE: 8, Need.LOGEMENT: 7, Need.NUMERIQUE: 6,
    Need.LITIGE_OU_CONFLIT: 4, Need.ENDETTEMENT: 4, Need.ATTENDRE_UN_ENFANT: 3, Need.DROITS_HANDICAP: 3,
    Need.CHEQUE_ENERGIE: 3, Need.COURRIER_ET_BANQUE: 3, Need.ACCES_AUX_DROITS: 2, Need.RENOVATION_LOGEMENT: 2,
    Need.AIDE_AUX_VICTIMES: 1, Need.HEBERGEMENT_URGENCE: 1, Need.AUTRE: 1,
}
_OPERATORS: dict[Need, str] = {
    Need.DECLARER_REVENUS: "dgfip", Need.PERMIS_OU_CARTE_IDENTITE: "france-titres", Need.DEMANDER_UNE_AIDE: "cnaf",
    Need.CHERCHER_UN_EMPLOI: "france-travail", Need.ACCOMPAGNEMENT_EMPLOI_FORMATION: "france-travail",
    Need.REMBOURSER_SOINS: "cpam", Need.PREPARER_RETRAITE: "carsat", Need.LITIGE_OU_CONFLIT: "point-justice",
    Need.ACCES_AUX_DROITS: "point-justice", Need.ATTENDRE_UN_ENFANT: "cpam", Need.RENOVATION_LOGEMENT: "france-renov",
    Need.CHEQUE_ENERGIE: "cheque-energie", Need.COURRIER_ET_BANQUE: "la-poste",
}
_OUTCOMES = {Outcome.RESOLVED: 80, Outcome.TO_REFER: 15, Outcome.TO_CONTINUE: 3, Outcome.DECLINED_BY_PERSON: 2}
_CHANNELS = {
    Channel.DESK: 70, Channel.APPOINTMENT: 14, Channel.PHONE: 11, Channel.WORKSHOP: 3, Channel.OUTREACH: 2,
}
_AGES = {
    AgeBand.FROM_16: (16, 17), AgeBand.FROM_18: (18, 20), AgeBand.FROM_21: (21, 25), AgeBand.FROM_26: (26, 29),
    AgeBand.FROM_30: (30, 54), AgeBand.FROM_55: (55, 64), AgeBand.FROM_65: (65, 84),
}
_ALL_AGES: dict[AgeBand, int] = {
    AgeBand.FROM_16: 2, AgeBand.FROM_18: 7, AgeBand.FROM_21: 12, AgeBand.FROM_26: 12, AgeBand.FROM_30: 42,
    AgeBand.FROM_55: 15, AgeBand.FROM_65: 10,
}
_NEED_AGES: dict[Need, dict[AgeBand, int]] = {
    Need.JEUNE_SANS_EMPLOI_NI_FORMATION: {AgeBand.FROM_16: 3, AgeBand.FROM_18: 5, AgeBand.FROM_21: 4},
    Need.PREPARER_RETRAITE: {AgeBand.FROM_55: 3, AgeBand.FROM_65: 1},
    Need.ATTENDRE_UN_ENFANT: {AgeBand.FROM_18: 1, AgeBand.FROM_21: 3, AgeBand.FROM_26: 3, AgeBand.FROM_30: 3},
}
_EMPLOYMENT_AGES: dict[AgeBand, int] = {band: each for band, each in _ALL_AGES.items() if band is not AgeBand.FROM_65}
_NEED_PUBLIC = {Need.JEUNE_SANS_EMPLOI_NI_FORMATION: Public.NEET, Need.HANDICAP_ET_EMPLOI: Public.RQTH}

_FAMILY_NAMES = (
    "Lefèvre", "D’Hondt", "Dupont-Aubry", "de La Motte", "Ben Amar", "N’Diaye", "Vandenbroucke", "Thuillier",
    "L’Hermitte", "Carpentier", "Delattre", "Çelik", "Nguyễn", "Lemaître", "O’Brien", "Boulogne", "Saint-Aubin",
    "El Mansouri", "Wójcik", "du Plessis", "Caudron", "Hénin", "Traoré", "Bœuf",
)
_GIVEN_NAMES = {
    Sex.F: ("Noémie", "Marie-Ève", "Fatoumata", "Léa", "Anne-Sophie", "Zoë", "Jacqueline", "Inès", "Maëlys", "Ewa"),
    Sex.M: ("Jean-Noël", "Loïc", "Karim", "Théo", "Gaël", "François-Xavier", "Mamadou", "Émile", "Enzo", "Jérôme"),
}
# fmt: on
_STORIES = {
    Need.CHERCHER_UN_EMPLOI: "a perdu son poste en intérim au printemps, n’ose plus envoyer de candidatures et ne "
    "sait pas à qui s’adresser",
    Need.ACCOMPAGNEMENT_EMPLOI_FORMATION: "voudrait se former aux métiers de l’aide à domicile, mais aucune formation "
    "n’a lieu près de son domicile",
    Need.JEUNE_SANS_EMPLOI_NI_FORMATION: "a quitté le lycée professionnel avant l’examen, vit chez ses parents et "
    "cherche un apprentissage",
    Need.HANDICAP_ET_EMPLOI: "ne peut plus porter de charges et cherche un poste adapté",
    Need.FREINS_MULTIPLES: "n’a pas de voiture, et personne pour garder les enfants tôt le matin\u00a0; a déjà refusé "
    "deux postes pour cela",
    Need.LOGEMENT: "a reçu un congé de son propriétaire et n’a rien trouvé malgré plusieurs demandes",
    Need.ENDETTEMENT: "n’ouvre plus le courrier de la banque depuis la séparation du couple",
    Need.DROITS_HANDICAP: "attend une réponse à sa demande d’allocation et n’a plus de nouvelles",
}
_ANY_STORY = "a déjà fait le tour de plusieurs guichets et souhaite ne pas tout raconter encore une fois"
_NOTES = (
    "Compte en ligne créé avec la personne.",
    "Dossier relu ensemble, pièces numérisées.",
    "Revient avec le justificatif qui manque.",
    "Courrier expliqué, réponse rédigée sur place.",
    "Préfère un appel l’après-midi.",
)


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
    _HEM_EMPLOYMENT,
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

    `today` is the Paris day on which they are sent; everything lies before it. The same day gives the same visits.
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
    return [
        _visit(random, uuid5(_NAMESPACE, f"{today.isoformat()}/{index}"), sites[site], mode, at)
        for index, (at, _number, mode, site) in enumerate(planned)
    ]


def _working_days(first: date, last: date) -> list[date]:
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if day.weekday() < 5 and (day.month, day.day) not in _HOLIDAYS]  # noqa: PLR2004


def _moment(random: Random, day: date) -> datetime:
    """Between 9:00 and 16:59 in Paris."""
    return datetime.combine(day, time(random.randrange(9, 17), random.randrange(60)), tzinfo=_PARIS)


def _visit(random: Random, visit_id: UUID, site: _Site, mode: Mode, at: datetime) -> dict[str, Any]:
    codes = _needs(random, site)
    age_band = _weighted(random, _NEED_AGES.get(codes[0]) or _ages_for(codes))
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
        "channel": _weighted(random, _CHANNELS).value,
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
    mix = _EMPLOYMENT_MIX if random.random() < site.employment else _OTHER_MIX
    wanted = random.choices((1, 2, 3), (80, 17, 3))[0]
    codes: list[Need] = []
    while len(codes) < wanted:
        code = _weighted(random, mix)
        if code not in codes:
            codes.append(code)
    # The first need's ages hold for the whole visit; a young person's need goes first.
    return sorted(codes, key=lambda code: code not in _NEED_AGES)


def _about_work(codes: Iterable[Need]) -> bool:
    return not EMPLOYMENT_NEEDS.isdisjoint(codes)


def _ages_for(codes: Iterable[Need]) -> dict[AgeBand, int]:
    return _EMPLOYMENT_AGES if _about_work(codes) else _ALL_AGES


def _publics(random: Random, codes: Sequence[Need]) -> list[Public]:
    """Only what the person said; most say nothing."""
    publics = [_NEED_PUBLIC[code] for code in codes if code in _NEED_PUBLIC and _chance(random, 80)]
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
    outcome = Outcome.TO_REFER if code is Need.HEBERGEMENT_URGENCE else _weighted(random, _OUTCOMES)
    obstacles: list[Obstacle] = []
    if code is Need.FREINS_MULTIPLES:
        obstacles = random.sample(list(Obstacle), random.choice((1, 1, 2, 2, 3)))
    return {
        "code": code.value,
        "obstacles": [obstacle.value for obstacle in obstacles],
        "outcome": outcome.value,
        "operator": _OPERATORS.get(code) if outcome is Outcome.RESOLVED else None,
        "recipient": None,
        "override_reason": None,
        "label": None,
        "note": random.choice(_NOTES) if _chance(random, 25) else None,
    }


def _story(need: Need, sex: Sex) -> str:
    return f"{'Madame' if sex is Sex.F else 'Monsieur'} {_STORIES.get(need, _ANY_STORY)}."


def _person(random: Random, sex: Sex, age_band: AgeBand, day: date) -> dict[str, Any]:
    family_name, given_name = random.choice(_FAMILY_NAMES), random.choice(_GIVEN_NAMES[sex])
    youngest, oldest = _AGES[age_band]
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
    return {
        "recipients": recipients,
        "sensitive": sensitive and _chance(random, 85),
        "given_at": at.isoformat(),
        "form": "oral",
    }


def _chance(random: Random, percent: int) -> bool:
    return random.randrange(100) < percent


def _weighted(random: Random, weights: Mapping[T, int]) -> T:
    return random.choices(list(weights), list(weights.values()))[0]


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower().replace("œ", "oe")).encode("ascii", "ignore").decode()
    return "".join(letter for letter in plain if letter.isalnum())
