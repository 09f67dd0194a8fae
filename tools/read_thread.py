"""Tool: read one Slack thread."""

from __future__ import annotations

import re
from typing import TypedDict

from langchain_core.tools import ToolException, tool

from storage import messages
from tools.context import Runtime, find_channel
from tools.hits import MessageHit, channel_label, show

PERMALINK = re.compile(
    r"/archives/(?P<channel>[A-Z0-9]+)/p(?P<seconds>\d{10})(?P<fraction>\d{6})(?:\?(?:[^\s]*&)?thread_ts=(?P<thread>[\d.]+))?"
)


class ThreadResult(TypedDict):
    """A thread, oldest message first; ``truncated`` when it has more messages than were returned."""

    channel: str
    permalink: str
    truncated: bool
    messages: list[MessageHit]


@tool(parse_docstring=True, extras={"effect": "read", "doing": "Reading a thread[ of {channel}]", "topic": "Messages"})
async def read_thread(
    runtime: Runtime,
    permalink: str | None = None,
    channel: str | None = None,
    thread_ts: str | None = None,
    limit: int = 100,
) -> ThreadResult:
    """Read a Slack thread: the message it begins with and every reply, oldest first.

    Use it after search_messages found a message whose thread matters (reply_count above 0), or when the user
    links a message. Without arguments it reads the thread that you are in.

    Args:
        permalink: Link to any message of the thread.
        channel: Instead of a link: the channel's name or id, with thread_ts.
        thread_ts: Timestamp of the thread's first message, such as 1715938200.000100.
        limit: Most messages to return, 1 to 200.
    """
    context = runtime.context
    if not 1 <= limit <= 200:
        raise ToolException(f"limit must be 1 to 200, not {limit}.")
    if permalink:
        match = PERMALINK.search(permalink)
        if not match:
            raise ToolException(f"{permalink!r} is no link to a Slack message (…/archives/C…/p…).")
        channel, thread_ts = match["channel"], match["thread"] or f"{match['seconds']}.{match['fraction']}"
    elif not thread_ts:
        channel, thread_ts = channel or context.viewer.asked_in, context.thread_ts
    if not thread_ts:
        raise ToolException("Which thread? Give a permalink, or channel and thread_ts.")
    place = await find_channel(context, channel or context.viewer.asked_in)
    if place is None or not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", thread_ts):
        raise ToolException("Which thread? Give a permalink, or channel and thread_ts such as 1715938200.000100.")
    async with context.database.connection() as conn:
        found = await messages.read_thread(conn, context.viewer, place.channel_id, thread_ts, limit=limit + 1)
    if not found:
        raise ToolException(f"No messages are stored for thread {thread_ts} in {channel or place.name}.")
    return ThreadResult(
        channel=channel_label(place.name, place.kind),
        permalink=found[0].permalink,
        truncated=len(found) > limit,
        messages=[show(message, excerpt=4000) for message in found[:limit]],
    )
