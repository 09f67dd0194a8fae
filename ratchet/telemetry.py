"""Logs: structured, to standard error, without secrets."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

from agent.redaction import Redactor

QUIET_LIBRARIES = ("slack_bolt", "slack_sdk", "procrastinate", "httpx", "httpx2", "openai", "psycopg", "uvicorn")


class _StandardError(io.TextIOBase):
    """Standard error as it is at the moment. A line that cannot be written is lost, but not the work it tells of."""

    def write(self, text: str) -> int:
        with contextlib.suppress(ValueError, OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            sys.stderr.flush()


def configure_logging(*, level: str, readable: bool, redactor: Redactor) -> None:
    """Set up structlog and the standard library's logging for this process.

    Args:
        level: least severe level that is shown.
        readable: lines for people instead of JSON.
        redactor: cleans every value.
    """

    def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: redactor.clean(value) if isinstance(value, str) else value for key, value in event.items()}

    stream = cast("TextIO", _StandardError())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if readable else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of every try; what fails in the end is told anyway
