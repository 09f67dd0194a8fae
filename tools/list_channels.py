"""Tool: the channels that the requester may read from here."""

from __future__ import annotations

from typing import TypedDict

from langchain_core.tools import tool

from storage import channels
from tools.context import Runtime
from tools.hits import channel_label

MOST = 200


class ChannelHit(TypedDict):
    """A channel; ``last_message`` is RFC 3339 or null."""

    id: str
    name: str
    kind: str
    topic: str
    last_message: str | None


class ChannelList(TypedDict):
    """The channels, at most 200, those where something was said last first; ``more``: there are others."""

    channels: list[ChannelHit]
    more: bool


@tool(parse_docstring=True, extras={"effect": "read", "doing": "Listing the channels", "topic": "Messages"})
async def list_channels(runtime: Runtime) -> ChannelList:
    """List the Slack channels that Ratchet records and the requester may read from here.

    Use it when the user asks what you can see, or when you do not know a channel's exact name. Returns id, name,
    kind (public, private, im, mpim), topic and the time of the last message; with more than 200 channels, those
    where something was said last, and that there are more.
    """
    async with runtime.context.database.connection() as conn:
        rows = await channels.list_visible(conn, runtime.context.viewer, limit=MOST + 1)
    return ChannelList(
        channels=[
            ChannelHit(
                id=row.channel_id,
                name=channel_label(row.name, row.kind),
                kind=row.kind,
                topic=row.topic,
                last_message=row.last_message_at.strftime("%Y-%m-%dT%H:%M:%SZ") if row.last_message_at else None,
            )
            for row in rows[:MOST]
        ],
        more=len(rows) > MOST,
    )
