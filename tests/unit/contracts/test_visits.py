"""What no document of a visit may hold, whichever form reads it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from services.chassis import problems
from services.contracts.codes import Need, Outcome
from services.contracts.intake import NeedFacts
from services.contracts.visits import DIAGNOSIS, judges, repeated_needs
from services.intake.forms import AgreementForm, NeedForm, PersonForm, VisitForm
from services.orientation.forms import SimulateForm

CANARY = "kanarienvogel"
VISIT: dict[str, Any] = {
    "visit_id": "0193508e-7a5c-7cc1-9a59-3f6d0c7a2b11",
    "site": "fs-moreuil",
    "occurred_at": "2026-11-20T09:30:00+01:00",
    "channel": "desk",
    "age_band": "18-20",
    "needs": [{"code": "logement", "outcome": "to-refer"}],
}
PERSON = {"family_name": "L’Hermitte", "given_name": "Zoé", "birth_date": "2007-03-14"}
FORMS = pytest.mark.parametrize("form", [VisitForm, SimulateForm])


def told(form: type[VisitForm | SimulateForm], **changes: Any) -> dict[str, str]:  # noqa: ANN401 - any JSON
    """What is said of each field of a wrong visit, by pointer."""
    with pytest.raises(ValidationError) as caught:
        form.model_validate_json(json.dumps(VISIT | changes))
    assert CANARY not in str(caught.value)
    return {error["pointer"]: error["detail"] for error in problems.invalid(caught.value).errors}


@pytest.mark.parametrize(
    "name",
    [
        "score", "riskScore", "RSAScore", "score_employabilite", "scoring", "note_sur_20", "noteSur10", "note_5",
        "notation", "rang", "rank", "ranking", "classement", "rating", "probability", "probabilite_retour_emploi",
        "proba", "pronostic", "diagnostic", "diagnosis", "diagnostic_social", "niveau", "niveau_employabilite",
        "level_of_employability", "niveau_d_insertion", "employability", "employabilite", "éloignement",
        "eloignement_emploi", "distance_to_employment", "distanceEmploi", "distance_a_l_emploi", "profil", "profile",
        "profilage", "autonomie", "degré_autonomie", "autonomy", "motivation", "motivated", "risque", "risk_level",
        "fragilite", "vulnerability", "aptitude", "evaluation", "jugement", "judgment", "comportement", "attitude",
        "MOTIVATION", "job_readiness",
    ],
)  # fmt: skip
def test_a_name_that_judges_is_recognised(name: str) -> None:
    """French and English, with accents or without, in whatever case site software writes its fields."""
    assert judges(name)


@pytest.mark.parametrize(
    "name",
    [
        "nir", "note", "notes", "note_agent", "probleme", "problem", "range", "orange", "motif", "motive", "programme",
        "profession", "classe", "diplome", "niveau_etage", "level_2_support", "distance_km", "autre", "grade_crossing_",
        "commune", "adresse", "date_naissance", "telephone", "risotto", "escorte", "", "é", "42",
    ],
)  # fmt: skip
def test_any_other_name_is_merely_unknown(name: str) -> None:
    """The charter is not quoted at whoever misspells a field."""
    assert judges(name) is name.startswith("grade")


def test_no_field_of_our_own_judges() -> None:
    """What a visit may hold would otherwise be what we say the charter forbids."""
    forms = (VisitForm, NeedForm, PersonForm, AgreementForm, SimulateForm)
    assert [name for form in forms for name in form.model_fields if judges(name)] == []


@FORMS
def test_a_judging_field_is_refused_with_the_charters_reason(form: type[VisitForm | SimulateForm]) -> None:
    """At the top, in a need, in the person, under another unknown field; each with its own pointer, no value quoted."""
    assert told(
        form,
        score=CANARY,
        needs=[{"code": "logement", "outcome": "to-refer", "rang": CANARY}],
        person=PERSON | {"éloignement": CANARY},
        agreement={"recipients": ["state"], "motivation": {CANARY: CANARY}},
    ) == dict.fromkeys(["/score", "/needs/0/rang", "/person/éloignement", "/agreement/motivation"], DIAGNOSIS)
    assert told(form, fiche={"bloc": [{"profil": CANARY}]}) == {"/fiche/bloc/0/profil": DIAGNOSIS}
    assert "charte (art. 1)" in DIAGNOSIS


@FORMS
def test_what_else_is_wrong_is_told_as_ever(form: type[VisitForm | SimulateForm]) -> None:
    """An unknown field beside it, a wrong code, a missing field: in the words they have without it."""
    wrong: dict[str, Any] = {"surnom": CANARY, "age_band": CANARY, "needs": [{"code": "logement"}], "commune": "Roye"}
    plain = told(form, **wrong)
    assert plain["/surnom"] == "Champ inconnu."
    assert set(plain) == {"/surnom", "/age_band", "/needs/0/outcome", "/commune"}
    assert told(form, score=CANARY, **wrong) == plain | {"/score": DIAGNOSIS}


def test_a_person_in_error_is_told_as_ever_beside_a_judgement() -> None:
    """Errors that pydantic's own types cannot carry twice (an address, a NIR) keep their words."""
    person = PERSON | {"email": f"{CANARY}@", "given_name": "2 07 03 80 570 123 45", "birth_date": "2999-01-01"}
    plain = told(VisitForm, person=person)
    assert set(plain) == {"/person/email", "/person/given_name", "/person/birth_date"}
    assert told(VisitForm, person=person, score=1) == plain | {"/score": DIAGNOSIS}


@FORMS
@pytest.mark.parametrize("commune", ["Moreuil", "1053", "80 570", "2a004", "805700", "", "8057O", "８０５７０"])  # noqa: RUF001
def test_what_has_not_the_shape_of_a_code_is_told_the_shape(form: type[VisitForm | SimulateForm], commune: str) -> None:
    """A name, a zero that a spreadsheet dropped, a small letter: in French rather than as a regular expression."""
    (detail,) = told(form, commune=commune).values()
    assert "cinq caractères : 80570 (Moreuil)" in detail


@FORMS
def test_a_commune_may_be_absent_null_or_padded(form: type[VisitForm | SimulateForm]) -> None:
    """As before codes were checked."""
    for changes, expected in (({}, None), ({"commune": None}, None), ({"commune": " 80570 "}, "80570")):
        assert form.model_validate_json(json.dumps(VISIT | changes)).commune == expected


def needs(*codes: str) -> list[NeedFacts]:
    """Needs by `code` or `code/label`."""
    parts = [code.partition("/") for code in codes]
    return [NeedFacts(code=Need(code), outcome=Outcome.RESOLVED, label=label or None) for code, _, label in parts]


@pytest.mark.parametrize(
    ("told_needs", "places"),
    [
        (["logement", "cheque-energie"], []),
        (["logement", "logement"], [1]),
        (["logement", "numerique", "logement", "logement"], [2, 3]),
        (["autre/velo", "autre/jardin", "autre"], []),
        (["autre/velo", "autre/velo"], [1]),
        (["autre", "autre"], [1]),
    ],
)
def test_the_same_need_is_told_once(told_needs: list[str], places: list[int]) -> None:
    """Whatever its outcome; `autre` is another need with another label."""
    assert repeated_needs(needs(*told_needs)) == places
