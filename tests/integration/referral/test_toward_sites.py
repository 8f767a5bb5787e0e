"""A partner sends somebody to a site: what it may go on from, and what its refusals do not tell."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert

from services.chassis.errors import Rejected
from services.contracts.codes import Category, Need
from services.referral import queries, toward_sites
from services.referral.forms import ReferralForm, ReferralsQuery
from services.referral.tables import agreements
from tests.support.office import HELPS, MORNING, SITE, THEN, TRACE, Desk, partner, proposed


def refused(desk: Desk, sender: str, **fields: object) -> tuple[int, str]:
    """With what a referral of this sender is refused."""
    values = {"referral_id": uuid4(), "site": SITE, "need": Need.DECLARER_REVENUS, "agreed": True}
    form = ReferralForm.model_validate(values | fields)
    with pytest.raises(Rejected) as refusal:
        toward_sites.send(form, partner(sender), desk.app, desk.office.network, TRACE)
    return refusal.value.status, refusal.value.detail


def test_that_an_id_is_anothers_is_told_of_nothing_that_would_not_be_sent(desk: Desk) -> None:
    """A form that is wrong is refused for that, whoever's the id is: guessing costs a real referral for each try."""
    visits, another = desk.open(), desk.send(HELPS)
    for wrong in ({"site": "no-such-site"}, {"about": uuid4()}, {"need": Need.DROITS_HANDICAP}):
        answers = {refused(desk, THEN, referral_id=guess, **wrong) for guess in (visits, another, uuid4())}
        assert {status for status, _ in answers} == {422}
        assert len(answers) == 1
    assert {refused(desk, THEN, referral_id=guess)[0] for guess in (visits, another)} == {409}


def test_ones_own_id_with_other_content_is_told_at_once(desk: Desk) -> None:
    """Whatever else is wrong; and the same again is known, though what it is about has ended meanwhile."""
    about = desk.open()
    form = ReferralForm(referral_id=uuid4(), site=SITE, need=Need.DECLARER_REVENUS, agreed=True, about=about)
    toward_sites.send(form, partner(HELPS), desk.app, desk.office.network, TRACE)
    assert refused(desk, HELPS, referral_id=form.referral_id, site="no-such-site")[0] == 409
    desk.answer(about, partner(HELPS), "declined", reason="no-capacity")
    assert toward_sites.send(form, partner(HELPS), desk.app, desk.office.network, TRACE)[1]


def _declined(desk: Desk, about: UUID) -> None:
    desk.answer(about, partner(HELPS), "declined", reason="no-capacity")


def _objected(desk: Desk, about: UUID) -> None:
    for category in Category:
        desk.decide(desk.row(about).case_id, category, given=False, at=desk.clock.now())


def _objected_unsettled(desk: Desk, about: UUID) -> None:
    """Noted, and the referral is open all the same."""
    values = {"case_id": desk.row(about).case_id, "recipient": "local", "given": False, "sensitive": False}
    with desk.app.work() as work:
        work.execute(insert(agreements).values(**values, at=desk.clock.now()))


@pytest.mark.parametrize("ended", [_declined, _objected, _objected_unsettled])
def test_it_is_about_nothing_that_has_ended_or_was_taken_back(desk: Desk, ended: Callable[[Desk, UUID], None]) -> None:
    """A case is told no further than the person agrees: refused as one that never was."""
    about = desk.open()
    desk.send(HELPS, about=about)
    assert queries.list_referrals(ReferralsQuery(), partner(HELPS), desk.app).referrals  # it is not called back
    desk.clock.move(minutes=5)
    ended(desk, about)
    assert refused(desk, HELPS, about=about) == refused(desk, HELPS, about=uuid4())


def test_what_was_taken_back_before_the_person_agreed_counts_no_more(desk: Desk) -> None:
    """The visit came later: one may go on from what it has sent."""
    data = proposed()
    assert data.case
    desk.decide(data.case, HELPS, given=False, at=MORNING - timedelta(days=1))
    about = desk.open(data)
    assert desk.row(desk.send(HELPS, about=about)).case_id == data.case
