"""What a browser sends from the pages, and the answer that it means: what was left empty is there, and empty."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.chassis.problems import invalid
from services.contracts.codes import DeclineReason, Need, ReferralOutcome, ReferralState, WithdrawReason
from services.contracts.free_text import WithoutNir
from services.contracts.paris import PARIS
from services.referral.forms import AnswerForm, AnswerId

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)
S = ReferralState
V = TypeVar("V")
# Browsers count a line break as one character and send two.
_Text = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(lambda text: text.replace("\r\n", "\n"))]
_Line = Annotated[str, StringConstraints(max_length=2000)]
_FIELD_OF = {"appointment": "day", "at": "day"}
REFUSED = frozenset({S.DECLINED, S.FAILED})


class BoardQuery(BaseModel):
    """Which part of the list: a page of it, a need, a département, or the number that somebody told by phone."""

    model_config = _STRICT

    page: int = Field(1, ge=1, le=10_000)
    need: Literal[""] | Need = ""
    department: Annotated[str, StringConstraints(max_length=3)] = ""
    number: Annotated[str, StringConstraints(max_length=40), WithoutNir] = ""
    done: Annotated[str, StringConstraints(max_length=36), WithoutNir] = ""

    @property
    def digits(self) -> str:
        """The last eight hexadecimal digits of the number, however it was typed."""
        return "".join(each for each in self.number.lower() if each in "0123456789abcdef")[-8:]

    @property
    def filtered(self) -> bool:
        """Whether not everything is asked for."""
        return bool(self.need or self.department or self.number)


class AnswerPost(BaseModel):
    """An answer as its form sends it. `listed` holds where in the list to go back to; empty from a referral's page."""

    model_config = _STRICT

    answer_id: AnswerId
    status: Literal["received", "accepted", "in-progress", "on-hold", "declined", "completed", "failed"]
    reason: Literal[""] | DeclineReason = ""
    outcome: Literal[""] | ReferralOutcome = ""
    day: Annotated[_Line, WithoutNir] = ""
    time: Annotated[_Line, WithoutNir] = ""
    place: _Line = ""
    contact: _Line = ""
    told_again: Literal["", "yes", "no"] = ""
    note: _Text = ""
    listed: Annotated[str, StringConstraints(max_length=300, pattern=r"^[a-zA-Z0-9=&-]*$"), WithoutNir] = ""


class WithdrawPost(BaseModel):
    """A withdrawal as its form sends it; without a reason nobody has confirmed it yet."""

    model_config = _STRICT

    reason: Literal[""] | WithdrawReason = ""


@dataclass(frozen=True)
class Tried:
    """What was typed and could not be taken: with which form, what it held, and what is wrong in which field."""

    status: str
    values: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def read(post: AnswerPost) -> tuple[AnswerForm | None, dict[str, str]]:
    """The answer that is meant, or what is wrong in which field."""
    problems: dict[str, str] = {}
    state, reason = S(post.status), post.reason or None
    if state in REFUSED and reason is None:
        problems["reason"] = "Choisissez un motif."
    if reason is DeclineReason.OTHER and not post.note:
        problems["note"] = "Expliquez en quelques mots\u00a0: «\u00a0autre motif\u00a0» le demande."
    if state is S.COMPLETED and not post.outcome:
        problems["outcome"] = "Choisissez un résultat."
    appointment = _appointment(post, problems)
    if problems:
        return None, problems
    values: dict[str, Any] = {
        "answer_id": post.answer_id,
        "status": post.status,
        "reason": reason,
        "outcome": post.outcome or None,
        "appointment": appointment,
        "story_sufficient": {"yes": False, "no": True}.get(post.told_again),
        "note": post.note or None,
    }
    try:
        return AnswerForm.model_validate(values), {}
    except ValidationError as error:
        found = invalid(error).errors
    for each in found:
        name = each["pointer"].rpartition("/")[2]
        problems[_FIELD_OF.get(name, name)] = each["detail"]
    return None, problems


def _appointment(post: AnswerPost, problems: dict[str, str]) -> dict[str, Any] | None:
    if not (post.day or post.time or post.place or post.contact):
        return None
    on, at = _parsed(date.fromisoformat, post.day), _parsed(time.fromisoformat, post.time)
    if on is None:
        problems["day"] = "Indiquez le jour du rendez-vous."
    elif not 2000 <= on.year <= 2100:  # noqa: PLR2004 - a year of two digits, or a slip
        problems["day"] = "Vérifiez l’année du rendez-vous."
    if at is None:
        problems["time"] = "Indiquez l’heure du rendez-vous, par exemple 14:30."
    if on is None or at is None:
        return None
    moment = datetime.combine(on, at.replace(tzinfo=None), PARIS)
    return {"at": moment, "place": post.place or None, "contact": post.contact or None}


def _parsed(parse: Callable[[str], V], text: str) -> V | None:
    try:
        return parse(text)
    except ValueError:
        return None
