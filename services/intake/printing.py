"""What is held of a person, as a French document to read and keep: PDF, set by Typst in a process of its own."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from services.chassis import logs
from services.chassis.errors import Rejected
from services.contracts import codes
from services.contracts.paris import paris
from services.intake.case_forms import AccessView, PersonView
from services.intake.export_forms import Export, HeldAgreement, HeldCase, HeldReferral, HeldVisit

_PROGRAM = Path(__file__).parent / "typesetting.py"
# For a turn, and again for the setting itself, which a million letters take 3 s of.
_SECONDS = 15.0
_TURNS = BoundedSemaphore(2)
_TOO_LONG = Rejected(
    "not-printed",
    "Le document PDF n’a pas pu être préparé à temps\u00a0: réessayez dans une minute, ou remettez la copie JSON, qui"
    " contient tout.",
    status=503,
    headers={"Retry-After": "60"},
)
# A paragraph costs as much as 300 letters. Beyond so many lines, a story's short ones share paragraphs.
_MOST_LINES, _SHORT = 200, 120
_MOST_ACCESSES = 500
# Longer words than a line would run over the margin; where they may break nothing is shown.
_LONG_WORD = re.compile(r"\S{40}(?=\S)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BASES = {
    "mission": "mission d’intérêt public, avec droit d’opposition (RGPD, art. 6 et 21)",
    "agreement": "accord de la personne (RGPD, art. 6)",
}
_ENDS = {"withdrawn": "retiré", "objection": "opposition de la personne", "restriction": "limitation du traitement"}
_OUTCOMES = {
    "resolved": "résolu au guichet",
    "to-refer": "à orienter",
    "to-continue": "à poursuivre au guichet",
    "declined-by-person": "la personne n’a pas souhaité de suite",
}
_CHANNELS = {
    "desk": "au guichet",
    "phone": "par téléphone",
    "appointment": "sur rendez-vous",
    "outreach": "hors les murs",
    "workshop": "en atelier",
}
_YES = {True: "oui", False: "non"}
Block = dict[str, Any]


log = logs.get(__name__)


def printed(held: Export) -> bytes:
    """The PDF, tagged for screen readers. Nothing of it is written to a disk. Raises Rejected (503).

    Letters that Typst's own fonts do not have (emoji) are empty boxes; the JSON has them.
    """
    document = {
        "title": "Ce que France services conserve de vous",
        "sections": [{"title": title, "blocks": _whole(blocks)} for title, blocks in _sections(held).items()],
    }
    if not _TURNS.acquire(timeout=_SECONDS):
        raise _TOO_LONG
    try:
        return _typeset(json.dumps(document).encode())
    finally:
        _TURNS.release()


def _typeset(document: bytes) -> bytes:
    """Meanwhile the service's other threads go on. Raises Rejected (503)."""
    # Typst's own words may quote the document: they are not looked at.
    program = [sys.executable, "-I", str(_PROGRAM)]
    try:
        done = subprocess.run(  # noqa: S603 - our own program, fixed arguments
            program, input=document, capture_output=True, timeout=_SECONDS, check=False, env={}
        )
    except subprocess.TimeoutExpired:
        log.warning("not printed", reason="too slow")
        raise _TOO_LONG from None
    if done.returncode:
        log.warning("not printed", reason=f"ended with code {done.returncode}")
        raise _TOO_LONG
    return done.stdout


def _sections(held: Export) -> dict[str, list[Block]]:
    return {
        f"Au {_moment(held.exported_at)}": [
            _text(
                "Ce document vous est remis à votre demande (droit d’accès, RGPD, art. 15). Vous pouvez demander à tout"
                " agent France services de corriger ce qui est faux, de vous opposer à la transmission, de la limiter,"
                " ou d’effacer votre dossier."
            )
        ],
        "Qui vous êtes": [_rows(_person(held.person)), *(_case(each) for each in held.cases)],
        "Vos visites": [block for each in held.visits for block in _visit(each)] or [_text("Aucune.")],
        "À qui vous avez dit oui ou non": [_agreement(each) for each in held.agreements] or [_text("À personne.")],
        "Vos orientations": [_referral(each) for each in held.referrals] or [_text("Aucune.")],
        "Qui a consulté votre dossier, ou agi": _accesses(held.accesses),
        "Combien de temps": [_text(*held.kept)],
        "Ce qui est conservé ailleurs": [_text(*held.elsewhere)],
    }


def _accesses(accesses: Sequence[AccessView]) -> list[Block]:
    """The latest ones, which come first."""
    if not accesses:
        return [_text("Personne.")]
    shown = accesses[:_MOST_ACCESSES]
    table = _table(("Quand", "Qui", "Quoi"), [(_moment(each.at), each.name, each.label) for each in shown])
    if len(shown) == len(accesses):
        return [table]
    told = f"Voici les {_MOST_ACCESSES} derniers accès, sur {len(accesses)}. La copie JSON les contient tous."
    return [_text(told), table]


def _person(person: PersonView) -> list[tuple[str, str]]:
    told = {
        "Nom": person.family_name,
        "Prénom": person.given_name,
        "Date de naissance": _day(person.birth_date),
        "Téléphone": person.phone,
        "Courriel": person.email,
    }
    return [(label, value) for label, value in told.items() if value]


def _case(case: HeldCase) -> Block:
    told = {
        "Référence de dossier": case.reference,
        "Ouvert": f"{_moment(case.opened_at)}, {case.site_name}",
        "Opposition": case.objected_at and _moment(case.objected_at),
        "Limitation du traitement": case.restricted_at and _moment(case.restricted_at),
        "Conservé jusqu’au": _day(case.kept_until),
    }
    return _rows([(label, value) for label, value in told.items() if value])


def _visit(visit: HeldVisit) -> list[Block]:
    facts = visit.facts
    told = {
        "Comment": _CHANNELS.get(facts["channel"], facts["channel"]),
        "Âge déclaré": _label(codes.AGE_BAND_LABELS, facts["age_band"]),
        "Commune (code INSEE)": facts["commune"],
        "Situations déclarées": ", ".join(_label(codes.PUBLIC_LABELS, each) for each in facts["publics"]),
        "Inscription à France Travail": _YES.get(facts["france_travail_registered"]),
        "Régime": {"general": "général", "msa": "agricole (MSA)"}.get(facts["regime"]),
        "Sexe": {"F": "femme", "M": "homme"}.get(facts["sex"]),
        "Quartier": facts["quarter"],
        "Durée": facts["duration_minutes"] and f"{facts['duration_minutes']} minutes",
    }
    heading = {"kind": "heading", "text": f"{_moment(visit.occurred_at)}, {visit.site_name}"}
    blocks = [heading, _rows([(label, value) for label, value in told.items() if value])]
    blocks += [_rows(_need(need)) for need in visit.needs]
    if visit.person:
        blocks.append(_rows([("Identité donnée ce jour-là", ", ".join(value for _, value in _person(visit.person)))]))
    return [*blocks, _rows([("Votre récit", "")]), _text(*paragraphs(visit.story))] if visit.story else blocks


def paragraphs(story: str) -> list[str]:
    """A story's lines without the blank ones; of very many, short ones are joined, with a stroke between."""
    lines = [line for line in story.splitlines() if line.strip()]
    if len(lines) <= _MOST_LINES:
        return lines
    joined = [lines[0]]
    for line in lines[1:]:
        if len(joined[-1]) < _SHORT:
            joined[-1] += f" / {line}"
        else:
            joined.append(line)
    return joined


def _need(need: Mapping[str, Any]) -> list[tuple[str, str]]:
    obstacles = ", ".join(_label(codes.OBSTACLE_LABELS, each) for each in need["obstacles"])
    told = {
        "Besoin": f"{_label(codes.NEED_LABELS, need['code'])} ({_OUTCOMES.get(need['outcome'], need['outcome'])})",
        "Freins": obstacles.lower(),
        "Note": need["note"],
        "Raison du choix d’un autre partenaire": need["override_reason"],
    }
    return [(label, value) for label, value in told.items() if value]


def _agreement(agreement: HeldAgreement) -> Block:
    bases = " ou ".join(_BASES[each] for each in agreement.basis) or "inconnue des fichiers de réseau"
    return _rows([(agreement.name, f"{decision(agreement)}. Base légale\u00a0: {bases}.")])


def decision(agreement: HeldAgreement) -> str:
    """What the person said, when and how: a yes, maybe taken back, or a no."""
    no, why = agreement.withdrawn_at, agreement.withdrawn_for or "withdrawn"
    if agreement.given_at is None:
        reason = "" if why == "withdrawn" else f" ({_ENDS[why]})"
        return f"non, le {_moment(no)}{reason}" if no else "non"
    health = (
        "faits de santé et de handicap compris" if agreement.sensitive else "sans les faits de santé et de handicap"
    )
    said = f"oui le {_moment(agreement.given_at)}, {health}"
    if no:
        said += f"\u00a0; plus depuis le {_moment(no)} ({_ENDS[why]})"
    by = "par un représentant légal, " if agreement.by == "guardian" else ""
    form = "par écrit" if agreement.form == "written" else "à l’oral"
    return f"{said}\u00a0; {by}{form}"


def _referral(referral: HeldReferral) -> Block:
    need = _label(codes.NEED_LABELS, referral.need or "autre")
    name = referral.recipient_name or referral.recipient or "destinataire pas encore connu"
    sent = f"envoyée le {_moment(referral.sent_at)}, " if referral.sent_at else ""
    state = _label(codes.REFERRAL_STATE_LABELS, referral.state).lower()
    return _rows([(name, f"{need}\u00a0; {sent}{state} depuis le {_moment(referral.changed_at)}.")])


def _label(labels: Mapping[Any, str], code: str) -> str:
    return labels.get(code, code)


def _moment(instant: datetime) -> str:
    return paris(instant).strftime("%d/%m/%Y à %H:%M")


def _day(day: date) -> str:
    return day.strftime("%d/%m/%Y")


def _text(*paragraphs: str) -> Block:
    return {"kind": "text", "paragraphs": paragraphs}


def _rows(rows: Sequence[tuple[str, str]]) -> Block:
    return {"kind": "rows", "rows": rows}


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Block:
    return {"kind": "table", "columns": columns, "rows": rows}


def _whole(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Every text as it can be set."""
    if isinstance(value, str):
        return _LONG_WORD.sub(lambda word: f"{word[0]}\u200b", _CONTROLS.sub("\ufffd", value))
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    return [_whole(each) for each in value]
