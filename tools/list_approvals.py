"""Tool: which requests for approval wait for a decision (behaviour C21)."""

from __future__ import annotations

from typing import TypedDict

from langchain_core.tools import tool

from storage import approvals
from storage.approvals import Pending
from tools.channel_report import rfc3339
from tools.context import Runtime, find_channel
from tools.hits import channel_label

SHOWN = 25
EXCERPT = 300


class WaitingApproval(TypedDict):
    """A request; ``permalink`` leads to the message with its buttons, and is empty until that stands in Slack."""

    tool: str
    summary: str
    requested_by: str
    approvers: list[str]
    channel: str
    asked: str
    expires: str
    permalink: str


class WaitingApprovals(TypedDict):
    """The requests, the most urgent first."""

    approvals: list[WaitingApproval]


@tool(
    parse_docstring=True,
    extras={
        "effect": "read",
        "doing": "Looking at open approvals[ of {channel}]",
        "topic": "Ratchet itself",
        "example": "what waits for my approval?",
    },
)
async def list_approvals(runtime: Runtime, channel: str = "") -> WaitingApprovals:
    """List the changes that wait for a person's approval, with who may decide and until when.

    Use it for "what waits for approval", "which requests are open". Approving itself is done with the buttons of the
    request in Slack, never by a tool and never by writing so. At most 25, the most urgent first.

    Args:
        channel: Only this channel, by name or id. Empty: every channel that the requester may read from here.
    """
    context = runtime.context
    place = await find_channel(context, channel)
    async with context.database.connection() as conn:
        found = await approvals.list_pending(
            conn, context.viewer, channel_id=place.channel_id if place else None, limit=SHOWN
        )
    return WaitingApprovals(approvals=[_shown(row, context.workspace_url) for row in found])


def _shown(row: Pending, workspace_url: str) -> WaitingApproval:
    return WaitingApproval(
        tool=row.tool,
        summary=row.summary[:EXCERPT],
        requested_by=row.requester,
        approvers=row.approvers,
        channel=channel_label(row.channel_name, row.channel_kind),
        asked=rfc3339(row.created_at),
        expires=rfc3339(row.expires_at),
        permalink=row.permalink(workspace_url),
    )
