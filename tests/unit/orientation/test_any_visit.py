"""What holds for every visit there can be, on the networks that come with the software."""

from datetime import date
from functools import cache
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from services.contracts.codes import AgeBand, Need, Obstacle, Outcome, Public, Regime
from services.network import load
from services.orientation.domain import ExpressedNeed, Rulebook, Visit, orient
from services.orientation.rules import rulebook_of

NEEDS = st.builds(
    ExpressedNeed,
    code=st.sampled_from(Need),
    outcome=st.sampled_from(Outcome),
    obstacles=st.frozensets(st.sampled_from(Obstacle)),
)
VISITS = st.builds(
    Visit,
    day=st.dates(date(2020, 1, 1), date(2030, 12, 31)),
    site_commune=st.sampled_from(["80570", "80685", "59299"]),
    needs=st.lists(NEEDS, min_size=1, max_size=10).map(tuple),
    age_band=st.sampled_from(AgeBand),
    commune=st.sampled_from([None, "80570", "80021", "59299", "59350", "2A004", "97411"]),
    publics=st.frozensets(st.sampled_from(Public)),
    france_travail_registered=st.sampled_from([None, True, False]),
    regime=st.sampled_from([None, *Regime]),
    charter_department=st.sampled_from([None, "80"]),
)


@cache
def shipped() -> Rulebook:
    """Load the table and partners of `deploy/networks`."""
    return rulebook_of(load(Path(__file__).parents[3] / "deploy" / "networks"))


@given(VISITS)
def test_nobody_leaves_without_an_answer(seen: Visit) -> None:
    """Each need to refer has a proposal with recipients, or the desk is told what to do."""
    proposals = orient(seen, shipped())
    assert {each.need for each in proposals} == {each.code for each in seen.needs if each.outcome is Outcome.TO_REFER}
    assert all(bool(each.recipients) is not each.desk_first for each in proposals)
    assert all(each.reason and not (each.unmet and each.recipients) for each in proposals)


@given(VISITS)
def test_same_visit_gives_the_same_proposals(seen: Visit) -> None:
    """A replayed event changes nothing."""
    assert orient(seen, shipped()) == orient(seen, shipped())


@given(VISITS)
def test_recipients_cover_the_person_and_are_in_their_basket(seen: Visit) -> None:
    """Nobody is sent to who could not receive them, and no partner twice for one need."""
    partners = {partner.id: partner for partner in shipped().partners}
    for proposal in orient(seen, shipped()):
        ids = [recipient.partner for recipient in proposal.recipients]
        assert len(ids) == len(set(ids))
        assert all(partners[id_].receives(seen) for id_ in ids)
        assert all(recipient.department == seen.department for recipient in proposal.recipients)


@given(VISITS)
def test_charter_line_asks_for_a_charter_and_a_resident(seen: Visit) -> None:
    """The Département's SPIE contact is for its own residents, at a site whose charter is in force."""
    if any(proposal.rule == "09-freins-spie" for proposal in orient(seen, shipped())):
        assert seen.charter_department == seen.department
