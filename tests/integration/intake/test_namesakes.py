"""What a visit's answer says of other cases of these names: over the network within a ration, of one's own beyond."""

from services.chassis.tokens import Caller
from services.intake import handlers
from services.intake.forms import VisitForm
from services.intake.handlers import Posted, Recorded
from services.intake.namesakes import AT_ONCE, EACH
from tests.support.counter import OTHER, SITE, Counter, somebody
from tests.support.office import TRACE


def told(counter: Counter, *bodies: dict[str, object]) -> list[int]:
    """Record visits in one batch; what each answer counts."""
    forms = [VisitForm.model_validate(body) for body in bodies]
    posted = [Posted(form, Caller("site", form.site, f"site:{form.site}"), TRACE) for form in forms]
    results = handlers.record_visits(posted, counter.app, counter.network)
    return [one.answer.possible_matches for one in results if isinstance(one, Recorded)]


def spent(counter: Counter, site: str, times: int) -> None:
    """Record so many visits of somebody who is nobody else."""
    assert len(told(counter, *(counter.body(somebody("Nobody"), site=site) for _ in range(times)))) == times


def test_a_site_is_told_of_the_network_so_often(counter: Counter) -> None:
    """Then of its own cases only, until its ration is back; another site's ration is its own, and so is a batch's."""
    counter.opened()
    spent(counter, OTHER, AT_ONCE - 1)
    persons = [counter.body(somebody(), site=site) for site in (OTHER, OTHER, OTHER, SITE)]
    assert told(counter, *persons) == [1, 1, 2, 4]
    counter.clock.move(seconds=EACH.total_seconds())
    assert told(counter, *(counter.body(somebody(), site=OTHER) for _ in range(2))) == [5, 4]
    counter.clock.move(seconds=AT_ONCE * EACH.total_seconds())
    spent(counter, OTHER, AT_ONCE - 1)
    assert told(counter, *(counter.body(somebody(), site=OTHER) for _ in range(2))) == [7, 6]


def test_nothing_is_spent_on_what_tells_nothing(counter: Counter) -> None:
    """A visit sent again, one that names its case, one that is refused; and what was answered once is so again."""
    counter.opened()
    mine = counter.opened(somebody("Morel"), site=OTHER)
    spent(counter, OTHER, AT_ONCE - 2)
    first = counter.body(somebody(), site=OTHER)
    assert told(counter, first) == [1]
    named = counter.body(site=OTHER, case=str(mine))
    refused = counter.body(somebody(), site=OTHER, quarter="QN99999Z")
    assert told(counter, first, named, refused, first) == [1, 0, 1]
    assert told(counter, counter.body(somebody("Morel"), site=SITE)) == [1]
    spent(counter, OTHER, 1)
    assert told(counter, counter.body(somebody(), site=OTHER), first) == [1, 1]


def test_joined_cases_count_once_at_each_site(counter: Counter) -> None:
    """As one of the network, and as one of each site that opened any of them."""
    one, two = (counter.opened() for _ in range(2))
    counter.merged(one, two)
    spent(counter, SITE, AT_ONCE - 2)
    assert told(counter, *(counter.body(somebody(), site=site) for site in (SITE, OTHER))) == [1, 2]
