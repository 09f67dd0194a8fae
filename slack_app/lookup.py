"""Finds messages of ours in Slack: what became of a call is to be seen where it should have left one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

LOOK_SECONDS = 1.0  # between two looks for a message that is still on its way
CLOCK_SKEW_SECONDS = 900  # our clock and Slack's may differ


async def find_message(
    client: AsyncWebClient,
    channel_id: str,
    thread_ts: str | None,
    *,
    since: datetime,
    wanted: Callable[[dict[str, Any]], bool],
) -> str | None:
    """The timestamp of the first message of a thread, or of a channel's top level, that is wanted.

    Args:
        client: calls Slack.
        channel_id: where it is looked for.
        thread_ts: in which thread; None for the top level.
        since: when it was sent, or before, by our clock.
        wanted: given each message with its metadata.

    Raises:
        SlackApiError, aiohttp.ClientError, TimeoutError, OSError: as the client.
    """
    oldest = since.timestamp() - CLOCK_SKEW_SECONDS
    span: dict[str, Any] = {"oldest": f"{oldest:.6f}", "include_all_metadata": True, "limit": 200}
    cursor: str | None = None
    while True:
        if thread_ts:
            page = await client.conversations_replies(channel=channel_id, ts=thread_ts, cursor=cursor, **span)
        else:
            page = await client.conversations_history(channel=channel_id, cursor=cursor, **span)
        for message in page["messages"]:  # a thread's first message is among them however old it is
            if float(message["ts"]) >= oldest and wanted(message):
                return str(message["ts"])
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
        if not cursor:
            return None
