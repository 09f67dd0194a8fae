"""Shares a turn's files exactly once: the picture of a report, what goes with a request for approval.

Slack takes a file in three calls: an address for the bytes, the bytes, and the sharing of the file in a message. The
file's id is noted before the third one, so that after a crash or a lost response the thread is searched for that file
before it is shared again.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.errors import reason
from slack_app.lookup import LOOK_SECONDS
from slack_app.mrkdwn import quiet
from slack_app.outbox import PASSING, PATIENCE_SECONDS, PostUnsettled
from storage import reports
from storage.db import Database
from storage.leases import Lease, hold
from storage.reports import Picture

log = structlog.get_logger()


class Uploads:
    """Brings files into threads. A turn has one of each ``part``; the picture of its report has none."""

    def __init__(
        self, client: AsyncWebClient, database: Database, *, dev: bool = False, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._client = client
        self._database = database
        self._dev = dev
        self._patience = patience

    async def settled(self, turn_id: UUID) -> bool:
        """Whether a turn's picture is shared, or refused for good."""
        async with self._database.connection() as conn:
            known = await reports.get_picture(conn, turn_id)
        return known is not None and known.state != "uploading"

    async def share(
        self,
        turn_id: UUID,
        lease: Lease,
        *,
        channel_id: str,
        thread_ts: str,
        name: str,
        title: str,
        content: bytes,
        part: str = "",
    ) -> bool:
        """Share a file in a thread, once for a turn and part; False when Slack refuses it, or in dev mode.

        Raises:
            LeaseLost: another worker has the thread.
            PostUnsettled: Slack is away; call again later.
        """
        if self._dev:  # posts go to the channel for development, which has no such thread
            return False
        async with self._database.connection() as conn:
            known = await reports.get_picture(conn, turn_id, part)
        if known and known.state != "uploading":
            return known.state == "shared"
        try:
            if known is None or not await self._find(known, channel_id, thread_ts):
                await self._share(turn_id, lease, channel_id, thread_ts, name, title, content, part)
        except SlackApiError as error:
            problem = reason(error)
            if problem in PASSING - {"missing_scope"} or problem.startswith("HTTP "):
                raise PostUnsettled(f"file of turn {turn_id}: {problem}") from error
            log.error("Slack rejects a file", turn_id=str(turn_id), error=problem)
            await self._refused(turn_id, part, problem)
            return False
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PostUnsettled(f"file of turn {turn_id}: {error or type(error).__name__}") from error
        async with self._database.connection() as conn:
            await reports.settle_picture(conn, turn_id, part)
        return True

    async def _share(
        self,
        turn_id: UUID,
        lease: Lease,
        channel_id: str,
        thread_ts: str,
        name: str,
        title: str,
        content: bytes,
        part: str,
    ) -> None:
        ticket = await self._client.files_getUploadURLExternal(filename=quiet(name), length=len(content))
        file_id = str(ticket["file_id"])
        session = self._client.session
        if session is None:
            raise RuntimeError("the client needs a session of its own")
        async with session.post(str(ticket["upload_url"]), data=content) as response:
            response.raise_for_status()
        async with self._database.connection() as conn, conn.transaction():
            await hold(conn, lease)
            await reports.set_uploading(conn, turn_id, file_id, part)
        await self._client.files_completeUploadExternal(
            files=[{"id": file_id, "title": quiet(title)}], channel_id=channel_id, thread_ts=thread_ts
        )

    async def _refused(self, turn_id: UUID, part: str, problem: str) -> None:
        async with self._database.connection() as conn:
            if await reports.get_picture(conn, turn_id, part) is None:
                await reports.set_uploading(conn, turn_id, "", part)
            await reports.settle_picture(conn, turn_id, part, error=problem)

    async def _find(self, picture: Picture, channel_id: str, thread_ts: str) -> bool:
        """Whether the file stands in the thread, or comes there by a request that is still on its way."""
        began = asyncio.get_running_loop().time()
        while True:
            age = picture.age_seconds + asyncio.get_running_loop().time() - began
            if await self._look(picture.file_id, channel_id, thread_ts):
                return True
            if age >= self._patience:
                return False
            await asyncio.sleep(min(LOOK_SECONDS, self._patience - age))

    async def _look(self, file_id: str, channel_id: str, thread_ts: str) -> bool:
        cursor = ""
        while True:
            page = await self._client.conversations_replies(
                channel=channel_id, ts=thread_ts, limit=200, cursor=cursor or None
            )
            for message in page["messages"]:
                if any(shared.get("id") == file_id for shared in message.get("files") or ()):
                    return True
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return False
