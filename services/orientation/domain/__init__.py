"""The routing table applied to one visit: pure functions over coded facts."""

from services.orientation.domain.explanation import Attempt, Explanation, Reading, explain
from services.orientation.domain.proposals import NO_LINE, Proposal, Recipient, orient
from services.orientation.domain.rulebook import EVERYWHERE, Line, Partner, Rulebook, Step
from services.orientation.domain.visit import ExpressedNeed, Visit

__all__ = [
    "EVERYWHERE",
    "NO_LINE",
    "Attempt",
    "Explanation",
    "ExpressedNeed",
    "Line",
    "Partner",
    "Proposal",
    "Reading",
    "Recipient",
    "Rulebook",
    "Step",
    "Visit",
    "explain",
    "orient",
]
