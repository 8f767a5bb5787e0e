"""What a partner may have of a case, as pure functions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts.codes import WITH_PARTNER, Need, ReferralState
from services.contracts.consent import Decision
from services.intake.domain.entitlement import entitling, facts_for_partner, tells_health

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
YES = Decision(given=True, sensitive=False, at=NOON)
HEALTH_TOO = Decision(given=True, sensitive=True, at=NOON)
NO = Decision(given=False, sensitive=True, at=NOON + timedelta(minutes=1))
NAMES = ("mission-locale-santerre", "local")
FACTS: dict[str, Any] = {
    "age_band": "18-20", "commune": "80570", "department": "80", "france_travail_registered": None, "regime": "msa",
    "sex": "F", "quarter": "Beaumont", "publics": ["rsa", "rqth"], "channel": "desk", "duration_minutes": 20,
    "needs": [
        {"code": "freins-multiples", "obstacles": ["mobilite", "sante"], "label": None, "recipient": "departement-80"},
        {"code": "handicap-et-emploi", "obstacles": [], "label": None, "recipient": None},
    ],
}  # fmt: skip


@pytest.mark.parametrize("state", ReferralState)
def test_only_an_open_referral_entitles(state: ReferralState) -> None:
    """From its sending to its end."""
    found = entitling(state, {"local": YES}, NAMES, stopped=False, reveals_health=False)
    assert (found is not None) == (state in WITH_PARTNER)


@pytest.mark.parametrize(
    ("decisions", "stopped", "reveals_health", "entitled"),
    [
        ({}, False, False, False),
        ({"department": HEALTH_TOO}, False, False, False),
        ({"local": YES}, False, False, True),
        ({"local": YES}, True, False, False),
        ({"local": YES}, False, True, False),
        ({"local": HEALTH_TOO}, False, True, True),
        ({"local": HEALTH_TOO, "mission-locale-santerre": NO}, False, False, False),
        ({"local": NO, "mission-locale-santerre": YES}, False, False, False),
    ],
)
def test_the_last_decision_for_it_or_its_category_entitles(
    decisions: dict[str, Decision], *, stopped: bool, reveals_health: bool, entitled: bool
) -> None:
    """Unless the person objects; and a referral that tells health wants an explicit yes."""
    found = entitling(ReferralState.SENT, decisions, NAMES, stopped=stopped, reveals_health=reveals_health)
    assert (found is not None) == entitled


def test_facts_are_those_of_the_person_and_of_one_need() -> None:
    """Not what is for counting, not the other needs, not who was chosen; nothing of health without a yes."""
    told = facts_for_partner(FACTS, "freins-multiples", sensitive=False)
    assert told == {
        "age_band": "18-20",
        "commune": "80570",
        "department": "80",
        "france_travail_registered": None,
        "regime": "msa",
        "publics": ["rsa"],
        "needs": [{"code": "freins-multiples", "obstacles": ["mobilite"], "label": None}],
    }
    assert facts_for_partner(FACTS, "handicap-et-emploi", sensitive=False)["needs"] == []
    explicit = facts_for_partner(FACTS, "freins-multiples", sensitive=True)
    assert explicit["publics"] == ["rsa", "rqth"]
    assert explicit["needs"][0]["obstacles"] == ["mobilite", "sante"]


def test_a_need_tells_health_by_its_code_or_by_an_obstacle() -> None:
    """As the codes say."""
    assert tells_health({"code": Need.DROITS_HANDICAP, "obstacles": []})
    assert tells_health({"code": "freins-multiples", "obstacles": ["sante"]})
    assert not tells_health({"code": "freins-multiples", "obstacles": ["mobilite"]})
