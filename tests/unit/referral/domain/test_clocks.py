"""A referral's clocks: due dates over French holidays, and what the clock does when nobody moves."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.contracts.codes import ReferralState, Waiting
from services.referral.calendar import is_holiday_in
from services.referral.domain.clocks import (
    Act,
    Clocks,
    Standing,
    after_business_days,
    after_days,
    agenda,
    due,
    ends_at,
    waiting_for,
)
from services.referral.domain.life import OPEN

S = ReferralState
FRANCE, ALSACE, MOSELLE, REUNION = map(is_holiday_in, ("80", "67", "57", "974"))
SENT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def at(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param("2026-11-20T10:00", "2026-11-25", id="Friday: Monday, Tuesday, Wednesday"),
        pytest.param("2026-12-23T10:00", "2026-12-29", id="Christmas and a weekend between"),
        pytest.param("2026-04-03T10:00", "2026-04-09", id="Easter Monday"),
        pytest.param("2026-07-13T10:00", "2026-07-17", id="14 July"),
        pytest.param("2026-12-31T10:00", "2027-01-06", id="New Year"),
        pytest.param("2027-05-05T10:00", "2027-05-11", id="Ascension; 8 May is a Saturday"),
        pytest.param("2026-11-21T23:30", "2026-11-25", id="Sunday already in Paris"),
    ],
)
def test_three_business_days_are_counted_as_in_france(sent: str, expected: str) -> None:
    """Weekends and public holidays do not count; the last moment is that day's end in Paris."""
    found = after_business_days(at(sent), 3, FRANCE)
    summer = "2026-04" <= expected < "2026-10" or expected.startswith("2027-05")
    assert found.isoformat() == f"{expected}T23:59:59+{'02:00' if summer else '01:00'}"


@pytest.mark.parametrize(
    ("sent", "elsewhere", "in_alsace"),
    [
        pytest.param("2026-04-02T10:00", "2026-04-08", "2026-04-09", id="Good Friday"),
        pytest.param("2024-12-24T10:00", "2024-12-30", "2024-12-31", id="26 December, a Thursday"),
    ],
)
def test_alsace_and_moselle_have_two_more_holidays(sent: str, elsewhere: str, in_alsace: str) -> None:
    """Code du travail, art. L3134-13: the three départements, by the referral's own."""
    assert after_business_days(at(sent), 3, FRANCE).date().isoformat() == elsewhere
    for is_holiday in (ALSACE, is_holiday_in("68"), MOSELLE):
        assert after_business_days(at(sent), 3, is_holiday).date().isoformat() == in_alsace


def test_overseas_departments_have_their_own_day() -> None:
    """The abolition of slavery is on 20 December in La Réunion, and no holiday in the Somme."""
    assert REUNION(date(2027, 12, 20))
    assert not FRANCE(date(2027, 12, 20))


def test_days_end_in_paris_on_the_nights_when_clocks_change() -> None:
    """24 h more or less one: the end of the day is the day's, not so many hours later."""
    assert after_days(at("2026-10-24T10:00"), 1).isoformat() == "2026-10-25T23:59:59+01:00"
    assert after_days(at("2027-03-27T10:00"), 1).isoformat() == "2027-03-28T23:59:59+02:00"


def everything(standing: Standing, clocks: Clocks) -> list[tuple[str, Act]]:
    """What the clock does, one after the other, if nobody ever moves."""
    done = []
    while coming := agenda(standing, clocks, FRANCE):
        moment, act = coming
        done.append((moment.date().isoformat(), act))
        if act is Act.EXPIRE:
            return done
        reminders, escalations = standing.reminders + (act is Act.REMIND), standing.escalations + (act is Act.ESCALATE)
        standing = Standing(standing.state, standing.since, reminders, escalations)
        assert len(done) < 50
    return done


@pytest.mark.parametrize("state", [S.SENT, S.RECEIVED])
def test_a_silent_partner_is_reminded_its_contact_called_and_the_referral_ends(state: S) -> None:
    """Every ten days a reminder, the call with the second, the end at thirty: from the sending, received or not."""
    assert everything(Standing(state, SENT), Clocks()) == [
        ("2026-11-30", Act.REMIND),
        ("2026-12-10", Act.REMIND),
        ("2026-12-10", Act.ESCALATE),
        ("2026-12-20", Act.EXPIRE),
    ]


@pytest.mark.parametrize("state", [S.ACCEPTED, S.IN_PROGRESS, S.ON_HOLD])
def test_an_accepted_referral_without_news_ends_too(state: S) -> None:
    """Fifteen business days without news call the contact; the fourth time is the end: nothing is open for ever."""
    assert everything(Standing(state, SENT), Clocks()) == [
        ("2026-12-11", Act.ESCALATE),
        ("2027-01-05", Act.ESCALATE),
        ("2027-01-26", Act.ESCALATE),
        ("2027-02-16", Act.EXPIRE),
    ]


def test_an_agreement_that_never_comes_ends_the_wait() -> None:
    """Nobody outside is reminded of what they have not got."""
    assert everything(Standing(S.AWAITING_AGREEMENT, SENT), Clocks()) == [("2026-12-20", Act.EXPIRE)]


def test_a_partner_may_have_clocks_of_its_own() -> None:
    """A week to answer, a reminder every other day, a call on the fifth."""
    clocks = Clocks(reception=1, reminder=2, escalation=5, expiry=7)
    assert everything(Standing(S.SENT, SENT), clocks) == [
        ("2026-11-22", Act.REMIND),
        ("2026-11-24", Act.REMIND),
        ("2026-11-25", Act.ESCALATE),
        ("2026-11-26", Act.REMIND),
        ("2026-11-27", Act.EXPIRE),
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (S.SENT, "2026-11-25"),
        (S.RECEIVED, "2026-12-20"),
        (S.ACCEPTED, "2026-12-11"),
        (S.IN_PROGRESS, "2026-12-11"),
        (S.ON_HOLD, "2026-12-11"),
        (S.AWAITING_AGREEMENT, "2026-12-20"),
    ],
)
def test_every_open_state_has_a_date_by_which_somebody_must_act(state: S, expected: str) -> None:
    """Reception in three business days, an answer within thirty days, news within fifteen business days."""
    found = due(Standing(state, SENT), Clocks(), FRANCE)
    assert found is not None
    assert found.date().isoformat() == expected


@pytest.mark.parametrize("state", sorted(set(S) - OPEN))
def test_what_has_ended_has_no_clock(state: S) -> None:
    """Neither a date, nor a next act, nor anything it waits for."""
    standing = Standing(state, SENT)
    assert due(standing, Clocks(), FRANCE) is None
    assert agenda(standing, Clocks(), FRANCE) is None
    assert ends_at(standing, Clocks(), FRANCE) is None
    assert waiting_for(state) is None


@pytest.mark.parametrize("state", sorted(OPEN))
def test_nothing_is_open_for_ever(state: S) -> None:
    """Whatever was done meanwhile, the end is after every other act and within half a year."""
    standing = Standing(state, SENT)
    *acts, last = everything(standing, Clocks())
    assert last[1] is Act.EXPIRE
    assert all(day <= last[0] for day, _ in acts)
    end = ends_at(standing, Clocks(), FRANCE)
    assert end is not None
    assert SENT < end < SENT + timedelta(days=183)


def test_what_is_waited_for_has_a_word() -> None:
    """A reception, an answer, news; an agreement is not the partner's to give."""
    assert {state: waiting_for(state) for state in sorted(OPEN)} == {
        S.ACCEPTED: Waiting.NEWS,
        S.AWAITING_AGREEMENT: None,
        S.IN_PROGRESS: Waiting.NEWS,
        S.ON_HOLD: Waiting.NEWS,
        S.RECEIVED: Waiting.ANSWER,
        S.SENT: Waiting.RECEPTION,
    }
