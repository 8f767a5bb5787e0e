"""The present release and the next one on the same queues and databases, as while replicas are replaced one by one."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from services.contracts.topology import SERVICES
from tests.support import next_release
from tests.support.books import Books
from tests.support.crowd import Crowd, Visitor, visitors
from tests.support.house import House

# What an event or a row says of the release that made it: the next one names itself, the present one says nothing.
PRESENT = "present"
_PUBLISHED = """SELECT body::json -> 'data' ->> 'visit_id', body::json -> 'data' ->> 'release' FROM outbox
    WHERE recipient IS NULL AND type LIKE %s AND body::json -> 'data' ->> 'visit_id' = ANY(%s)"""
_COUNTED = "SELECT visit_id::text, release FROM visits WHERE visit_id::text = ANY(%s)"
_SENT = "SELECT id::text, partner FROM referrals WHERE state = 'sent' AND visit_id::text = ANY(%s)"
_RECEIVED = "SELECT count(*) FROM referral_steps WHERE state = 'received' AND referral_id::text = ANY(%s)"


@pytest.fixture(scope="module")
def following(breakable: House) -> Iterator[House]:
    """Start the next release beside the present one, whose reporting database it migrates."""
    house = House(breakable.folder, breakable.environment["RELAIS_AMQP_URL"], breakable.databases)
    house.start(module=next_release.MODULE)
    yield house
    house.close()


def parked(books: Books) -> int:
    """How many events failed, or wait for another try."""
    return sum(len(books.rows(service, "SELECT 1 FROM failures")) for service in SERVICES)


def ways_taken(books: Books, ids: list[str]) -> dict[str, Counter[tuple[str | None, str | None]]]:
    """How many visits went from which release of one service to which release of another."""
    recorded = dict(books.rows("intake", _PUBLISHED, "%VisitRecorded%", ids))
    proposed = dict(books.rows("orientation", _PUBLISHED, "%OrientationProposed%", ids))
    sent = dict(books.rows("referral", _PUBLISHED, "%ReferralSent%", ids))
    counted = dict(books.rows("reporting", _COUNTED, ids))
    return {
        "intake to orientation": Counter((recorded[visit], proposed[visit]) for visit in proposed),
        "orientation to referral": Counter((proposed[visit], sent[visit]) for visit in sent),
        "intake to reporting": Counter((recorded[visit], counted[visit]) for visit in counted),
    }


def test_each_release_reads_what_the_other_one_wrote(
    own_house: House, following: House, books: Books, tell: Callable[[str], None]
) -> None:
    """Visits come in at both: each step from either release to either is taken, once, and nothing is parked."""
    guests: list[Visitor] = []
    ways: dict[str, Counter[tuple[str | None, str | None]]] = {}
    while not ways or any(len(numbers) < 4 for numbers in ways.values()):
        assert len(guests) < 2000, f"chance did not lead everybody everywhere: {ways}"
        crowds = [Crowd(house, visitors(200), threads=2) for house in (own_house, following)]
        for crowd in crowds:
            crowd.start()
        for crowd in crowds:
            crowd.finish()
        guests += [guest for crowd in crowds for guest in crowd.visitors]
        books.settle(guests)
        ways = ways_taken(books, [guest.visit_id for guest in guests])
    balance = books.balance(guests)
    for way, numbers in ways.items():
        told = (f"{one or PRESENT}→{other or PRESENT} {number}" for (one, other), number in numbers.items())
        tell(f"{way}: {', '.join(sorted(told))}")
    tell(f"two releases, {len(guests)} visits: {balance}")
    assert balance.even, str(balance)
    assert parked(books) == 0


def test_what_one_release_was_told_the_other_one_knows(own_house: House, following: House, books: Books) -> None:
    """A site or a partner that sends the same again, and meets the other release, gets 200 and the first answer."""
    guests = visitors(8)
    for first, other in ((own_house, following), (following, own_house)):
        for guest in guests[:4] if first is own_house else guests[4:]:
            answers = [house.post_visit(guest.body) for house in (first, other, first)]
            assert [answer.status_code for answer in answers] == [201, 200, 200]
            assert answers[1].json()["reference"] == answers[0].json()["reference"]
    books.settle(guests)
    sent = books.rows("referral", _SENT, [guest.visit_id for guest in guests])
    for number, (referral_id, partner) in enumerate(sent):
        first, other = (own_house, following) if number % 2 else (following, own_house)
        form = {"answer_id": "once", "status": "received"}
        answers = [house.answer(partner, referral_id, **form) for house in (first, other)]
        assert [answer.status_code for answer in answers] == [201, 200]
    books.settle(guests)
    assert books.rows("reporting", _RECEIVED, [row[0] for row in sent]) == [(len(sent),)]
    assert parked(books) == 0


def test_the_present_release_starts_on_a_database_that_the_next_one_has_changed(
    own_house: House, following: House, books: Books, tell: Callable[[str], None]
) -> None:
    """Going back to it is stopping the next one and starting it: it warns that the database is newer, and goes on."""
    following.kill()
    own_house.stop("reporting")
    own_house.start("reporting")
    assert "database is newer" in own_house.log("reporting")
    assert "database is newer" not in own_house.log("referral")
    crowd = Crowd(own_house, visitors(200))
    crowd.start()
    crowd.finish()
    books.settle(crowd.visitors)
    balance = books.balance(crowd.visitors)
    tell(f"gone back to the present release on the next one's database, 200 visits: {balance}")
    assert balance.even, str(balance)
    assert {row[1] for row in books.rows("reporting", _COUNTED, [g.visit_id for g in crowd.visitors])} == {None}
    assert parked(books) == 0
