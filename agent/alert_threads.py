"""What the agent knows in the thread of an alert before it asks anything (behaviour A17)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import prompts
from storage import alerts, runbooks, search
from storage.access import Viewer
from storage.db import Connection
from storage.messages import MessageFilter
from storage.runbooks import Runbook
from storage.triage import AlertName, earlier_threads, name_of

DAYS = 7
MOST_ALERTS = 3
MOST_THREADS = 3
RUNBOOK_CHARS = 8000  # of a runbook's lines; what does not fit is left to lookup_runbook


async def describe_alert_thread(
    conn: Connection, viewer: Viewer, channel_id: str, thread_ts: str, *, now: datetime
) -> str:
    """For the system prompt: the alert, its history, its runbook and similar threads.

    Args:
        conn: a connection.
        viewer: who asks; nothing else is told.
        channel_id: the thread's channel.
        thread_ts: the thread's first message.
        now: the time up to which firings count.

    Returns:
        Nothing where the thread began with something else.
    """
    reported = await alerts.of_message(conn, viewer, channel_id, thread_ts)
    if reported is None or not reported.alerts:
        return ""
    facts: list[dict[str, Any]] = []
    told: set[tuple[str | None, str]] = set()
    for alert in reported.alerts:
        if (alert.service, alert.alert) in told or len(told) == MOST_ALERTS:
            continue
        told.add((alert.service, alert.alert))
        name = await name_of(conn, alert.service, alert.alert)
        facts.append(
            {
                "alert": alert.alert,
                "service": alert.service,
                "priority": alert.priority,
                "its_message_says": "firing" if reported.action == "open_incident" else "resolved",
                "history": await _history(conn, viewer, alert.service, alert.alert, now),
                "runbook": await _runbook(conn, viewer, name, thread_ts),
                "similar_threads": await _similar(conn, viewer, name, channel_id, thread_ts),
            }
        )
    return prompts.render("alert_thread", facts="\n".join(json.dumps(fact, ensure_ascii=False) for fact in facts))


async def _history(conn: Connection, viewer: Viewer, service: str | None, alert: str, now: datetime) -> str:
    since = now - timedelta(days=DAYS)
    fired = await alerts.count_firings(conn, viewer, service, alert, since, now)
    found = await alerts.incidents(conn, viewer, alert=alert, since=since, until=now)
    return show_history(fired, [incident for incident in found if incident.service == service])


def show_history(fired: int, incidents: Sequence[alerts.Incident]) -> str:
    """How often an alert fired within the days, and how long it usually lasts: the median of those that closed."""
    lasted = [incident.duration.total_seconds() for incident in incidents if incident.duration is not None]
    if not fired:
        return f"did not fire in the last {DAYS} days"
    text = f"fired {'once' if fired == 1 else f'{fired} times'} in {DAYS} days"
    if not lasted:
        return f"{text}, never seen to close"
    return f"{text}, usually closes in {show_span(timedelta(seconds=median(lasted)))}"


def show_span(span: timedelta) -> str:
    """A duration in its largest unit, such as ``12 minutes``."""
    seconds = span.total_seconds()
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"


async def _runbook(conn: Connection, viewer: Viewer, name: AlertName, thread_ts: str) -> dict[str, Any] | None:
    found = await runbooks.latest(conn, viewer, name)
    if found is None or not found.lines:
        return None
    outdated = await runbooks.is_outdated(conn, viewer.team_id, found.version, before_ts=thread_ts)
    return _show(found, outdated=outdated)


def _show(found: Runbook, *, outdated: bool) -> dict[str, Any]:
    version = found.version
    lines: list[dict[str, Any]] = []
    room = RUNBOOK_CHARS
    for line in found.lines:
        shown = {
            "section": line.section,
            "text": line.text,
            **({"command": line.command} if line.command else {}),
            **({"did_not_work_last_time": True} if line.doubted else {}),
            "permalink": line.permalink,
        }
        room -= len(json.dumps(shown))
        if room >= 0:
            lines.append(shown)
    return {
        "version": version.version,
        "written": version.created_at.strftime("%Y-%m-%d"),
        "stale": outdated,
        "said_it_worked": version.worked,
        "said_it_did_not_work": version.failed,
        "lines": lines,
        "lines_left_out": len(found.lines) - len(lines),
    }


async def _similar(conn: Connection, viewer: Viewer, name: AlertName, channel_id: str, thread_ts: str) -> list[str]:
    """Links to earlier threads in which people wrote: those of the same alert, then of those that resemble it."""
    same = await earlier_threads(conn, viewer, name, before_ts=thread_ts, limit=MOST_THREADS)
    links = [thread.permalink for thread in same if thread.permalink]
    if len(links) < MOST_THREADS:
        where = MessageFilter(query=f"{name.service} {name.alert}", alerts="only")
        _, near = await search.search(conn, viewer, where, limit=20)
        links += [
            hit.permalink
            for hit in near
            if hit.reply_count and (hit.channel_id, hit.ts) != (channel_id, thread_ts) and hit.permalink not in links
        ]
    return links[:MOST_THREADS]
