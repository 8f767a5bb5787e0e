"""What people say at a counter of whom they agree to, and what is heard of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.contracts.intake import AgreementGiven
from services.intake import agreements
from services.intake.case_forms import AgreementPut, AgreementsView
from tests.support.counter import SITE, Counter


def agreement(*recipients: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """What a visit says of it."""
    return {"recipients": list(recipients), **more}


def put(counter: Counter, case: UUID, recipient: str, site: str = SITE, **form: Any) -> AgreementsView:  # noqa: ANN401
    """Agree. Raises Rejected."""
    return agreements.give(case, recipient, AgreementPut.model_validate(form), counter.call(site))


def delete(counter: Counter, case: UUID, recipient: str, site: str = SITE) -> AgreementsView:
    """Agree no more. Raises Rejected."""
    return agreements.withdraw(case, recipient, counter.call(site))


def given(view: AgreementsView) -> dict[str, bool]:
    """Recipient -> whether it may have what was told."""
    return {each.recipient: each.given for each in view.agreements}


def yeses(counter: Counter) -> list[tuple[UUID, str, bool, datetime]]:
    """(case, recipient, sensitive, moment) of each agreement that was told as the case's, in order."""
    told = [AgreementGiven.model_validate(event.data) for event in counter.told("AgreementGiven")]
    return [(each.case, each.recipient, each.sensitive, each.at) for each in told]


def agreed(counter: Counter) -> list[list[str]]:
    """What each visit told of agreements, in order."""
    return [event.data["agreed"] for event in counter.told("VisitRecorded")]
