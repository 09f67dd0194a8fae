"""Tool: what people have been saying about something lately (behaviour A12)."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from langchain_core.tools import ToolException, tool

from storage.messages import MessageFilter
from tools.context import Runtime, find_channel
from tools.hits import MessageHit, find_messages, show
from tools.windows import parse_span

SHOWN = 5


class RecentActivity(TypedDict):
    """Human messages of the window; ``total`` counts those that hold the words, the best five are shown.

    ``note`` says when only words could be searched for, or when none of the messages holds them.
    """

    window: str
    total: int
    messages: list[MessageHit]
    note: str | None


@tool(
    parse_docstring=True,
    extras={
        "effect": "read",
        "doing": "Looking[ for {query}] in {channel|all channels}, last {window|1h}",
        "topic": "Messages",
        "example": "what is going on with payments right now?",
    },
)
async def find_recent_activity(
    query: str, runtime: Runtime, window: str = "1h", channel: str | None = None
) -> RecentActivity:
    """Find what people are saying right now about a service, host or symptom, across channels.

    Use it for "is anyone looking at this", "what is going on with payments", or while triaging an alert. Only
    human messages count: bots and alerts are left out. Finds messages that hold the words and messages that say the
    same in other words, and returns the five best with permalinks.

    Args:
        query: Words to look for, such as a service, host or error. Empty: everything that people wrote.
        window: How far back: 30m, 1h, 24h, up to 30d.
        channel: Only this channel, by name or id. Empty: every channel that the requester may read.
    """
    context = runtime.context
    span = parse_span(window)
    if not timedelta(0) < span <= timedelta(days=30):
        raise ToolException(f"window must be between 1m and 30d, not {window!r}.")
    place = await find_channel(context, channel)
    where = MessageFilter(
        query=query,
        channel_id=place.channel_id if place else None,
        author="human",
        since=context.now - span,
        until=context.now,
        alerts="none",
    )
    found = await find_messages(context, where, limit=SHOWN)
    return RecentActivity(
        window=window, total=found.total, messages=[show(hit) for hit in found.messages], note=found.note
    )
