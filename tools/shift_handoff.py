"""Tool: what one shift leaves to the next (behaviour A13)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypedDict

from langchain_core.tools import ToolException, tool

from storage import approvals, handoff, reports
from tools.channel_report import rfc3339
from tools.context import Runtime, find_channel
from tools.hits import channel_label
from tools.toil import REMINDER, pair

LOOKBACK = timedelta(days=7)
SHOWN = 25
EXCERPT = 300


class OpenIncident(TypedDict):
    """An alert that opened and did not close; ``notifications`` counts its messages, ``replies`` people's."""

    alert: str
    service: str | None
    priority: str | None
    opened: str
    in_this_shift: bool
    notifications: int
    human_replies: int
    permalink: str


class UnansweredTurn(TypedDict):
    """A question to Ratchet that waits or failed."""

    question: str
    asked_by: str
    asked: str
    status: str
    error: str | None
    permalink: str


class UnansweredQuestion(TypedDict):
    """A question to the channel without a reply."""

    text: str
    author: str
    asked: str
    permalink: str


class OpenApproval(TypedDict):
    """A change that waits for a person's approval, until it ``expires``."""

    tool: str
    summary: str
    requested_by: str
    approvers: list[str]
    expires: str
    permalink: str


class Handoff(TypedDict):
    """The handoff; at most 25 of each kind, the newest incidents and the oldest questions first."""

    channel: str
    since: str
    until: str
    open_incidents: list[OpenIncident]
    open_incident_count: int
    questions_to_ratchet: list[UnansweredTurn]
    unanswered_questions: list[UnansweredQuestion]
    waiting_approvals: list[OpenApproval]


@tool(
    parse_docstring=True,
    extras={
        "effect": "read",
        "doing": "Gathering the last {hours|12} hours[ of {channel}]",
        "outcome": "{open_incident_count} open incidents",
        "topic": "Alerts",
        "example": "what happened in #ops-alerts on the last shift?",
    },
)
async def shift_handoff(runtime: Runtime, channel: str = "", hours: int = 12) -> Handoff:
    """Sum up what a shift leaves to the next: open incidents, and questions that nobody answered.

    Use it for "shift handoff", "what is still open", "what do I take over". Returns incidents that opened in the
    last seven days and were not reported as over, questions to Ratchet that wait or failed, people's top-level
    questions without a reply, and changes that wait for approval, each with its permalink.

    Args:
        channel: Name such as #ops-alerts, or id. Empty: the channel that you are in.
        hours: Length of the shift that ends now, 1 to 168.
    """
    context = runtime.context
    if not 1 <= hours <= 168:
        raise ToolException(f"hours must be 1 to 168, not {hours}.")
    place = await find_channel(context, channel or context.viewer.asked_in)
    if place is None:
        raise ToolException("Which channel? Give its name, such as #ops-alerts, or its id.")
    since, until, viewer = context.now - timedelta(hours=hours), context.now, context.viewer
    async with context.database.connection() as conn:
        events = await reports.list_alert_events(conn, viewer, place.channel_id, until - LOOKBACK - REMINDER, until)
        replies = await reports.list_human_replies(conn, viewer, place.channel_id, until - LOOKBACK, until)
        asked = await handoff.list_open_turns(conn, viewer, place.channel_id, since, until, limit=SHOWN)
        questions = await handoff.list_open_questions(conn, viewer, place.channel_id, since, until, limit=SHOWN)
        waiting = await approvals.list_pending(conn, viewer, channel_id=place.channel_id, limit=SHOWN)
    incidents = await asyncio.to_thread(open_incidents, events, replies, since, until - LOOKBACK)
    return Handoff(
        channel=channel_label(place.name, place.kind),
        since=rfc3339(since),
        until=rfc3339(until),
        open_incidents=incidents[:SHOWN],
        open_incident_count=len(incidents),
        questions_to_ratchet=[
            UnansweredTurn(
                question=row.question[:EXCERPT],
                asked_by=row.asked_by,
                asked=rfc3339(row.asked_at),
                status=row.status,
                error=row.error[:EXCERPT] if row.error else None,
                permalink=row.permalink,
            )
            for row in asked
        ],
        unanswered_questions=[
            UnansweredQuestion(
                text=row.text[:EXCERPT], author=row.author, asked=rfc3339(row.asked_at), permalink=row.permalink
            )
            for row in questions
        ],
        waiting_approvals=[
            OpenApproval(
                tool=row.tool,
                summary=row.summary[:EXCERPT],
                requested_by=row.requester,
                approvers=row.approvers,
                expires=rfc3339(row.expires_at),
                permalink=row.permalink(context.workspace_url),
            )
            for row in waiting
        ],
    )


def open_incidents(
    events: Sequence[reports.AlertEvent], replies: Sequence[reports.HumanReply], since: datetime, oldest: datetime
) -> list[OpenIncident]:
    """The incidents that are not over, newest first."""
    said = Counter(reply.thread_ts for reply in replies)
    # Of an alert that never closes, the newest incident stands for the older ones.
    newest = {incident.fingerprint: incident for incident in pair(events) if incident.openings}
    incidents = [
        OpenIncident(
            alert=first.alert,
            service=first.service,
            priority=first.priority,
            opened=rfc3339(first.at),
            in_this_shift=first.at >= since,
            notifications=len(incident.openings),
            human_replies=sum(said[thread_ts] for thread_ts in {opening.thread_ts for opening in incident.openings}),
            permalink=first.permalink,
        )
        for incident in newest.values()
        for first in incident.openings[:1]
        if incident.closing is None and incident.openings[-1].at >= oldest
    ]
    return sorted(incidents, key=lambda incident: incident["opened"], reverse=True)
