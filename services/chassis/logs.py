"""Structured logs. No body, no exception text of a library: both may hold what a person told."""

import logging
import sys
from typing import Literal

import structlog

Logger = structlog.stdlib.BoundLogger


def configure(level: str, style: Literal["auto", "json", "console"]) -> None:
    """Send everything to standard error, one line an event."""
    on_terminal = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _without_its_text, renderer],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # nameko logs the exception of every failing worker with its message; ours say what may be said.
    for noisy in ("nameko", "amqp", "kombu", "eventlet", "httpcore", "httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)


def _without_its_text(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A library that logs an exception would quote it: told as `reason_of` tells it."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["reason"] = reason_of(error)
    return event


def get(name: str) -> Logger:
    """A logger; `name` is the module's."""
    logger: Logger = structlog.stdlib.get_logger(name)
    return logger


def reason_of(error: BaseException) -> str:
    """What of an exception may be stored or logged: its kind and where it was raised, never its text.

    A library's message may quote the data it choked on; ours (`services.*` errors) never do.
    """
    kind = type(error).__name__
    if type(error).__module__.startswith("services."):
        return f"{kind}: {error}"
    trace = error.__traceback__
    place = ""
    while trace:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("services."):
            place = f" at {module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return kind + place
