"""Reads a channel's past into memory: its newest messages and their threads (behaviours A4, A5)."""

from __future__ import annotations

from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.directory import Directory
from slack_app.events import SPOKEN, parse_message
from slack_app.identity import Identity
from storage import channels, messages
from storage.db import Database

log = structlog.get_logger()
PAGE = 200


class Backfill:
    """Onboards channels. Stored messages are skipped, so it can be run again at any time."""

    def __init__(self, client: AsyncWebClient, database: Database, identity: Identity, directory: Directory) -> None:
        self._client = client
        self._database = database
        self._identity = identity
        self._directory = directory

    async def onboard(self, channel_id: str, *, limit: int) -> int:
        """Store up to ``limit`` newest top-level messages with their threads; returns how many were new."""
        await self._directory.load_channel(channel_id)
        stored = read = 0
        cursor: str | None = None
        while read < limit:
            page = await self._client.conversations_history(
                channel=channel_id, limit=min(PAGE, limit - read), cursor=cursor
            )
            stored += await self._store(channel_id, page["messages"])
            read += len(page["messages"])
            for message in page["messages"]:
                if message.get("reply_count"):
                    stored += await self._thread(channel_id, str(message["ts"]))
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if not cursor:
                break
        async with self._database.connection() as conn:
            await channels.set_onboarding(conn, self._identity.team_id, channel_id, "finished")
        log.info("channel onboarded", channel_id=channel_id, read=read, stored=stored)
        return stored

    async def _thread(self, channel_id: str, thread_ts: str) -> int:
        stored = 0
        async for page in await self._client.conversations_replies(channel=channel_id, ts=thread_ts, limit=PAGE):
            stored += await self._store(channel_id, page["messages"])
        return stored

    async def _store(self, channel_id: str, found: list[dict[str, Any]]) -> int:
        stored = 0
        spoken = [
            parse_message(self._identity.team_id, raw, channel_id, None)
            for raw in found
            if raw.get("subtype") in SPOKEN
        ]
        people = sorted({user_id for message in spoken for user_id in self._identity.people_in(message)})
        async with self._database.connection() as conn, conn.transaction():
            names = await channels.user_names(conn, self._identity.team_id, people)
            for message in spoken:
                stored += await messages.apply_edit(conn, self._identity.describe(message, names))
        return stored

    async def thread(self, channel_id: str, thread_ts: str) -> int:
        """Store one thread, such as the one that Ratchet is asked in; returns how many messages were new."""
        return await self._thread(channel_id, thread_ts)
