"""What a partner is told of answers that were refused, and how often."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.chassis.errors import Rejected
from services.chassis.letters import Letter
from services.chassis.tokens import Caller
from services.referral import letters
from services.referral.forms import PostedAnswer
from services.referral.letters import BURST, MOST_ERRORS, PER_HOUR, Budget

CALLER = Caller("partner", "cpam", "partner.cpam")
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def refusal(body: dict[str, Any], problem: Rejected | None = None) -> dict[str, Any]:
    """The event's data about an answer that cannot be read."""
    letter = Letter(CALLER, json.dumps(body).encode(), "", problem)
    with pytest.raises(Rejected) as refused:
        letter.read(PostedAnswer)
    found = letters._refusal(letter, refused.value)  # noqa: SLF001 - without a database
    return found.model_dump(mode="json")


def test_a_name_that_the_form_does_not_know_is_not_repeated() -> None:
    """Somebody's software may put a person's where a field's belongs; what is known is pointed at as over HTTP."""
    body = {"answer_id": "a", "status": "x", "Marie Hermitte": 1, "2070380570123": 2, "appointment": {"né/e": 1}}
    told = refusal(body)
    pointers = [error["pointer"] for error in told["errors"]]
    assert sorted(set(pointers)) == ["/appointment/at", "/appointment/…", "/referral_id", "/status", "/…"]
    assert pointers.count("/…") == 2
    assert "Hermitte" not in json.dumps(told, ensure_ascii=False)


def test_a_refusal_is_short() -> None:
    """Of thousands of wrong fields the first twenty."""
    told = refusal({f"{number:x}": 1 for number in range(6000)})
    assert len(told["errors"]) == MOST_ERRORS
    assert len(json.dumps(told)) < 5000


def test_what_is_too_large_is_not_read() -> None:
    """Its names are not known then."""
    told = refusal({"answer_id": "a", "referral_id": str(uuid4())}, Rejected("too-large", "Trop grand.", status=413))
    assert (told["status"], told["answer_id"], told["referral_id"]) == (413, None, None)


def test_each_partner_has_a_budget_of_its_own_which_comes_back() -> None:
    """A burst at once, then so many an hour; a clock that goes back gives nothing and takes nothing."""
    budget = Budget()
    assert all(budget.take("cpam", NOW) for _ in range(BURST))
    assert not budget.take("cpam", NOW)
    assert budget.take("caf", NOW)
    later = NOW + timedelta(hours=1)
    assert [budget.take("cpam", later) for _ in range(PER_HOUR + 1)] == [True] * PER_HOUR + [False]
    assert not budget.take("cpam", NOW)
    assert sum(budget.take("cpam", NOW + timedelta(days=30)) for _ in range(2 * BURST)) == BURST
