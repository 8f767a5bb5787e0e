"""What a browser sends, and the answer that it means."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from services.referral.page_forms import AnswerPost, BoardQuery, read


def post(**sent: str) -> AnswerPost:
    """A form as a browser sends it."""
    return AnswerPost.model_validate({"answer_id": "page:1", "status": "accepted"} | sent)


def test_what_was_left_empty_is_nothing() -> None:
    """One click, or every field empty: the same answer, so that it is the same again."""
    empty = dict.fromkeys(("reason", "outcome", "day", "time", "place", "contact", "told_again", "note"), "")
    bare, _ = read(post())
    full, problems = read(post(**empty))
    assert bare == full
    assert bare is not None
    assert problems == {}
    assert bare.model_dump(exclude_none=True) == {"answer_id": "page:1", "status": "accepted"}


@pytest.mark.parametrize(("day", "hour"), [("2026-12-02", 13), ("2026-07-02", 12)])
def test_an_appointment_is_of_paris(day: str, hour: int) -> None:
    """14:30 there, in winter and in summer."""
    form, _ = read(post(day=day, time="14:30", place=" Roye "))
    assert form is not None
    assert form.appointment is not None
    assert form.appointment.at.astimezone(UTC) == datetime.fromisoformat(f"{day}T{hour}:30:00+00:00")
    assert (form.appointment.place, form.appointment.contact) == ("Roye", None)


@pytest.mark.parametrize(("told_again", "enough"), [("yes", False), ("no", True), ("", None)])
def test_who_had_to_tell_it_again_had_not_told_enough(told_again: str, enough: object) -> None:
    """The page asks the other way round."""
    form, _ = read(post(told_again=told_again))
    assert form is not None
    assert form.story_sufficient is enough


WRONG: dict[str, tuple[dict[str, str], set[str]]] = {
    "declined without a reason": ({"status": "declined"}, {"reason"}),
    "failed without a reason": ({"status": "failed"}, {"reason"}),
    "another reason without words": ({"status": "declined", "reason": "other"}, {"note"}),
    "completed without an outcome": ({"status": "completed"}, {"outcome"}),
    "a day without an hour": ({"day": "2026-12-02"}, {"time"}),
    "an hour without a day": ({"time": "14:30"}, {"day"}),
    "a place alone": ({"place": "Roye"}, {"day", "time"}),
    "no such day": ({"day": "2026-02-30", "time": "14:30"}, {"day"}),
    "a year of two digits": ({"day": "0026-12-02", "time": "14:30"}, {"day"}),
    "no such hour": ({"day": "2026-12-02", "time": "25:30"}, {"time"}),
    "a NIR in the note": ({"note": "2 07 03 80 570 012 34"}, {"note"}),
    "a NIR in the place": ({"day": "2026-12-02", "time": "14:30", "place": "207038057001234"}, {"place"}),
    "a note too long": ({"note": "a" * 4001}, {"note"}),
    "a place too long": ({"day": "2026-12-02", "time": "14:30", "place": "a" * 201}, {"place"}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_french_by_its_field(name: str) -> None:
    """And nothing is answered; what is told does not quote what was typed."""
    sent, fields = WRONG[name]
    form, problems = read(post(**sent))
    assert form is None
    assert set(problems) == fields
    for told in problems.values():
        assert told[0].isupper()
        assert told.endswith(".")
        assert "207" not in told.replace(" ", "")


def test_a_note_of_the_allowed_length_is_taken_with_its_lines() -> None:
    """A browser sends two characters for a line break that it counts as one."""
    form, problems = read(post(note="\r\n".join(["a" * 99] * 40)))
    assert problems == {}
    assert form is not None
    assert form.note == "\n".join(["a" * 99] * 40)


@pytest.mark.parametrize(
    "sent",
    [{"status": "expired"}, {"reason": "boredom"}, {"answer_id": "a b"}, {"listed": "page=1\r\nX: y"}, {"more": "x"}],
)
def test_what_no_form_of_ours_sends_is_refused(sent: dict[str, str]) -> None:
    """Also what would lead the browser elsewhere afterwards."""
    with pytest.raises(ValidationError):
        post(**sent)


@pytest.mark.parametrize("typed", ["4E5F-6071", " 4e5f6071", "019ab7c4-5d6e-7f80-9a1b-2c3d4e5f6071", "n° 4E5F 6071"])
def test_a_number_is_understood_however_it_is_typed(typed: str) -> None:
    """Short or whole, with or without its hyphen."""
    assert BoardQuery(number=typed).digits == "4e5f6071"
