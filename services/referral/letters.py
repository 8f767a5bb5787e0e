"""Answers that partners write to the broker: taken as over HTTP; a refusal is an event of the partner's."""

import json
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from services.chassis import problems
from services.chassis.errors import Rejected
from services.chassis.letters import Letter, Reply
from services.contracts.referral import PartnerAnswerRefused
from services.referral import handlers
from services.referral.forms import AnswerForm, AnswerId, PostedAnswer
from services.referral.handlers import Office


def take_answer(letter: Letter, office: Office) -> Reply:
    """Take an answer; one that was taken is told by its status event alone."""
    try:
        posted = letter.read(PostedAnswer)
        # The same answer over HTTP is the same.
        form = AnswerForm.model_validate(posted.model_dump(exclude={"referral_id"}))
        _, again = handlers.answer(posted.referral_id, form, letter.caller, office, letter.traceparent)
    except Rejected as refused:
        with office.app.work() as work:
            work.emit(_refusal(letter.body, refused), recipient=letter.caller.org)
        return Reply(refused.status)
    return Reply(200 if again else 201)


def _refusal(body: bytes, refused: Rejected) -> PartnerAnswerRefused:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    names = {
        "referral_id": _field(UUID, document, "referral_id"),
        "answer_id": _field(AnswerId, document, "answer_id"),
    }
    return PartnerAnswerRefused.model_validate(names | problems.document(refused))


def _field(kind: Any, document: Any, name: str) -> Any:  # noqa: ANN401 - any JSON
    """A field that says which answer it was; None when it cannot be read."""
    try:
        return TypeAdapter(kind).validate_python(document[name])
    except (ValidationError, KeyError, TypeError):
        return None
