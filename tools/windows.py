"""Times as models write them: ``7d``, ``24h``, ``90m``, or an ISO 8601 date or date-time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from langchain_core.tools import ToolException

SPAN = re.compile(r"(?P<number>\d{1,6})\s*(?P<unit>m|min|h|d|w)", re.IGNORECASE)
UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_span(text: str) -> timedelta:
    """``90m``, ``24h``, ``7d`` or ``2w`` as a duration.

    Raises:
        ToolException: it is none of these.
    """
    match = SPAN.fullmatch(text.strip())
    if not match:
        raise ToolException(f"{text!r} is no duration. Write a number and a unit: 90m, 24h, 7d or 2w.")
    return timedelta(**{UNITS[match["unit"].lower()]: int(match["number"])})


def parse_time(text: str | None, now: datetime) -> datetime | None:
    """A point in time: a span back from ``now``, or an ISO date or date-time (UTC unless it says otherwise).

    Raises:
        ToolException: it is neither.
    """
    if not text or not text.strip():
        return None
    try:
        if SPAN.fullmatch(text.strip()):
            return now - parse_span(text)
        moment = datetime.fromisoformat(text.strip())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ToolException(
            f"{text!r} is no time. Write a span such as 24h or 7d, "
            "or an ISO date or date-time such as 2024-05-17 or 2024-05-17T09:30Z."
        ) from None
