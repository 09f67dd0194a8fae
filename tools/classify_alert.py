"""Tool: say which alert a message reports."""

from __future__ import annotations

import re
from typing import Literal, TypedDict

from langchain_core.tools import ToolException, tool

from storage import alerts as stored_alerts
from storage.messages import NewAlert
from tools.alerts import Alert, AlertMessage, overall, read
from tools.context import Runtime, find_channel

PERMALINK = re.compile(r"/archives/(?P<channel>[A-Z0-9]+)/p(?P<seconds>\d{10})(?P<fraction>\d{6})")
LONGEST = 20_000


class AlertReading(TypedDict):
    """One alert; ``duration_seconds`` where the message states how long it lasted, ``confidence`` is 0 to 1."""

    action: Literal["none", "open_incident", "close_incident"]
    alert: str
    service: str | None
    priority: str | None
    duration_seconds: float | None
    fingerprint: str
    parser: str
    confidence: float


class Classification(TypedDict):
    """What the message does as a whole, and each alert in it; ``permalink`` is that of a linked message."""

    action: Literal["none", "open_incident", "close_incident"]
    permalink: str | None
    alerts: list[AlertReading]


@tool(parse_docstring=True, extras={"effect": "read", "doing": "Reading an alert", "topic": "Alerts"})
async def classify_alert(runtime: Runtime, text: str = "", permalink: str = "", username: str = "") -> Classification:
    """Say which alert a message reports: firing or resolved, the alert's name, its service and its priority.

    Use it when somebody asks what an alert message means, whether a text would count as an alert, or why a message
    did (not) count. It reads a text as if a bot had posted it, or looks a linked message up.

    Args:
        text: The message's text, as a monitoring tool would post it.
        permalink: Instead of a text: link to a Slack message.
        username: Name of the bot that posts the text, such as Alertmanager; some formats are known by it.
    """
    if permalink:
        return await _linked(runtime, permalink)
    if not text.strip():
        raise ToolException("Give the text of a message, or a permalink.")
    found = read(AlertMessage(username=username, text=text[:LONGEST]))
    return Classification(
        action=overall(found),
        permalink=None,
        alerts=[_show(alert) for alert in found],
    )


async def _linked(runtime: Runtime, permalink: str) -> Classification:
    match = PERMALINK.search(permalink)
    if not match:
        raise ToolException(f"{permalink!r} is no link to a Slack message (…/archives/C…/p…).")
    context = runtime.context
    place = await find_channel(context, match["channel"])
    ts = f"{match['seconds']}.{match['fraction']}"
    async with context.database.connection() as conn:
        found = await stored_alerts.of_message(conn, context.viewer, match["channel"], ts)
    if place is None or found is None:
        raise ToolException(f"No message is stored for {permalink} that the requester may read from here.")
    return Classification(
        action=found.action,
        permalink=found.permalink,
        alerts=[_show(alert) for alert in found.alerts],
    )


def _show(alert: Alert | NewAlert) -> AlertReading:
    return AlertReading(
        action=alert.action,
        alert=alert.alert,
        service=alert.service,
        priority=alert.priority,
        duration_seconds=alert.duration.total_seconds() if alert.duration else None,
        fingerprint=alert.fingerprint,
        parser=alert.parser,
        confidence=round(alert.confidence, 2),
    )
