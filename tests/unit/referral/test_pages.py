"""What referral's pages say and do not say, without a database."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.contracts.codes import ReferralState, WithdrawReason
from services.network.schema import NamedContact
from services.referral import pages
from services.referral.board import Board
from services.referral.cards import Card, Passed, Told
from services.referral.domain import life
from services.referral.domain.life import Side
from services.referral.forms import AnswerView, AppointmentView, NextStep, ReferralView
from services.referral.page_forms import BoardQuery, Tried

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
WRITTEN = "<script>alert(1)</script>"
S = ReferralState


def card(state: ReferralState = S.SENT, side: Side = Side.RECIPIENT, **changes: object) -> Card:
    """A referral of Moreuil's to the Mission locale, as one of them meets it."""
    duty = life.duty(state, taken_over=False)
    owner = "ml" if duty and duty.side is Side.RECIPIENT else "fs"
    due = NOW + timedelta(days=3)
    view = ReferralView(
        referral_id=UUID(int=0x019AB7C45D6E7F809A1B2C3D4E5F6071),
        need="logement",
        partner="ml",
        category="local",
        department="80",
        site="fs",
        reason="Se loger : la Mission locale aide.",
        state=state,
        due_at=due,
        sent_at=NOW,
        changed_at=NOW,
        next=NextStep(owner=owner, action=duty.action, label=duty.label, before=due, overdue=False) if duty else None,
        answers=[
            AnswerView(
                answer_id="1",
                status=S.RECEIVED,
                at=NOW,
                reason=None,
                story_sufficient=None,
                appointment=AppointmentView(at=NOW, place=WRITTEN, contact=WRITTEN),
                note=WRITTEN,
            )
        ],
        reminders=0,
        note=WRITTEN,
        bounces=2,
    )
    made = Card(
        view=view,
        side=side,
        late=False,
        recipient="Mission locale",
        site="France services",
        site_address="1 rue",
        sender=None,
        owner="Mission locale" if owner == "ml" else "France services",
        contact=None,
        possible=frozenset(life.possible(side, state)),
        answer_id="page:1",
        began=NOW,
        case=None,
        trail=(Told(NOW, "Relais", S.SENT, None, None, again=False, to=None, answer=view.answers[0]),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def board(*cards: Card, part: str = "to-answer", total: int | None = None, **asked: object) -> Board:
    """A list with these in one part."""
    parts: dict[str, list[Card]] = {name: [] for name in ("late", "to-answer", "at-work")} | {part: list(cards)}
    totals = {name: len(held) for name, held in parts.items()} | ({part: total} if total else {})
    query = BoardQuery.model_validate(asked)
    return Board(NOW, query, parts, totals, [], [], [("logement", "Se loger")], ["59", "80"], None, "Mission locale")


EVERY = [(state, side) for state in S for side in (Side.RECIPIENT, Side.SENDER)]


@pytest.mark.parametrize(("state", "side"), EVERY)
def test_every_state_has_its_page_for_both_sides(state: ReferralState, side: Side) -> None:
    """With a form for each answer that is possible, and for no other; with withdrawals for who sent it."""
    page = pages.referral(card(state, side), NOW)
    offered = set(re.findall(r'name="status" value="([a-z-]+)"', page))
    assert offered == (set(life.possible(side, state)) if side is Side.RECIPIENT else set())
    reasons = map(WithdrawReason, re.findall(r'name="reason" value="([a-z-]+)"', page))
    withdrawals = {life.withdrawn_state(each) for each in reasons}
    assert withdrawals == (set(life.possible(side, state)) if side is Side.SENDER else set())
    assert page.count("<h1") == 1


@pytest.mark.parametrize(
    "page", [pages.referral(card(), NOW), pages.inbox(board(card())), pages.follow_up(board(card()))]
)
def test_a_page_brings_nothing_and_stays_under_its_prefix(page: str) -> None:
    """What people wrote is text; no style, script or address of its own; each address is relative."""
    assert WRITTEN not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"style=|<style|<script|\son\w+=", page)
    addresses = re.findall(r'(?:href|action|src)="([^"]*)"', page)
    assert addresses
    assert all(each.startswith(("<root/>/", "#")) for each in addresses)
    assert "Se déconnecter" in page


def test_each_form_has_an_answer_id_of_its_own() -> None:
    """Else a second answer from one page would be taken for the first, or refused."""
    page = pages.referral(card(S.ACCEPTED), NOW)
    ids = re.findall(r'name="answer_id" value="([^"]+)"', page)
    assert len(ids) == len(set(ids)) == 4


@pytest.mark.parametrize(
    ("bounces", "told"), [(None, None), (0, None), (1, "1 autre partenaire."), (2, "2 autres partenaires.")]
)
def test_how_many_had_the_person_before(bounces: int | None, told: str | None) -> None:
    """In the singular for one, and nothing for none."""
    one = card()
    page = pages.referral(replace(one, view=one.view.model_copy(update={"bounces": bounces})), NOW)
    assert ("déjà été adressée" in page) == (told is not None)
    assert told is None or told.replace(" ", "\u00a0", 1) in page


@pytest.mark.parametrize(("number", "told"), [(0, "aucune"), (1, "1\u00a0orientation<"), (2, "2\u00a0orientations<")])
def test_headings_count(number: int, told: str) -> None:
    """In words where there is none."""
    page = pages.inbox(board(*[card()] * number))
    assert f'<h2 id="to-answer">À traiter&nbsp;: {told}' in page


def test_who_it_is_stands_in_the_case_and_nowhere_here() -> None:
    """A link leads there while it may be read, and says that reading is written down; afterwards there is none."""
    page = pages.referral(card(case="https://relais.example.org/dossier"), NOW)
    assert 'href="https://relais.example.org/dossier"' in page
    assert "inscrite au journal" in page
    assert "Voir le dossier" not in pages.referral(card(case=None), NOW)


def test_whom_to_call_is_told_or_that_there_is_none() -> None:
    """To the site, while an answer is waited for."""
    contact = NamedContact(name="Nadia Exemple", role="Directrice", phone="01 99 00 80 21")
    known = pages.referral(card(side=Side.SENDER, contact=contact), NOW)
    assert 'Nadia Exemple, Directrice, <a href="tel:0199008021">' in known
    assert "Aucune n’est indiquée" in pages.referral(card(side=Side.SENDER), NOW)
    assert "Personne à appeler" not in pages.referral(card(S.COMPLETED, Side.SENDER, contact=contact), NOW)


def test_the_way_through_several_is_one_sentence_each() -> None:
    """From the first to the one that has the person now."""
    passed = (
        Passed("Mission locale", "declined", "no-capacity", NOW, "France Travail"),
        Passed("France Travail", "expired", "not-answered", NOW, "Cap emploi"),
    )
    page = pages.referral(card(side=Side.SENDER, passed=passed), NOW).replace("\u00a0", " ")
    assert "Mission locale a décliné (plus de place), réadressée à France Travail le vendredi 20 novembre ;" in page
    assert "France Travail n’a pas répondu à temps, réadressée à Cap emploi le vendredi 20 novembre." in page


def test_what_is_late_is_said_in_words() -> None:
    """Not by colour alone."""
    assert "(en retard)" in pages.inbox(board(card(late=True), part="late"))
    assert "(en retard)" not in pages.inbox(board(card()))


def test_what_was_typed_stays_with_what_is_wrong() -> None:
    """The form is open; the error is tied to its field, and the other forms are closed and empty."""
    tried = Tried("declined", {"note": "Complet", "reason": "other"}, {"reason": "Choisissez un motif."})
    page = pages.referral(card(), NOW, tried=tried)
    assert page.count("<details open>") == 1
    assert page.count("Complet") == 1
    assert '<option value="other" selected>' in page
    assert 'aria-invalid="true" aria-describedby="declined-reason-error"' in page
    assert '<a href="#declined-reason">Choisissez un motif.</a>' in page


def test_a_long_list_leads_on_and_keeps_what_was_chosen() -> None:
    """To the page before and the page behind, and the answer's form back to this one."""
    page = pages.inbox(board(card(), total=120, page=2, need="logement"))
    assert 'rel="prev" href="<root/>/?page=1&amp;need=logement"' in page
    assert 'rel="next" href="<root/>/?page=3&amp;need=logement"' in page
    assert 'name="listed" value="page=2&amp;need=logement"' in page
    assert "Page 2 sur 3" in page


def test_a_search_that_finds_nothing_says_so() -> None:
    """And not that nothing is to be done."""
    page = pages.inbox(board(number="4E5F-6071"))
    assert "Aucune orientation ne correspond." in page
    assert "Aucune orientation n’attend votre réponse." not in page
    assert "Aucune orientation n’attend votre réponse." in pages.inbox(board())


def test_a_short_list_needs_no_filter() -> None:
    """Ten are found by eye; whoever has chosen something can undo it."""
    assert 'method="get"' not in pages.inbox(board(card(), total=10))
    assert 'method="get"' in pages.inbox(board(card(), total=11))
    assert "Tout voir" in pages.inbox(board(card(), need="logement"))
