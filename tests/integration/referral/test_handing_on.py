"""To the next recipient that the person agreed to, and to nobody else."""

from datetime import date

import pytest

from services.contracts.codes import Category, Need
from services.contracts.orientation import Proposal, Recipient
from services.network import Network
from tests.support.office import COUNTER, HELPS, NETWORK, RECIPIENTS, THEN, Desk, partner, proposed


def decline(desk: Desk, referral: object = None, by: str = HELPS, **said: str) -> str | None:
    """Decline the newest referral; who has it then."""
    found = referral or desk.open()
    desk.answer(found, partner(by), "declined", **({"reason": "no-capacity"} | said))  # type: ignore[arg-type]
    next_id = desk.row(found).next_id  # type: ignore[arg-type]
    return desk.row(next_id).partner if next_id else None


def test_a_refusal_hands_on(desk: Desk) -> None:
    """With a new id and the same need; the next is told neither the refusal's reason nor the first one's."""
    referral = desk.open()
    assert decline(desk, referral) == THEN
    (moved,) = desk.documents("ReferralRerouted")
    assert (moved["reason"], moved["bounces"], moved["partner"]) == ("no-capacity", 1, THEN)
    (view,) = desk.documents("ReferralSent", recipient=THEN)
    assert view["referral_id"] == moved["next_referral_id"] != str(referral)
    assert "no-capacity" not in str(view)
    assert desk.row(referral).reason not in str(view)
    assert desk.told(HELPS) == ["ReferralSent", "ReferralDeclined"]


@pytest.mark.parametrize(
    ("agreed", "sensitive", "expected"),
    [
        (("local", "operator"), False, THEN),
        (("local", THEN), False, THEN),
        (("local",), False, None),
        ((HELPS,), True, None),
    ],
)
def test_only_to_whom_the_person_agreed(
    desk: Desk, *, agreed: tuple[str, ...], sensitive: bool, expected: str | None
) -> None:
    """By category or by id; an agreement to the first is none to the second."""
    data = proposed(agreed=agreed).model_copy(update={"sensitive": sensitive})
    assert decline(desk, desk.open(data)) == expected


@pytest.mark.parametrize(("sensitive", "expected"), [(False, THEN), (True, "cap-emploi-80")])
def test_a_recipient_whose_name_tells_a_disability_takes_an_explicit_agreement(
    desk: Desk,
    *,
    sensitive: bool,
    expected: str,
) -> None:
    """Cap emploi as a fallback is passed over without it, though the category was agreed to (RGPD, art. 9)."""
    chain = (RECIPIENTS[0], Recipient(partner="cap-emploi-80", category=Category.LOCAL, department="80"), RECIPIENTS[1])
    data = proposed(*chain).model_copy(update={"sensitive": sensitive})
    assert decline(desk, desk.open(data)) == expected


def left(network: Network) -> dict[str, object]:
    """France Travail has left the network files."""
    return {"partners": tuple(each for each in network.partners if each.id != THEN)}


def out_of_basket(network: Network) -> dict[str, object]:
    """France Travail has left the basket of operators."""
    gone = {"basket_until": date(2026, 11, 1)}
    return {"partners": tuple(each.model_copy(update=gone) if each.id == THEN else each for each in network.partners)}


@pytest.mark.parametrize("change", [left, out_of_basket])
def test_whoever_cannot_receive_any_more_is_passed_over(desk: Desk, change: object) -> None:
    """The network files of the day of the refusal decide, not those of the visit."""
    referral = desk.open()
    desk.with_network(**change(NETWORK))  # type: ignore[operator]
    assert decline(desk, referral) is None


def test_nobody_gets_the_same_need_twice(desk: Desk) -> None:
    """Neither who had it before, nor who has it already by an "and" line."""
    back = (*RECIPIENTS, RECIPIENTS[0])
    first = desk.open(proposed(*back))
    assert decline(desk, first) == THEN
    assert decline(desk, desk.row(first).next_id, by=THEN) is None
    both = proposed()
    second = Proposal(need=Need.CHERCHER_UN_EMPLOI, recipients=(RECIPIENTS[1],), rule="2", reason="…")
    data = both.model_copy(update={"proposals": (second, both.proposals[0])})
    assert decline(desk, desk.open(data)) is None


def test_a_failure_or_a_withdrawal_hands_nothing_on(desk: Desk) -> None:
    """A partner that has worked with the person has something to say to the site first."""
    referral = desk.open()
    desk.answer(referral, partner(HELPS), "accepted")
    desk.answer(referral, partner(HELPS), "failed", reason="person-absent")
    assert desk.row(referral).next_id is None
    assert desk.told(THEN) == []


def test_a_site_that_declines_has_nobody_behind_it(desk: Desk) -> None:
    """The partner that sent the person is told."""
    referral = desk.send(HELPS)
    desk.answer(referral, COUNTER, "declined", reason="no-capacity")
    assert desk.told(HELPS) == ["ReferralDeclined"]
    assert desk.row(referral).next_id is None
