"""What follows the visits of a crowd: persons decide anew, agents join cases and part them, and read them.

Every kind of event about a case, but its erasure. Nobody takes back what has been sent and then agrees to it again, nor
decides in one of two cases before they are joined by mistake: what becomes of those depends on who hears of what first.
"""

from collections.abc import Sequence

from tests.support.books import Books
from tests.support.crowd import DEBT, SITE, YOUNG, Visitor
from tests.support.house import House

PARTNER, BUDGET = "mission-locale-santerre", "point-conseil-budget-santerre"
_CASES = "SELECT visit_id::text, case_id::text FROM visits WHERE visit_id::text = ANY(%s) AND case_id IS NOT NULL"


class Desk:
    """An agent of the crowd's site."""

    def __init__(self, house: House) -> None:
        self._house = house

    def call(self, method: str, path: str, form: dict[str, str] | None = None) -> None:
        """Ask intake for something about a case."""
        url = f"{self._house.url('intake')}/v1/cases/{path}"
        answer = self._house.client.request(method, url, json=form, headers=self._house.bearer("agent", SITE))
        assert answer.status_code == 200, answer.text

    def agree(self, case: str, recipient: str) -> None:
        """The person agrees to a recipient."""
        self.call("PUT", f"{case}/agreements/{recipient}", {})

    def refuse(self, case: str, recipient: str) -> None:
        """The person agrees no more."""
        self.call("DELETE", f"{case}/agreements/{recipient}")

    def join(self, case: str, other: str) -> None:
        """They are one person's."""
        self.call("POST", f"{case}/merge", {"case": other})

    def part(self, case: str, other: str) -> None:
        """They are not."""
        self.call("POST", f"{case}/unmerge", {"case": other})


def go_on(house: House, books: Books, crowd: Sequence[Visitor]) -> None:
    """Let some of 96 visitors or more, whose referrals were opened, go on; the referrals' events follow."""
    cases = dict(books.rows("intake", _CASES, [one.visit_id for one in crowd]))
    desk, young, waiting = Desk(house), _of(crowd, YOUNG, cases), _of(crowd, DEBT, cases)
    for case in waiting[:3]:
        desk.agree(case, BUDGET)
    desk.refuse(waiting[1], BUDGET)
    desk.refuse(waiting[3], BUDGET)
    desk.agree(waiting[3], BUDGET)
    for case in young[:3]:
        desk.refuse(case, PARTNER)
    desk.agree(young[3], "cnaf")
    desk.call("PUT", f"{young[4]}/objection")
    desk.call("PUT", f"{young[5]}/restriction")
    # Joined to who has refused; joined, then refused, then parted; joined; joined and parted.
    desk.join(young[0], young[6])
    desk.join(young[7], young[8])
    desk.refuse(young[7], PARTNER)
    desk.part(young[7], young[8])
    desk.join(young[9], young[10])
    desk.join(young[11], young[12])
    desk.part(young[11], young[12])
    for case in (young[0], young[9], waiting[0]):
        assert house.timeline(case, SITE)


def _of(crowd: Sequence[Visitor], need: str, cases: dict[str, str]) -> list[str]:
    """The cases of those with a referral for this need alone."""
    return [cases[one.visit_id] for one in crowd if [wanted for wanted, _, _ in one.referrals] == [need]]
