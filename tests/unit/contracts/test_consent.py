"""The latest decision counts, whether of the partner or of its category."""

from datetime import UTC, datetime, timedelta

import pytest

from services.contracts.consent import Decision, deciding, latest, of_visit

VISIT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
BEFORE, AFTER = VISIT - timedelta(hours=1), VISIT + timedelta(hours=1)
NAMES = ("mission-locale-santerre", "local")


def yes(at: datetime, *, sensitive: bool = False) -> Decision:
    """An agreement."""
    return Decision(given=True, sensitive=sensitive, at=at)


def no(at: datetime) -> Decision:
    """A withdrawal."""
    return Decision(given=False, sensitive=False, at=at)


@pytest.mark.parametrize(
    ("agreed", "expected"),
    [
        (("mission-locale-santerre",), True),
        (("local",), True),
        (("department", "operator"), False),
        ((), False),
        (("mission-locale",), False),
    ],
)
def test_nothing_is_sent_that_the_person_did_not_agree_to(agreed: tuple[str, ...], *, expected: bool) -> None:
    """By the partner's own id or by its category; a name that only resembles it is none."""
    assert (of_visit(NAMES, agreed, sensitive=False, at=VISIT) is not None) == expected


def test_health_takes_an_explicit_agreement() -> None:
    """An agreement to the category is not enough for what tells a disability (RGPD, art. 9)."""
    assert yes(VISIT).covers(reveals_health=False)
    assert not yes(VISIT).covers(reveals_health=True)
    assert yes(VISIT, sensitive=True).covers(reveals_health=True)
    assert not no(VISIT).covers(reveals_health=False)


def test_of_a_partner_and_its_category_the_latest_counts() -> None:
    """In both directions; others' decisions are none of theirs."""
    refused, agreed = {"local": yes(VISIT), NAMES[0]: no(AFTER)}, {"local": no(VISIT), NAMES[0]: yes(AFTER)}
    assert deciding(refused, NAMES) == no(AFTER)
    assert deciding(agreed, NAMES) == yes(AFTER)
    assert deciding({"operator": no(AFTER)}, NAMES) is None


def test_of_two_at_the_same_moment_that_which_withdraws_counts() -> None:
    """Whatever their order; and nothing said is nothing decided."""
    assert latest([yes(VISIT), no(VISIT)]) == latest([no(VISIT), None, yes(VISIT)]) == no(VISIT)
    assert latest([None]) is None
    assert latest([no(BEFORE), yes(VISIT)]) == yes(VISIT)
