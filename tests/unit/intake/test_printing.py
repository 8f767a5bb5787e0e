"""What a person is handed, in words."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.chassis.errors import Rejected
from services.intake import printing
from services.intake.case_forms import AccessView, PersonView
from services.intake.export_forms import Export, HeldAgreement, HeldVisit
from services.intake.printing import decision, paragraphs, printed

NOON, LATER = datetime(2026, 11, 20, 11, tzinfo=UTC), datetime(2026, 11, 21, 11, tzinfo=UTC)


def export(stories: Sequence[str] = (), accesses: int = 0) -> Export:
    """What is held of a person who came this often, and whose case was read that often."""
    facts: dict[str, Any] = dict.fromkeys(("france_travail_registered", "regime", "sex", "quarter", "duration_minutes"))
    facts |= {"channel": "desk", "age_band": "unknown", "commune": None, "publics": []}
    visits = [
        HeldVisit(case=uuid4(), site="s", site_name="s", visit_id=uuid4(), occurred_at=NOON, facts=facts, needs=[],
                  story=story, person=None)
        for story in stories
    ]  # fmt: skip
    looked = [
        AccessView(at=NOON - timedelta(minutes=number), org="o", name="o", role="agent", action="a",
                   label=f"a lu {number}", referral_id=None)
        for number in range(accesses)
    ]  # fmt: skip
    person = PersonView(family_name="n", given_name="g", birth_date=NOON.date())
    return Export(exported_at=NOON, person=person, cases=[], visits=visits, agreements=[], referrals=[], merges=[],
                  accesses=looked, kept=[], elsewhere=[])  # fmt: skip


def held(**changes: Any) -> HeldAgreement:  # noqa: ANN401 - any field
    """What was decided for a partner."""
    facts = {"case": uuid4(), "recipient": "local", "name": "n", "basis": ["mission"], "sensitive": False,
             "given_at": None, "form": "oral", "by": "person", "withdrawn_at": None, "withdrawn_for": None}  # fmt: skip
    return HeldAgreement.model_validate(facts | changes)


@pytest.mark.parametrize(
    ("decided", "words"),
    [
        ({"given_at": NOON}, "oui le 20/11/2026 à 12:00, sans les faits de santé et de handicap\u00a0; à l’oral"),
        (
            {"given_at": NOON, "sensitive": True, "by": "guardian", "form": "written"}
            | {"withdrawn_at": LATER, "withdrawn_for": "objection"},
            (
                "oui le 20/11/2026 à 12:00, faits de santé et de handicap compris\u00a0; plus depuis le 21/11/2026 à"
                " 12:00 (opposition de la personne)\u00a0; par un représentant légal, par écrit"
            ),
        ),
        ({"withdrawn_at": LATER, "withdrawn_for": "withdrawn"}, "non, le 21/11/2026 à 12:00"),
        (
            {"withdrawn_at": LATER, "withdrawn_for": "restriction"},
            "non, le 21/11/2026 à 12:00 (limitation du traitement)",
        ),
    ],
)
def test_a_decision_is_a_yes_or_a_no_with_its_day(decided: dict[str, Any], words: str) -> None:
    """A no to what was never agreed to has one moment, and nobody was asked in which form it was said."""
    assert decision(held(**decided)) == words


def test_a_storys_lines_stay_lines() -> None:
    """Blank ones between them are no lines."""
    assert paragraphs("Loyer 450\n\n \nAPL 120\nIl reste 330") == ["Loyer 450", "APL 120", "Il reste 330"]
    assert paragraphs("\n \n") == []


@pytest.mark.parametrize("line", ["a", "a a", "", "mot " * 14])
def test_a_story_costs_by_its_letters(line: str) -> None:
    """Of the longest story, however it is cut into lines, every word is set, in no more than 350 paragraphs."""
    story = (f"{line}\n" * 20_000)[:20_000]
    set_in = paragraphs(story)
    assert len(set_in) <= 350
    assert " ".join(set_in).replace("/ ", "").split() == story.split()


@pytest.mark.parametrize(("looked", "rows", "told"), [(0, 0, False), (500, 500, False), (501, 500, True)])
def test_the_latest_accesses_are_in_it(monkeypatch: pytest.MonkeyPatch, looked: int, rows: int, *, told: bool) -> None:
    """Five hundred at most, and then it says how many there are, and where."""
    monkeypatch.setattr(printing, "_typeset", lambda document: document)
    said = json.dumps(json.loads(printed(export(accesses=looked))), ensure_ascii=False)
    assert said.count("a lu ") == rows
    assert ("Voici les 500 derniers accès, sur 501. La copie JSON les contient tous." in said) == told
    assert ("a lu 0" in said, "a lu 500" in said) == (bool(looked), False)


def test_a_document_that_cannot_be_set_has_another_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """503, with the advice to take the JSON, when the program ends badly; and the next one has its turn."""
    with monkeypatch.context() as patched:
        patched.setattr(printing, "_PROGRAM", tmp_path / "nothing.py")
        for _ in range(3):
            with pytest.raises(Rejected) as refused:
                printed(export())
            assert (refused.value.status, "JSON" in refused.value.detail) == (503, True)
    assert printed(export()).startswith(b"%PDF")
