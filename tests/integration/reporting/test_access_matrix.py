"""Who may see what of a case at reporting, cell by cell: exactly the allowed cells, whatever intake says of the story.

Intake, which is asked first, has a matrix of its own; this one holds where intake is away.
"""

from collections.abc import Callable, Iterator
from itertools import product
from uuid import UUID, uuid4

import pytest

from services.chassis.app import App
from services.chassis.errors import Rejected
from services.contracts import referral as events
from services.contracts.codes import Category, Need, ReferralState
from services.contracts.intake import CasesMerged, CasesUnmerged
from services.reporting.cases import case_timeline
from services.reporting.referral_case import referral_case
from tests.support.lives import Life, Told, agreed, take, told, visit, withdrew

S = ReferralState
OPEN = {S.SENT, S.RECEIVED, S.ACCEPTED, S.IN_PROGRESS, S.ON_HOLD}
PLAIN, HEALTH = Need.LOGEMENT, Need.DROITS_HANDICAP
SITE, PARTNER = "hem", "ml"
# What the person decided after the sending, in order; and of which needs' referrals the partner may see the case then.
DECISIONS: dict[str, tuple[Callable[[UUID], list[Told]], set[Need]]] = {
    "nothing": (lambda _: [], {PLAIN, HEALTH}),
    "to another": (lambda case: [withdrew(case, "ft", 1)], {PLAIN, HEALTH}),
    "withdrawn": (lambda case: [withdrew(case, PARTNER, 1)], set()),
    "withdrawn from its category": (lambda case: [withdrew(case, "local", 1)], set()),
    "objection": (lambda case: [withdrew(case, PARTNER, 1, "objection")], set()),
    "restriction": (lambda case: [withdrew(case, PARTNER, 1, "restriction")], set()),
    "agreed, then withdrawn": (lambda case: [agreed(case, "local", 1), withdrew(case, PARTNER, 2)], set()),
    "withdrawn, then agreed": (lambda case: [withdrew(case, PARTNER, 1), agreed(case, "local", 2)], {PLAIN}),
    "health taken back": (lambda case: [agreed(case, PARTNER, 1)], {PLAIN}),
    "agreed anew, health too": (
        lambda case: [withdrew(case, PARTNER, 1), agreed(case, PARTNER, 2, sensitive=True)],
        {PLAIN, HEALTH},
    ),
    "withdrawn before it was sent": (lambda case: [withdrew(case, PARTNER, -1)], {PLAIN, HEALTH}),
}


def referrals_in_every_state(case: UUID, need: Need) -> Iterator[tuple[str, Life, list[Told]]]:
    """One in each state, one that nobody has heard of, one whose sending has not come yet, one toward the site."""
    yield "not heard of", (unknown := Life(case, need=need)), unknown.letters[:0]
    half = Life(case, need=need).then(events.ReferralReceived, 0.1, S.RECEIVED)
    yield "its sending not heard of", half, half.letters[1:]
    yield S.SENT, (sent := Life(case, need=need)), sent.letters
    for state, kind in events.EVENT_INTO.items():
        life = Life(case, need=need).then(kind, 0.1, state)
        yield state, life, life.letters
    yield S.AWAITING_AGREEMENT, (held := Life.held(case, need=need)), held.letters
    toward = Life(case, SITE, need=need, category=Category.SITE, sender=PARTNER)
    yield "toward a site", toward, toward.letters


def test_a_case_by_its_referral(app: App, tell: Callable[[str], None]) -> None:
    """Reader, state, decision, need: the addressed partner, while it is open, unless it was taken back since."""
    cells = allowed = 0
    wrong = []
    for (decision, (decided, needs)), need in product(DECISIONS.items(), (PLAIN, HEALTH)):
        case = uuid4()
        asked = list(referrals_in_every_state(case, need))
        take(app, told(visit(case)), *[letter for _, _, letters in asked for letter in letters], *decided(case))
        for (state, life, _), reader in product(asked, (PARTNER, "ft", "another of its category")):
            with app.read() as connection:
                seen = referral_case(connection, life.id, reader, {}, reveals_health=False) is not None
            wanted = reader == PARTNER and state in OPEN and need in needs
            cells, allowed = cells + 1, allowed + seen
            if wanted != seen:
                wrong.append((decision, need, state, reader))
    assert not wrong, wrong
    tell(f"cases by referral: {cells} cells, {allowed} allowed")
    assert (cells, allowed) == (11 * 2 * 15 * 3, (6 + 4) * len(OPEN))


# How a site may have come to know of a case; and whether it may read it, alone and when intake has just said so.
SITES: dict[str, tuple[Callable[[UUID], list[Told]], bool]] = {
    "a visit there": (lambda case: [told(visit(case, site="there"))], True),
    "none": (lambda _: [], False),
    "a visit in a joined case": (lambda case: [_elsewhere(other := uuid4()), _joined(case, other)], True),
    "a visit in the case it was joined to": (lambda case: [_elsewhere(other := uuid4()), _joined(other, case)], True),
    "a visit in a case that was parted again": (
        lambda case: [_elsewhere(other := uuid4()), _joined(case, other), _parted(case, other)],
        False,
    ),
    "a referral was sent to it": (
        lambda case: Life(case, "there", category=Category.SITE, sender=PARTNER).letters,
        False,
    ),
}


def _elsewhere(case: UUID) -> Told:
    return told(visit(case, site="there"))


def _joined(head: UUID, other: UUID) -> Told:
    return told(CasesMerged(case=head, merged=other), 1)


def _parted(head: UUID, other: UUID) -> Told:
    return told(CasesUnmerged(case=head, merged=other), 2)


@pytest.mark.parametrize("vouched", [False, True], ids=["intake is silent", "intake vouches"])
def test_a_case_by_its_site(app: App, *, vouched: bool) -> None:
    """A site that has met the person, in this case or one joined to it; or for which intake has just vouched."""
    wrong = []
    for how, (letters, may) in SITES.items():
        case = uuid4()
        take(app, told(visit(case)), *letters(case))
        for site, wanted in (("there", may or vouched), (SITE, True), ("nowhere", vouched)):
            if _reads(app, case, site, vouched=vouched) != wanted:
                wrong.append((how, site))
    assert not wrong, wrong
    assert not _reads(app, uuid4(), SITE, vouched=False)


def _reads(app: App, case: UUID, site: str, *, vouched: bool) -> bool:
    with app.read() as connection:
        try:
            return bool(case_timeline(connection, case, site, {}, vouched=vouched).timeline)
        except Rejected:
            return False
