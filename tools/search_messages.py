"""Tool: find earlier messages, or count alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, TypedDict

from langchain_core.tools import ToolException, tool

from storage import alerts as stored_alerts
from storage import search
from storage.alerts import AlertCount
from storage.messages import Author, MessageFilter
from tools.context import Runtime, find_channel
from tools.hits import Found, MessageHit, find_messages, show
from tools.windows import parse_time


class AlertHit(TypedDict):
    """An alert with how often it fired and resolved in the window; ``last`` is its last firing, times are RFC 3339."""

    alert: str
    service: str | None
    fired: int
    resolved: int
    first: str
    last: str
    permalinks: list[str]


class SearchResult(TypedDict):
    """What was searched and what matched.

    ``total`` counts the messages that hold any of the rarer words (up to 3,000), not only those shown. ``note`` says
    when only words could be searched for, or when none of the messages holds them.
    """

    channel: str | None
    since: str | None
    until: str
    total: int
    messages: list[MessageHit]
    alerts: list[AlertHit]
    note: str | None


@tool(
    parse_docstring=True,
    extras={
        "effect": "read",
        "doing": "Searching {channel|messages}[ for {query}]",
        "topic": "Messages",
        "example": "who has seen this error before?",
    },
)
async def search_messages(
    runtime: Runtime,
    query: str = "",
    channel: str | None = None,
    author: Author = "any",
    since: str | None = None,
    until: str | None = None,
    kind: Literal["any", "alerts", "none"] = "any",
    group_by: Literal["none", "alert"] = "none",
    limit: int = 5,
) -> SearchResult:
    """Find earlier Slack messages, or count which alerts fired how often.

    Use it for "how did we fix X last time", "who mentioned Y", "which alerts fired most this week". Finds messages
    that hold the words, and messages that say the same in other words. Returns the number of matches and the best
    ones with author, time, text and permalink; read_thread then shows a whole thread. With group_by "alert" it
    returns alerts ranked by how often they fired, with counts and permalinks.

    Args:
        query: What to look for, as words or a short sentence; the best matches come first. Error codes, host, pod
            and alert names match as they are. Empty: every message of the window, newest first.
        channel: Name such as #ops-alerts, or id. Empty: all channels that the requester may read.
        author: "human", "bot" (alerts and integrations) or "any".
        since: Begin of the window: a span back from now such as 24h or 7d, or an ISO date or date-time.
        until: End of the window, exclusive, in the same forms. Empty: now.
        kind: "alerts" finds only messages that report an alert, "none" leaves these out.
        group_by: "alert" counts alerts instead of listing messages.
        limit: How many messages or alerts to return, 1 to 50.
    """
    context = runtime.context
    if not 1 <= limit <= 50:
        raise ToolException(f"limit must be 1 to 50, not {limit}.")
    start, end = parse_time(since, context.now), parse_time(until, context.now) or context.now
    if start and start >= end:
        raise ToolException(f"since ({start.isoformat()}) must be before until ({end.isoformat()}).")
    place = await find_channel(context, channel)
    where = MessageFilter(
        query=query,
        channel_id=place.channel_id if place else None,
        author=author,
        since=start,
        until=end,
        alerts="only" if group_by == "alert" or kind == "alerts" else kind,
    )
    if group_by == "alert":  # counted where the words stand, not where something like them is said
        async with context.database.connection() as conn:
            total, _ = await search.search(conn, context.viewer, where, limit=1)
            alerts = await stored_alerts.count_alerts(conn, context.viewer, where, limit=limit)
        found = Found(total, [], None)
    else:
        found, alerts = await find_messages(context, where, limit=limit), []
    return SearchResult(
        channel=f"#{place.name}" if place else None,
        since=_rfc3339(start) if start else None,
        until=_rfc3339(end),
        total=found.total,
        messages=[show(hit) for hit in found.messages],
        alerts=[_show(row) for row in alerts],
        note=found.note,
    )


def _show(row: AlertCount) -> AlertHit:
    return AlertHit(
        alert=row.alert,
        service=row.service,
        fired=row.fired,
        resolved=row.resolved,
        first=_rfc3339(row.first_at),
        last=_rfc3339(row.last_at),
        permalinks=row.permalinks,
    )


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
