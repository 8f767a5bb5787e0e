"""What an outsider wrote, and what becomes of it."""

import pytest

from services.chassis.errors import Rejected
from services.chassis.letters import Letter, Reply
from services.chassis.tokens import Caller
from services.intake.forms import PersonForm

CALLER = Caller("site", "fs-moreuil", "site.fs-moreuil")
BODY = '{"family_name": "Kanarienvogel", "given_name": "Zoé", "birth_date": "2007-03-14"}'.encode()


def test_a_letter_is_read_as_a_request_is() -> None:
    """The form, or what is wrong with it."""
    assert Letter(CALLER, BODY, "").read(PersonForm).family_name == "Kanarienvogel"
    with pytest.raises(Rejected) as refused:
        Letter(CALLER, b"{}", "").read(PersonForm)
    assert [error["pointer"] for error in refused.value.errors] == ["/family_name", "/given_name", "/birth_date"]


def test_a_letter_with_a_problem_is_not_read() -> None:
    """Whatever is in it."""
    too_large = Rejected("too-large", "Trop grand.", status=413)
    with pytest.raises(Rejected) as refused:
        Letter(CALLER, BODY, "", too_large).read(PersonForm)
    assert refused.value is too_large


def test_neither_letter_nor_reply_shows_what_is_in_it() -> None:
    """As a traceback would."""
    assert "Kanarienvogel" not in repr(Letter(CALLER, BODY, ""))
    assert "Kanarienvogel" not in repr(Reply(201, "Kanarienvogel"))


@pytest.mark.parametrize(
    ("status", "outcome", "kind"),
    [
        (201, "taken", "application/json"),
        (200, "again", "application/json"),
        (403, "refused", "application/problem+json"),
        (422, "refused", "application/problem+json"),
        (500, "failed", "application/problem+json"),
    ],
)
def test_a_status_says_what_is_counted_and_what_the_body_is(status: int, outcome: str, kind: str) -> None:
    """As over HTTP."""
    assert (Reply(status).outcome, Reply(status).content_type) == (outcome, kind)
