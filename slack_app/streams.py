"""The message in which an answer grew: found again, and made the answer.

Whatever happened to the process that began it, at the end it is the answer, or it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from uuid import UUID

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.errors import UNREACHABLE, once_more, reason
from slack_app.lookup import LOOK_SECONDS, find_message
from slack_app.mrkdwn import compose
from slack_app.pace import Pacer
from storage import streams
from storage.db import Database
from storage.posts import Post
from storage.streams import Stream

log = structlog.get_logger()
EVENT_TYPE = "ratchet_post"
PROGRESS = "ratchet_progress"
STEPS = "ratchet_steps"
OVER = {"message_not_in_streaming_state", "stopped_by_user"}  # it streams no more
STREAMING = "streaming_state_conflict"  # it cannot be edited, because it streams


def post_metadata(post_id: str) -> dict[str, Any]:
    """What travels in a message that is a post."""
    return {"event_type": EVENT_TYPE, "event_payload": {"post_id": post_id}}


def progress_metadata(turn_id: UUID) -> dict[str, Any]:
    """What travels in a message that is to become a turn's answer."""
    return {"event_type": PROGRESS, "event_payload": {"turn_id": str(turn_id)}}


def steps_metadata(turn_id: UUID) -> dict[str, Any]:
    """What travels in a message that was left at a turn's steps: the answer stands below it."""
    return {"event_type": STEPS, "event_payload": {"turn_id": str(turn_id)}}


class Streams:
    """Calls Slack about messages that grow, by their rows (storage/streams.py)."""

    def __init__(self, client: AsyncWebClient, database: Database, pacer: Pacer) -> None:
        self._client = client
        self._database = database
        self._pacer = pacer

    async def locate(self, stream: Stream, patience: float) -> str | None:
        """The message's timestamp; None when Slack has none, ``patience`` seconds after it was asked for it."""
        while stream.ts is None:
            async with self._database.connection() as conn:
                age = await streams.seconds_since_asked(conn, stream.stream_id)
                known = await streams.known_messages(conn, stream.channel_id, stream.thread_ts)
            if ts := await self._look(stream, known):
                return ts
            if age >= patience:
                return None
            await asyncio.sleep(min(LOOK_SECONDS, patience - age))
        return stream.ts

    async def stop(self, channel_id: str, ts: str, *, session: str = "active") -> None:
        """End a stream; one that is over already stays as it is. ``session``: where the agent's session then stands.

        Raises:
            SlackApiError, aiohttp.ClientError, TimeoutError, OSError: as the client.
        """
        await self._pacer.wait("chat.stopStream", channel_id)
        try:
            await self._client.chat_stopStream(channel=channel_id, ts=ts, session_status=session)
        except SlackApiError as error:
            if reason(error) not in OVER:
                raise

    async def write(self, channel_id: str, ts: str, shown: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Let a message say something else, also one that still streams.

        Raises:
            SlackApiError, aiohttp.ClientError, TimeoutError, OSError: as the client.
        """
        changed = {**shown, "blocks": shown.get("blocks") or []}
        try:
            await self._client.chat_update(channel=channel_id, ts=ts, **changed, metadata=metadata)
        except SlackApiError as error:
            if reason(error) != STREAMING:
                raise
            await self.stop(channel_id, ts, session="processing")
            await self._client.chat_update(channel=channel_id, ts=ts, **changed, metadata=metadata)

    async def finish(self, stream: Stream, ts: str, post: Post, *, plain: bool) -> str:
        """Let a message be what a post says; doing it twice does no harm. Returns its timestamp.

        Raises:
            SlackApiError, aiohttp.ClientError, TimeoutError, OSError: as the client.
        """
        if stream.is_native:
            await self.stop(stream.channel_id, ts)
        await self._pacer.wait("chat.update", stream.channel_id)
        shown = compose(post.text, post.blocks or (), plain=plain)
        await self.write(stream.channel_id, ts, shown, post_metadata(post.post_id))
        return ts

    async def discard(self, channel_id: str, ts: str) -> None:
        """Take a message away, if Slack lets us: the answer stands elsewhere."""
        with contextlib.suppress(*UNREACHABLE):  # it may go all the same
            await once_more(lambda: self.stop(channel_id, ts))
        try:
            await once_more(lambda: self._client.chat_delete(channel=channel_id, ts=ts))
        except UNREACHABLE as error:
            log.warning("a message of a turn's progress stays", channel_id=channel_id, ts=ts, error=repr(error))

    async def _look(self, stream: Stream, known: set[str]) -> str | None:
        """Our message in the thread that is nothing else."""
        who = await self._client.auth_test()
        metadata = None if stream.is_native else progress_metadata(stream.turn_id)

        def wanted(message: dict[str, Any]) -> bool:
            ours = message.get("bot_id") == who["bot_id"] or message.get("user") == who["user_id"]
            if not ours or message["ts"] in known or message.get("files"):
                return False
            return (message.get("metadata") or None) == metadata

        return await find_message(
            self._client, stream.channel_id, stream.thread_ts, since=stream.created_at, wanted=wanted
        )
