"""Tool: the channel monitors of the channels that the requester may read (behaviour A26)."""

from __future__ import annotations

from typing import TypedDict

from langchain_core.tools import tool

from storage import channels
from tools.context import Runtime


class ChannelMonitor(TypedDict):
    """A monitor: what the model is asked about each message, and the program that gets its answer."""

    slug: str
    channel_id: str
    channel: str
    prompt: str
    result_schema: str
    executable: str


class ChannelMonitorList(TypedDict):
    """The monitors, in the order of their file."""

    monitors: list[ChannelMonitor]


@tool(
    parse_docstring=True, extras={"effect": "read", "doing": "Listing the channel monitors", "topic": "Ratchet itself"}
)
async def list_channel_monitors(runtime: Runtime) -> ChannelMonitorList:
    """List the channel monitors: what Ratchet asks a model about every message of a channel, and what follows.

    Use it when the user asks what is watched in a channel, or why Ratchet wrote to somebody after a message. Returns
    for each monitor of a channel that the requester may read from here: slug, channel, the prompt, the JSON Schema of
    the model's answer and the program that is given the answer. Operators change monitors in a file; you cannot.
    """
    context = runtime.context
    found = context.monitors.summaries() if context.monitors else []
    async with context.database.connection() as conn:
        names = await channels.names_of_visible(conn, context.viewer, [monitor.channel_id for monitor in found])
    return ChannelMonitorList(
        monitors=[
            ChannelMonitor(
                slug=monitor.slug,
                channel_id=monitor.channel_id,
                channel=names[monitor.channel_id],
                prompt=monitor.prompt,
                result_schema=monitor.result_schema,
                executable=monitor.executable,
            )
            for monitor in found
            if monitor.channel_id in names
        ]
    )
