"""Errors are verbs: what should happen to the request or to the event."""

from datetime import timedelta
from typing import TypedDict


class FieldError(TypedDict):
    """Where a body is wrong (JSON pointer) and what would be right. Never the value received."""

    pointer: str
    detail: str


class Rejected(Exception):
    """The caller is wrong, and trying again changes nothing: 4xx for a request, parked at once for an event."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        status: int = 422,
        errors: list[FieldError] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(slug)
        self.slug = slug
        self.detail = detail
        self.status = status
        self.errors = errors or []
        self.headers = headers or {}


class RetryLater(Exception):
    """Not now: try the same event again after `after`, or answer 503 with Retry-After."""

    def __init__(self, after: timedelta, detail: str = "") -> None:
        super().__init__(detail or f"retry after {after.total_seconds():g} s")
        self.after = after


class Unavailable(Exception):
    """A dependency is away: nothing is acknowledged, requests answer 503."""


def not_found(detail: str = "Introuvable.") -> Rejected:
    """What does not exist and what the caller may not know of look the same."""
    return Rejected("not-found", detail, status=404)


def forbidden(detail: str) -> Rejected:
    """The token is valid, and it is another's."""
    return Rejected("forbidden", detail, status=403)
