"""What a partner may have of a case: while its referral is open, and within what the person agreed to."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.contracts.codes import (
    SENSITIVE_NEEDS,
    SENSITIVE_OBSTACLES,
    SENSITIVE_PUBLICS,
    WITH_PARTNER,
    Need,
    Obstacle,
    Public,
    ReferralState,
)
from services.contracts.consent import Decision, deciding

# What helps with the person's situation; sex, quarter, channel and duration are for counting only.
_PERSONAL = ("age_band", "commune", "department", "france_travail_registered", "regime")


def entitling(
    state: ReferralState,
    decisions: Mapping[str, Decision],
    names: Iterable[str],
    *,
    stopped: bool,
    reveals_health: bool,
) -> Decision | None:
    """The agreement by which a recipient of these names may read; None when it may not.

    `stopped`: the person objects, or had the processing restricted. `reveals_health`: the referral alone tells it.
    """
    decision = deciding(decisions, names)
    if state not in WITH_PARTNER or stopped or decision is None:
        return None
    return decision if decision.covers(reveals_health=reveals_health) else None


def tells_health(need: Mapping[str, Any]) -> bool:
    """Whether a coded need tells a health or disability fact."""
    return Need(need["code"]) in SENSITIVE_NEEDS or bool(SENSITIVE_OBSTACLES.intersection(need["obstacles"]))


def facts_for_partner(facts: Mapping[str, Any], need: str, *, sensitive: bool) -> dict[str, Any]:
    """Of a visit's coded facts those about the person and about one need; health and disability when `sensitive`.

    Nothing is said of other needs and of who else was chosen for what.
    """
    publics: list[Public] = [Public(each) for each in facts["publics"]]
    return {
        **{name: facts[name] for name in _PERSONAL},
        "publics": [each for each in publics if sensitive or each not in SENSITIVE_PUBLICS],
        "needs": [
            {"code": each["code"], "obstacles": _obstacles(each, sensitive=sensitive), "label": each["label"]}
            for each in facts["needs"]
            if each["code"] == need and (sensitive or Need(need) not in SENSITIVE_NEEDS)
        ],
    }


def _obstacles(need: Mapping[str, Any], *, sensitive: bool) -> list[Obstacle]:
    obstacles: list[Obstacle] = [Obstacle(each) for each in need["obstacles"]]
    return [each for each in obstacles if sensitive or each not in SENSITIVE_OBSTACLES]
