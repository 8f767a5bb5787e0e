"""Answers that partners write to the broker: taken as over HTTP; a refusal is an event of the partner's.

That event is kept for as long as any other. So it repeats no name that a partner made up, it is short, and a client
that sends again whatever is refused does not fill the disk.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from services.chassis import logs, problems
from services.chassis.errors import FieldError, Rejected
from services.chassis.letters import Letter, Reply
from services.contracts.referral import PartnerAnswerRefused
from services.referral import handlers
from services.referral.forms import AnswerForm, AnswerId, AppointmentForm, PostedAnswer
from services.referral.handlers import Office

MOST_ERRORS = 20
# Refusals that a partner is told of: as many at once, and in the long run as many an hour.
BURST, PER_HOUR = 1000, 100
_NAMES = frozenset((*PostedAnswer.model_fields, *AppointmentForm.model_fields))
_UNKNOWN = "…"

log = logs.get(__name__)


@dataclass(slots=True)
class _Left:
    """What a partner had left of its budget at a time, and whether the log says that there was nothing."""

    number: float
    at: datetime
    logged: bool = False


class Budget:
    """How many refusals each partner is still told of by this process; further ones are counted among the messages."""

    def __init__(self) -> None:
        self._left: dict[str, _Left] = {}

    def take(self, partner: str, now: datetime) -> bool:
        """Whether one more may be told."""
        left = self._left.setdefault(partner, _Left(BURST, now))
        left.number = min(BURST, left.number + max(now - left.at, timedelta(0)) / timedelta(hours=1) * PER_HOUR)
        left.at = now
        if left.number >= 1:
            left.number -= 1
            left.logged = False
            return True
        if not left.logged:
            log.warning("refusals no longer told", sender=partner)
            left.logged = True
        return False


def take_answer(letter: Letter, office: Office, budget: Budget) -> Reply:
    """Take an answer; one that was taken is told by its status event alone."""
    try:
        posted = letter.read(PostedAnswer)
        # The same answer over HTTP is the same.
        form = AnswerForm.model_validate(posted.model_dump(exclude={"referral_id"}))
        _, again = handlers.answer(posted.referral_id, form, letter.caller, office, letter.traceparent)
    except Rejected as refused:
        if budget.take(letter.caller.org, office.app.clock.now()):
            with office.app.work() as work:
                work.emit(_refusal(letter, refused), recipient=letter.caller.org)
        return Reply(refused.status)
    return Reply(200 if again else 201)


def _refusal(letter: Letter, refused: Rejected) -> PartnerAnswerRefused:
    try:
        # What is too large or of another kind is not read at all.
        document = None if letter.problem else json.loads(letter.body)
    except (ValueError, RecursionError):
        document = None
    names = {
        "referral_id": _field(UUID, document, "referral_id"),
        "answer_id": _field(AnswerId, document, "answer_id"),
    }
    told = problems.document(refused)
    if refused.errors:
        told["errors"] = [_without_unknown_names(error) for error in refused.errors[:MOST_ERRORS]]
    return PartnerAnswerRefused.model_validate(names | told)


def _without_unknown_names(error: FieldError) -> FieldError:
    """What somebody took for a field's name may be a person's."""
    parts = error["pointer"].split("/")[1:]
    return {
        "pointer": "".join(f"/{part if part in _NAMES else _UNKNOWN}" for part in parts),
        "detail": error["detail"],
    }


def _field(kind: Any, document: Any, name: str) -> Any:  # noqa: ANN401 - any JSON
    """A field that says which answer it was; None when it cannot be read."""
    try:
        return TypeAdapter(kind).validate_python(document[name])
    except (ValidationError, KeyError, TypeError):
        return None
