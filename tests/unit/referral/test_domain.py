"""The life of a referral, and when silence becomes overdue."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from services.contracts.codes import SENSITIVE_NEEDS, Category, DeclineReason, Need, ReferralState
from services.referral.domain import (
    ANSWERS,
    answer_problem,
    due_after,
    first_state,
    may_answer,
    owner_of_words,
    tells_health,
)
from services.referral.handlers import is_holiday

S = ReferralState
ALLOWED = {
    (S.SENT, S.RECEIVED),
    (S.SENT, S.ACCEPTED),
    (S.SENT, S.DECLINED),
    (S.RECEIVED, S.ACCEPTED),
    (S.RECEIVED, S.DECLINED),
    (S.ACCEPTED, S.COMPLETED),
}


@pytest.mark.parametrize("before", S)
@pytest.mark.parametrize("after", S)
def test_only_these_answers_are_allowed(before: S, after: S) -> None:
    """What was declined or completed stays so; what waits for the person's agreement is nobody's to answer."""
    assert may_answer(before, after) == ((before, after) in ALLOWED)


def test_every_state_has_its_answers() -> None:
    """A new state without a line here would be a KeyError at a partner's answer."""
    assert set(ANSWERS) == set(S)


@pytest.mark.parametrize(
    ("agreed", "expected"),
    [
        (("mission-locale-santerre",), S.SENT),
        (("local",), S.SENT),
        (("department", "operator"), S.AWAITING_AGREEMENT),
        ((), S.AWAITING_AGREEMENT),
        (("mission-locale",), S.AWAITING_AGREEMENT),
    ],
)
def test_nothing_is_sent_that_the_person_did_not_agree_to(agreed: tuple[str, ...], expected: S) -> None:
    """By the partner's own id or by its category; a name that only resembles it is none."""
    state = first_state("mission-locale-santerre", Category.LOCAL, agreed, reveals_health=False, sensitive_agreed=False)
    assert state is expected


def test_health_takes_an_explicit_agreement() -> None:
    """An agreement to the category is not enough for what tells a disability (RGPD, art. 9)."""
    for explicit, expected in ((False, S.AWAITING_AGREEMENT), (True, S.SENT)):
        state = first_state("cap-emploi-80", Category.LOCAL, ("local",), reveals_health=True, sensitive_agreed=explicit)
        assert state is expected


def test_a_referral_tells_health_by_its_need_or_by_its_sender() -> None:
    """Two needs do by themselves; whoever is sent by the MDPH tells it with any need."""
    assert {need for need in Need if tells_health(need, sender_reveals=False)} == SENSITIVE_NEEDS
    assert all(tells_health(need, sender_reveals=True) for need in Need)


def test_a_sender_cannot_name_the_owner_of_a_key() -> None:
    """With a case its key seals; without, an owner that is neither the id that was sent nor another sender's."""
    case, id_ = uuid4(), uuid4()
    assert owner_of_words(case, id_, "siavic") == case
    owners = {owner_of_words(None, one, sender) for one in (id_, UUID(int=0)) for sender in ("siavic", "cpam")}
    assert len(owners) == 4
    assert owners.isdisjoint({id_, UUID(int=0)})
    assert owner_of_words(None, id_, "siavic") == owner_of_words(None, id_, "siavic")


@pytest.mark.parametrize(
    ("sent", "due"),
    [
        ("2026-11-20T10:00", "2026-11-25"),  # Friday: Monday, Tuesday, Wednesday
        ("2026-12-23T10:00", "2026-12-29"),  # Christmas and a weekend between
        ("2026-04-03T10:00", "2026-04-09"),  # Easter Monday
        ("2026-07-13T10:00", "2026-07-17"),  # 14 July
        ("2026-11-21T23:30", "2026-11-25"),  # already Sunday in Paris
    ],
)
def test_three_business_days_are_counted_as_in_france(sent: str, due: str) -> None:
    """Weekends and public holidays do not count; the last moment is that day's end in Paris."""
    found = due_after(datetime.fromisoformat(sent).replace(tzinfo=UTC), 3, is_holiday)
    assert found.isoformat() == f"{due}T23:59:59+{'02:00' if '-04-' in due or '-07-' in due else '01:00'}"


def test_a_refusal_says_why_and_a_closure_says_how_it_ended() -> None:
    """The sender always sees the reason; `other` takes words."""
    assert answer_problem(S.RECEIVED, None, None, has_outcome=False) is None
    assert (answer_problem(S.DECLINED, None, None, has_outcome=False) or ("",))[0] == "reason"
    assert answer_problem(S.DECLINED, DeclineReason.NO_CAPACITY, None, has_outcome=False) is None
    assert (answer_problem(S.DECLINED, DeclineReason.OTHER, None, has_outcome=False) or ("",))[0] == "note"
    assert (answer_problem(S.COMPLETED, None, None, has_outcome=False) or ("",))[0] == "outcome"
    assert answer_problem(S.COMPLETED, None, None, has_outcome=True) is None
