"""What holds for every visit there can be, on the networks that come with the software."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.contracts.codes import AgeBand, Channel, Need, Obstacle, Outcome, Public, Regime, Sex
from services.contracts.intake import NeedFacts, VisitFacts
from services.contracts.orientation import Proposal
from services.network import Line, load
from services.orientation.domain import ExpressedNeed, Visit
from services.orientation.rules import Rules

# No deadline: the machine may be busy.
ANY = settings(deadline=None, max_examples=150)
NETWORKS = Path(__file__).parents[3] / "deploy" / "networks"
RULES = Rules(load(NETWORKS))
NETWORK = RULES.network
# A partner's own commune, its département, a département without any partner of its own, Corsica, La Réunion.
COMMUNES = [None, "80570", "80021", "59299", "59350", "75056", "2A004", "97411"]
# Before the charter was signed, between the basket's dates, and years on.
DAYS = st.sampled_from([date(2022, 10, 23), date(2022, 10, 24), date(2023, 12, 31), date(2024, 12, 31)]) | st.dates(
    date(2020, 1, 1), date(2030, 12, 31)
)

_REPLICA = """
import sys
from datetime import date
from pathlib import Path
from services.contracts.codes import Outcome
from services.contracts.intake import NeedFacts, VisitFacts
from services.intake.samples import sample_visits
from services.network import load
from services.orientation.rules import Rules

rules = Rules(load(Path(sys.argv[1])))
for body in sample_visits(date(2026, 11, 22)):
    needs = [NeedFacts.model_validate(need | {"outcome": Outcome.TO_REFER}) for need in body["needs"]]
    for proposal in rules.propose(rules.visit(VisitFacts.model_validate(body), needs, date(2026, 11, 20))):
        print(proposal.model_dump_json())
"""


@dataclass(frozen=True)
class Seen:
    """A visit as orientation receives it."""

    facts: VisitFacts
    needs: tuple[NeedFacts, ...]

    @property
    def day(self) -> date:
        """The day of the visit."""
        return self.facts.occurred_at.date()

    @property
    def residence(self) -> tuple[str, str]:
        """The commune where the person lives, the site's if they did not say, and its département."""
        site = NETWORK.site(self.facts.site)
        assert site is not None
        commune = self.facts.commune or site.commune
        return commune, commune[:3] if commune.startswith("97") else commune[:2]

    def received_by(self, partner_id: str) -> bool:
        """Whether that partner covers where the person lives and is in its basket that day."""
        partner = NETWORK.partner(partner_id)
        if partner is None:
            return False
        covered = partner.covers == "all" or not set(self.residence).isdisjoint(partner.covers)
        return covered and (partner.basket_from or date.min) <= self.day <= (partner.basket_until or date.max)

    def proposals(self) -> tuple[Proposal, ...]:
        """What the rules propose."""
        return RULES.propose(RULES.visit(self.facts, self.needs, self.day))

    def but(self, **changes: Any) -> "Seen":  # noqa: ANN401 - a field's value is of any type
        """The same visit with other facts."""
        return Seen(VisitFacts.model_validate(self.facts.model_dump() | changes), self.needs)


PARTNERS = st.sampled_from(["nobody", *(partner.id for partner in NETWORK.partners)])


def needs(line: Line | None, recipients: st.SearchStrategy[str | None]) -> st.SearchStrategy[NeedFacts]:
    """Needs that this line is for, if one is given; `recipients` are the agent's choices."""
    asked = sorted(line.obstacles) if line and line.obstacles else None
    return st.builds(
        NeedFacts,
        code=st.sampled_from(sorted(line.all_needs) if line else list(Need)),
        obstacles=st.just(tuple(asked)) if asked else st.lists(st.sampled_from(Obstacle), max_size=3).map(tuple),
        outcome=st.just(Outcome.TO_REFER) if line else st.sampled_from(Outcome),
        recipient=recipients,
    )


def near(line: Line | None, recipients: st.SearchStrategy[str | None]) -> st.SearchStrategy[Seen]:
    """Visits of which this line, if one is given, asks little more; chance alone would hardly ever meet its conditions.

    Each need is told once: intake refuses it twice.
    """
    publics = st.lists(st.sampled_from(Public), max_size=1 if line else 3)
    if line and line.publics:
        publics = st.tuples(st.sampled_from(sorted(line.publics)), publics).map(lambda said: [said[0], *said[1]])
    facts = st.builds(
        VisitFacts,
        site=st.sampled_from([site.id for site in NETWORK.sites]),
        occurred_at=DAYS.map(lambda day: datetime.combine(day, time(12), tzinfo=UTC)),
        channel=st.sampled_from(Channel),
        commune=st.sampled_from(COMMUNES),
        age_band=st.sampled_from(sorted(line.ages) if line and line.ages else list(AgeBand)),
        sex=st.sampled_from([None, *Sex]),
        publics=publics.map(tuple),
        france_travail_registered=st.sampled_from([None, True, False]),
        regime=st.sampled_from([None, *Regime]),
    )
    told = st.lists(needs(None, recipients), min_size=0 if line else 1, max_size=3)
    if line:
        told = st.tuples(told, needs(line, recipients)).map(lambda both: [*both[0], both[1]])
    return st.builds(Seen, facts, told.map(lambda many: tuple({need.code: need for need in many}.values())))


def visits(recipients: st.SearchStrategy[str | None]) -> st.SearchStrategy[Seen]:
    """Any visits, by turns near each line of the table and near none."""
    return st.sampled_from([near(line, recipients) for line in (None, *NETWORK.lines)]).flatmap(lambda drawn: drawn)


CHOSEN = visits(PARTNERS)
ANYBODY = visits(st.none()) | CHOSEN


def by_need(proposals: tuple[Proposal, ...]) -> dict[Need, list[Proposal]]:
    """Sort the proposals by their need."""
    found: defaultdict[Need, list[Proposal]] = defaultdict(list)
    for proposal in proposals:
        found[proposal.need].append(proposal)
    return found


def test_strategy_reaches_every_line() -> None:
    """What the tests below say of any visit, they say of each line of the file."""
    reached: Counter[str] = Counter()

    @settings(ANY, derandomize=True, database=None, max_examples=1000, phases=[Phase.generate])
    @given(visits(st.none()))
    def draw(seen: Seen) -> None:
        reached.update(proposal.rule for proposal in seen.proposals())

    draw()
    assert set(reached) == {line.id for line in NETWORK.lines}


@ANY
@given(ANYBODY)
def test_nobody_leaves_without_an_answer(seen: Seen) -> None:
    """Each need to refer has recipients, or the desk is told why there is none and what to do."""
    proposals = seen.proposals()
    assert list(by_need(proposals)) == [need.code for need in seen.needs if need.outcome is Outcome.TO_REFER]
    for proposal in proposals:
        assert bool(proposal.recipients) is not proposal.desk_first
        assert proposal.reason
        assert not (proposal.unmet and proposal.recipients)


@ANY
@given(ANYBODY)
def test_same_visit_gives_the_same_list(seen: Seen) -> None:
    """A replayed event changes nothing, not even the order."""
    assert seen.proposals() == seen.proposals()


def test_replicas_give_the_same_list() -> None:
    """Each process keeps sets in an order of its own, which must not decide whom a person meets."""

    def told(seed: str) -> str:
        command = [sys.executable, "-c", _REPLICA, str(NETWORKS)]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - this very interpreter
        return done.stdout

    first = told("1")
    assert len(first.splitlines()) > 400
    assert first == told("2")


@ANY
@given(ANYBODY)
def test_nobody_is_sent_where_they_cannot_be_received(seen: Seen) -> None:
    """Each recipient covers where the person lives, is in its basket that day, and is met once for a need."""
    for proposals in by_need(seen.proposals()).values():
        recipients = [recipient for proposal in proposals for recipient in proposal.recipients]
        assert max(Counter(recipient.partner for recipient in recipients).values(), default=1) == 1
        assert all(seen.received_by(recipient.partner) for recipient in recipients)
        assert all(recipient.department == seen.residence[1] for recipient in recipients)


@ANY
@given(ANYBODY)
def test_sex_changes_nothing(seen: Seen) -> None:
    """The rules receive the very same visit of a woman, of a man, and of who did not say."""
    woman, man, unsaid = (seen.but(sex=sex) for sex in (Sex.F, Sex.M, None))
    told = [RULES.visit(each.facts, each.needs, each.day) for each in (woman, man, unsaid)]
    assert told[0] == told[1] == told[2]
    assert woman.proposals() == man.proposals() == unsaid.proposals()


def test_sex_is_no_fact_of_the_rules() -> None:
    """Sex is counted elsewhere; the rules have nowhere to look it up."""
    assert not {"sex", "sexe", "gender"} & {each.name for part in (Visit, ExpressedNeed) for each in fields(part)}


@ANY
@given(ANYBODY)
def test_charter_lines_ask_for_a_charter_in_force(seen: Seen) -> None:
    """From its signature, at its own sites, and for the residents of its département where the line says so."""
    charters = [each for each in NETWORK.charters if seen.facts.site in each.sites and each.signed <= seen.day]
    lines = {line.id: line for line in NETWORK.lines}
    for line in (lines[proposal.rule] for proposal in seen.proposals()):
        assert charters or not line.charter
        assert seen.residence[1] in {each.department for each in charters} or not line.resident


@ANY
@given(ANYBODY, st.data())
def test_order_and_repetition_of_what_was_said_do_not_matter(seen: Seen, data: st.DataObject) -> None:
    """Publics and obstacles are sets. Of the needs, the order is kept, and each is answered as if it came alone."""

    def mixed(said: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(data.draw(st.permutations([*said, *said[:1]])))

    needs = tuple(need.model_copy(update={"obstacles": mixed(need.obstacles)}) for need in seen.needs)
    assert Seen(seen.but(publics=mixed(seen.facts.publics)).facts, needs).proposals() == seen.proposals()
    alone = [proposal for need in seen.needs for proposal in Seen(seen.facts, (need,)).proposals()]
    assert alone == list(seen.proposals())


@ANY
@given(CHOSEN)
def test_agents_choice_leads_or_the_desk_decides_anew(seen: Seen) -> None:
    """Able to receive the person, the partner leads one referral of that need; else nothing is sent for it.

    It is marked as the agent's where the table alone would not have put it first.
    """
    urgent = {line.id for line in NETWORK.lines if line.urgent}
    found = by_need(seen.proposals())
    alone = tuple(need.model_copy(update={"recipient": None}) for need in seen.needs)
    table = by_need(Seen(seen.facts, alone).proposals())
    for need in seen.needs:
        proposals = found.get(need.code, [])
        if proposals and need.recipient and proposals[0].rule not in urgent and seen.received_by(need.recipient):
            assert [each.recipients[0].partner for each in proposals].count(need.recipient) == 1
            first = [each.recipients[0].partner for each in table[need.code] if each.recipients]
            expected = [] if need.recipient in first else [need.recipient]
            assert [each.chosen for each in proposals if each.chosen] == expected
        else:
            assert not any(each.recipients for each in proposals)
