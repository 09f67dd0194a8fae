"""Tool: what alerts did in a channel, what they cost people, and what to change (behaviours A13 and A14)."""

from __future__ import annotations

from datetime import timedelta

from langchain_core.tools import ToolException, tool

from tools.channel_report import ChannelReport, read_report
from tools.context import Runtime, find_channel


@tool(
    parse_docstring=True,
    extras={
        "effect": "read",
        "doing": "Reporting on {channel}, last {days|7} days",
        "outcome": "top {alerts} alerts",
        "topic": "Alerts",
        "example": "which alerts fired most in #ops-alerts this week?",
    },
)
async def report_channel(channel: str, runtime: Runtime, days: int = 7) -> ChannelReport:
    """Report on a channel's alerts: the top ones, frequent, long and untriaged ones, toil, and what to change.

    Use it for "report on #ops-alerts", "what should we do about alert noise", "which alerts does nobody look at".
    Returns counts, durations in seconds, human replies, a toil ledger (how often an alert was acted on, resolved
    itself, was ignored, or repeated while open, and estimated human minutes) and proposals with their evidence.
    A chart is posted below your answer by itself. Replies of bots do not count as triage.

    Args:
        channel: Name such as #ops-alerts, or id.
        days: Length of the window that ends now, 1 to 90.
    """
    context = runtime.context
    if not 1 <= days <= 90:
        raise ToolException(f"days must be 1 to 90, not {days}.")
    place = await find_channel(context, channel)
    if place is None:
        raise ToolException("Which channel? Give its name, such as #ops-alerts, or its id.")
    budget = context.rules.budget(place.channel_id, place.name)
    since = context.now - timedelta(days=days)
    async with context.database.connection() as conn:
        return await read_report(conn, context.viewer, place, since, context.now, budget)
