"""What Slack said when it refused a call, and what is done where it wants a pause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

UNREACHABLE = (SlackApiError, aiohttp.ClientError, TimeoutError, OSError)  # whatever a call may end in


def reason(error: SlackApiError) -> str:
    """Slack's code for it, such as ``channel_not_found``, or ``HTTP 503`` where a proxy or gateway answered."""
    response: Any = error.response
    data = response if isinstance(response, dict) else getattr(response, "data", None)
    code = data.get("error") if isinstance(data, dict) else None
    status = response.get("status_code") if isinstance(response, dict) else getattr(response, "status_code", None)
    return str(code or (f"HTTP {status}" if status else error))


def is_refusal(error: SlackApiError) -> bool:
    """Whether Slack itself refused the call, rather than something on the way failing."""
    return not reason(error).startswith("HTTP ") and reason(error) not in {"internal_error", "service_unavailable"}


def retry_after(error: SlackApiError) -> float:
    """The seconds that Slack wants a pause of, after one call too many."""
    return float(getattr(error.response, "headers", {}).get("Retry-After", 1))


async def once_more(call: Callable[[], Awaitable[Any]]) -> Any:
    """Make a call; where Slack wants a pause, make it again after that."""
    try:
        return await call()
    except SlackApiError as error:
        if reason(error) != "ratelimited":
            raise
        await asyncio.sleep(retry_after(error))
        return await call()
