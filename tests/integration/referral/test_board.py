"""What the pages' lists hold: whom they show, in which part, to whom; on the real server, with a moved clock."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from services.chassis.errors import Rejected
from services.chassis.tokens import Caller
from services.contracts.codes import Need
from services.referral import board, pages
from services.referral.board import Board
from services.referral.cards import Card, Reader
from services.referral.page_forms import BoardQuery
from services.referral.tables import referrals
from tests.support.office import AGENT, HELPS, THEN, Desk, partner, proposed


def inbox(desk: Desk, org: str = HELPS, **asked: object) -> Board:
    """A partner's list."""
    return board.inbox(BoardQuery.model_validate(asked), partner(org), desk.app, desk.office.network)


def follow_up(desk: Desk, caller: Caller = AGENT, **asked: object) -> Board:
    """A site's list."""
    return board.follow_up(BoardQuery.model_validate(asked), caller, desk.app, desk.office.network)


def one(desk: Desk, referral: UUID, caller: Caller) -> Card:
    """A referral's own page."""
    with desk.app.read() as connection:
        return Reader(caller, desk.app, desk.office.network, connection).one(referral)


def held(shown: Board) -> dict[str, list[UUID]]:
    """The referrals in each part."""
    return {part: [card.view.referral_id for card in cards] for part, cards in shown.parts.items()}


def test_a_partner_has_three_parts_and_what_has_ended(desk: Desk) -> None:
    """Sent and received: to answer; accepted: at work; declined: ended. Each open one once, counted once."""
    sent, received, accepted, declined = (desk.open() for _ in range(4))
    desk.answer(received, partner(HELPS), "received")
    desk.answer(accepted, partner(HELPS), "accepted")
    desk.answer(declined, partner(HELPS), "declined", reason="no-capacity")
    shown = inbox(desk)
    assert {part: set(ids) for part, ids in held(shown).items()} == {
        "late": set(),
        "to-answer": {sent, received},
        "at-work": {accepted},
    }
    assert dict(shown.totals) == {"to-answer": 2, "at-work": 1}
    assert [card.view.referral_id for card in shown.ended] == [declined]


def test_what_is_overdue_reminded_or_escalated_is_late(desk: Desk) -> None:
    """After three business days without a receipt; a receipt makes it timely again until the first reminder."""
    referral = desk.open()
    desk.clock.move(days=5)
    assert held(inbox(desk))["late"] == []
    desk.clock.move(days=1)
    assert held(inbox(desk))["late"] == [referral]
    assert inbox(desk).parts["late"][0].late
    desk.answer(referral, partner(HELPS), "received")
    assert held(inbox(desk))["to-answer"] == [referral]
    desk.clock.move(days=6)
    desk.ring()
    assert held(inbox(desk))["late"] == [referral]


def test_the_longest_due_comes_first(desk: Desk) -> None:
    """So that what has waited longest is seen first."""
    first = desk.open()
    desk.clock.move(days=3)
    second = desk.open()
    assert held(inbox(desk))["to-answer"] == [first, second]


def test_what_has_ended_leaves_after_thirty_days(desk: Desk) -> None:
    """The list of what has ended does not grow for ever."""
    referral = desk.open()
    desk.answer(referral, partner(HELPS), "declined", reason="duplicate")
    desk.clock.move(days=29)
    assert inbox(desk).ended
    desk.clock.move(days=2)
    assert inbox(desk).ended == []


def test_what_waits_for_an_agreement_is_nobodys_but_its_site_s(desk: Desk) -> None:
    """A partner does not see it, on the list or by its number; the site is to ask the person."""
    referral = desk.open(proposed(agreed=()))
    assert held(inbox(desk)) == {"late": [], "to-answer": [], "at-work": []}
    with pytest.raises(Rejected) as refused:
        one(desk, referral, partner(HELPS))
    assert refused.value.status == 404
    assert held(follow_up(desk))["again"] == [referral]


def test_a_refusal_and_the_next_recipient_are_one_story(desk: Desk) -> None:
    """The site sees the newest only, with who had it before and why; its trail begins with the first."""
    referral = desk.open()
    desk.clock.move(days=1)
    desk.answer(referral, partner(HELPS), "declined", reason="no-capacity")
    shown = follow_up(desk)
    (card,) = shown.parts["waiting"]
    (passed,) = card.passed
    assert (passed.who, passed.reason, passed.to) == ("Mission locale du Santerre", "no-capacity", "France Travail")
    assert sum(shown.totals.values()) == 1
    assert shown.ended == []
    trail = one(desk, card.view.referral_id, AGENT).trail
    assert [(each.who, each.state, each.to) for each in trail] == [
        ("Relais", "sent", "Mission locale du Santerre"),
        ("Mission locale du Santerre", "declined", None),
        ("Relais", "sent", "France Travail"),
    ]


def test_a_partner_is_told_of_nobody_before_or_after_it(desk: Desk) -> None:
    """The one that declined reads no name of the next, the next none of the first: how many, and no more."""
    referral = desk.open()
    desk.answer(referral, partner(HELPS), "declined", reason="no-capacity")
    now = desk.clock.now()
    before = pages.referral(one(desk, referral, partner(HELPS)), now)
    (card,) = inbox(desk, THEN).parts["to-answer"]
    after = pages.inbox(inbox(desk, THEN)) + pages.referral(one(desk, card.view.referral_id, partner(THEN)), now)
    assert "France Travail" not in before
    assert "Mission locale" not in after
    assert "déjà été adressée à 1\u00a0autre partenaire" in after
    assert str(desk.row(referral).case_id) not in before + after
    assert str(desk.row(referral).visit_id) not in before + after


@pytest.mark.parametrize("end", ["declined", "expired", "failed"])
def test_whom_nobody_took_on_is_to_be_seen_again(desk: Desk, end: str) -> None:
    """Until the site has oriented the person anew for this need, and for ninety days at most."""
    data = proposed(agreed=("local",))
    referral = desk.open(data)
    if end == "expired":
        desk.clock.move(days=31)
        desk.ring()
    else:
        if end == "failed":
            desk.answer(referral, partner(HELPS), "accepted")
        desk.answer(referral, partner(HELPS), end, reason="not-eligible")
    assert held(follow_up(desk))["again"] == [referral]
    desk.open(proposed())
    assert held(follow_up(desk))["again"] == [referral]
    desk.clock.move(minutes=1)
    desk.open(data.model_copy(update={"orientation_id": uuid4(), "visit_id": uuid4()}))
    assert held(follow_up(desk))["again"] == []


def test_a_visit_of_any_of_joined_cases_orients_the_person_anew(desk: Desk) -> None:
    """Whichever of them is the older, while they are read as one."""
    for older in (True, False):
        data = proposed(agreed=("local",))
        referral, other = desk.open(data), uuid4()
        assert data.case is not None
        desk.answer(referral, partner(HELPS), "declined", reason="not-eligible")
        desk.clock.move(minutes=1)
        new = {"orientation_id": uuid4(), "visit_id": uuid4(), "case": other}
        desk.open(data.model_copy(update=new))
        assert held(follow_up(desk))["again"] == [referral]
        pair = (data.case, other) if older else (other, data.case)
        desk.join(*pair)
        assert held(follow_up(desk))["again"] == []
        desk.clock.move(minutes=1)
        desk.join(*pair, joined=False)
        assert held(follow_up(desk))["again"] == [referral]
        desk.clock.move(minutes=1)
        desk.join(*pair)


def test_nobody_is_to_be_seen_again_for_ever(desk: Desk) -> None:
    """After ninety days it leaves the list."""
    referral = desk.open(proposed(agreed=("local",)))
    desk.answer(referral, partner(HELPS), "declined", reason="not-eligible")
    desk.clock.move(days=89)
    assert held(follow_up(desk))["again"] == [referral]
    desk.clock.move(days=2)
    assert held(follow_up(desk))["again"] == []


def test_whom_a_partner_sends_is_expected_at_the_site(desk: Desk) -> None:
    """With the answers that the site may give; the sender follows it on its own page and may take it back."""
    referral = desk.send(HELPS)
    (card,) = follow_up(desk).parts["expected"]
    assert card.view.referral_id == referral
    assert card.sender == "Mission locale du Santerre"
    assert {"received", "accepted", "declined"} == card.possible
    (theirs,) = inbox(desk).sent
    assert {"withdrawn", "entered-in-error"} == theirs.possible
    assert follow_up(desk, Caller("agent", "fs-roye", "agent:y")).totals == {}


@pytest.mark.parametrize("caller", [partner(THEN), Caller("agent", "fs-roye", "agent:y"), Caller("site", "hem", "s")])
def test_others_find_nothing(desk: Desk, caller: Caller) -> None:
    """Another partner's and another site's: 404, as if there were no such referral."""
    with pytest.raises(Rejected) as refused:
        one(desk, desk.open(), caller)
    assert refused.value.status == 404


def test_a_referral_is_found_by_the_number_that_is_told_by_phone(desk: Desk) -> None:
    """However it is typed, the last eight digits or all of them, ended or not; something else finds nothing."""
    referral, other = desk.open(), desk.open()
    desk.answer(referral, partner(HELPS), "declined", reason="duplicate")
    told = str(referral)[-8:].upper()
    for number in (told, f"{told[:4]}-{told[4:]} ", str(referral)):
        assert [card.view.referral_id for card in inbox(desk, number=number).ended] == [referral]
    assert held(inbox(desk, number=str(other)))["to-answer"] == [other]
    for number in ("zzz", told[:4]):
        assert (inbox(desk, number=number).totals, inbox(desk, number=number).ended) == ({}, [])


def test_a_long_list_has_pages_and_can_be_narrowed(desk: Desk) -> None:
    """50 a page, nothing twice and nothing lost; by need and département, whose choices stay."""
    opened = {desk.open() for _ in range(51)}
    other = desk.open(proposed(need=Need.LOGEMENT))
    first, second = inbox(desk), inbox(desk, page=2)
    assert first.pages == 2
    assert len(held(first)["to-answer"]) == 50
    assert {*held(first)["to-answer"], *held(second)["to-answer"]} == {*opened, other}
    narrowed = inbox(desk, need="logement", department="80")
    assert (held(narrowed)["to-answer"], narrowed.totals, len(narrowed.needs)) == ([other], {"to-answer": 1}, 2)
    assert inbox(desk, department="59").totals == {}


def test_who_has_left_the_network_files_is_called_by_its_id(desk: Desk) -> None:
    """Its referrals are shown all the same."""
    referral = desk.open()
    with desk.app.work() as work:
        work.execute(update(referrals).where(referrals.c.id == referral).values(partner="parti"))
    assert "parti" in pages.follow_up(follow_up(desk))
