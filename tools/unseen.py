"""How much of what a turn's tools looked for its requester could read, but not in front of everyone who reads there.

It is counted after the answer, for the requester alone: no tool, and nothing that the model is told.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from langchain_core.tools import ToolException

from storage import hidden
from storage.access import Viewer
from storage.db import Connection
from storage.messages import Author, MessageFilter
from storage.search import Key
from tools.windows import parse_span, parse_time

PERMALINK = re.compile(r"/archives/([A-Z0-9]+)/p(\d{10})(\d{6})(?:\?(?:[^\s]*&)?thread_ts=([\d.]+))?")
TIMESTAMP = re.compile(r"\d{1,12}(\.\d{1,6})?")
Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Unseen:
    """How many messages (at most 100 a call are counted) and, where channels were listed, how many channels."""

    messages: int = 0
    channels: int = 0

    def __bool__(self) -> bool:
        return bool(self.messages or self.channels)


async def count_unseen(
    conn: Connection, viewer: Viewer, calls: Sequence[tuple[str, Arguments]], now: datetime
) -> Unseen:
    """What the calls of a turn, as (tool, arguments), would have found in the requester's own DM beyond what they did.

    Args:
        conn: a connection.
        viewer: who asked, and where.
        calls: as the model made them; those that cannot be read count nothing.
        now: the time of the turn.
    """
    found: set[Key] = set()
    channels = 0
    for tool, args in calls:
        if tool == "list_channels":
            channels = await hidden.count_channels(conn, viewer)
        elif find := FINDERS.get(tool):
            try:
                found |= await find(conn, viewer, args, now)
            except (ToolException, TypeError, ValueError, OverflowError):
                continue
    return Unseen(len(found), channels)


async def _searched(conn: Connection, viewer: Viewer, args: Arguments, now: datetime) -> set[Key]:
    author, kind = _text(args, "author") or "any", _text(args, "kind") or "any"
    if author not in get_args(Author) or kind not in {"any", "alerts", "none"}:
        return set()
    alerts_only = kind == "alerts" or _text(args, "group_by") == "alert"
    where = MessageFilter(
        query=_text(args, "query"),
        author=author,  # type: ignore[arg-type]
        since=parse_time(_text(args, "since"), now),
        until=parse_time(_text(args, "until"), now) or now,
        alerts="only" if alerts_only else "none" if kind == "none" else "any",
    )
    return await _within(conn, viewer, where, _text(args, "channel"))


async def _recent(conn: Connection, viewer: Viewer, args: Arguments, now: datetime) -> set[Key]:
    since = now - parse_span(_text(args, "window") or "1h")
    where = MessageFilter(query=_text(args, "query"), author="human", since=since, until=now, alerts="none")
    return await _within(conn, viewer, where, _text(args, "channel"))


async def _reported(conn: Connection, viewer: Viewer, args: Arguments, now: datetime) -> set[Key]:
    channel = _text(args, "channel")
    if not channel:
        return set()
    where = MessageFilter(since=now - timedelta(days=int(args.get("days") or 7)), until=now, alerts="only")
    return await _within(conn, viewer, where, channel)


async def _thread(conn: Connection, viewer: Viewer, args: Arguments, now: datetime) -> set[Key]:
    channel, ts = _text(args, "channel"), _text(args, "thread_ts")
    if match := PERMALINK.search(_text(args, "permalink")):
        channel, ts = match[1], match[4] or f"{match[2]}.{match[3]}"
    if not channel or not TIMESTAMP.fullmatch(ts):
        return set()
    place = await hidden.find_channel(conn, viewer, channel)
    return await hidden.find_thread(conn, viewer, place.channel_id, ts) if place else set()


async def _alert(conn: Connection, viewer: Viewer, args: Arguments, now: datetime) -> set[Key]:
    alert = _text(args, "alert")
    return await hidden.find_alert(conn, viewer, alert, _text(args, "service")) if alert else set()


async def _within(conn: Connection, viewer: Viewer, where: MessageFilter, channel: str) -> set[Key]:
    if channel.strip(" #"):
        place = await hidden.find_channel(conn, viewer, channel)
        if place is None:
            return set()
        where = MessageFilter(**{**where.__dict__, "channel_id": place.channel_id})
    return await hidden.find_messages(conn, viewer, where)


def _text(args: Arguments, name: str) -> str:
    value = args.get(name)
    return value.strip() if isinstance(value, str) else ""


Finder = Callable[[Connection, Viewer, Arguments, datetime], Awaitable[set[Key]]]
FINDERS: dict[str, Finder] = {
    "search_messages": _searched,
    "find_recent_activity": _recent,
    "report_channel": _reported,
    "read_thread": _thread,
    "lookup_runbook": _alert,
}
SEARCHING = frozenset({*FINDERS, "list_channels"})
