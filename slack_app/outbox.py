"""Posts each message exactly once.

A post is a row before it is sent (storage/posts.py). Its id travels in the Slack message's metadata, so that
after a crash or a lost response the message is looked up in Slack before it is sent again. Where a message grew
while the turn ran (slack_app/live.py), the answer's first part is written into that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.approval_messages import MODULE as APPROVAL
from slack_app.errors import UNREACHABLE, is_refusal, reason
from slack_app.lookup import LOOK_SECONDS, find_message
from slack_app.mrkdwn import compose, fallback
from slack_app.pace import Pacer
from slack_app.streams import EVENT_TYPE, Streams, post_metadata
from storage import posts, streams
from storage.db import Database
from storage.leases import Lease, hold
from storage.posts import Post
from storage.streams import Stream

log = structlog.get_logger()
TRIES = 3
PATIENCE_SECONDS = 10.0  # how long Slack may go on working on a request whose sender is gone
# Refusals that may pass: Slack's own trouble, and a token that an operator can mend. Any other one is about this
# very post, and trying it again would only hold up the thread.
PASSING = {
    "account_inactive", "fatal_error", "internal_error", "invalid_auth", "missing_scope", "not_authed", "ratelimited",
    "request_timeout", "service_unavailable", "team_added_to_org", "token_expired", "token_revoked",
}  # fmt: skip
LAYOUT = {"invalid_blocks", "msg_blocks_too_long", "invalid_blocks_format"}


class PostUnsettled(Exception):
    """Slack did not take a post, or did not say so; the post stays to be settled later."""


class Outbox:
    """Sends what is intended and not yet posted."""

    def __init__(
        self,
        client: AsyncWebClient,
        database: Database,
        *,
        dev_channel: str | None = None,
        pacer: Pacer | None = None,
        wait: Callable[[int], float] = lambda attempt: min(2.0**attempt, 5.0),
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._client = client
        self._database = database
        self._dev_channel = dev_channel
        self._pacer = pacer or Pacer()
        self._streams = Streams(client, database, self._pacer)
        self._wait = wait
        self._patience = patience

    async def deliver(self, turn_id: UUID, lease: Lease) -> list[Post]:
        """Bring every post of a turn to Slack, in order, and return them all.

        Raises:
            LeaseLost: another worker has the thread, and delivers.
            PostUnsettled: Slack is away; call again later.
        """
        async with self._database.connection() as conn:
            waiting = await posts.list_for_turn(conn, turn_id)
        for post in waiting:
            if post.state in {"pending", "sending"}:
                await self._settle(post, lease)
        async with self._database.connection() as conn:
            return await posts.list_for_turn(conn, turn_id)

    async def revise(self, post_id: str) -> None:
        """Bring a message that stands in Slack to what its post says now; doing it twice does no harm.

        Raises:
            PostUnsettled: it does not stand there yet, or Slack is away; call again later.
        """
        async with self._database.connection() as conn:
            post = await posts.get(conn, post_id)
        if post is None or post.state == "rejected":
            return
        if post.ts is None:
            raise PostUnsettled(f"post {post_id}: not posted yet")
        await self._pacer.wait("chat.update", post.channel_id)
        try:
            await self._client.chat_update(channel=post.channel_id, ts=post.ts, **compose(post.text, post.blocks or ()))
        except SlackApiError as error:
            problem = reason(error)
            if problem in PASSING or problem.startswith("HTTP "):
                raise PostUnsettled(f"post {post_id}: {problem}") from error
            log.error("Slack rejects the new form of a post", post_id=post_id, error=problem)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PostUnsettled(f"post {post_id}: {error or type(error).__name__}") from error

    async def whisper(
        self,
        channel_id: str,
        user_id: str,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        """Show something to one person, if Slack lets us; ``blocks`` say the same, and more."""
        try:
            await self._client.chat_postEphemeral(
                channel=channel_id, user=user_id, text=fallback(text), thread_ts=thread_ts, blocks=blocks
            )
        except UNREACHABLE as error:
            log.warning("a notice was not shown", channel_id=channel_id, user_id=user_id, error=str(error))

    async def _settle(self, post: Post, lease: Lease) -> None:
        doubtful = post.state == "sending"
        unanswered = doubtful
        plain = False
        problem = ""
        grown = await self._grown(post)
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._wait(attempt))
            sending = False
            try:
                if grown:
                    grown = await self._located(grown)
                if not grown and doubtful and (ts := await self._find(post, patient=unanswered)):
                    await self._posted(post, ts)
                    return
                if not grown:
                    await self._pacer.wait("chat.postMessage", self._dev_channel or post.channel_id)
                async with self._database.connection() as conn, conn.transaction():
                    await hold(conn, lease)
                    await posts.set_sending(conn, post.post_id)
                if grown:
                    await self._posted(post, await self._finish(post, grown, plain=plain), grown)
                    return
                doubtful = unanswered = sending = True
                await self._posted(post, await self._send(post, plain=plain))
                return
            except SlackApiError as error:
                problem = reason(error)
                unanswered = unanswered and not sending
                if grown and is_refusal(error) and problem not in PASSING | LAYOUT:
                    log.warning("a message cannot become the answer", post_id=post.post_id, error=problem)
                    await self._discard(grown)
                    grown, doubtful = None, False
                    continue
                # Without its buttons nobody could decide a request.
                if problem in LAYOUT and not plain and not (post.module == APPROVAL and post.blocks):
                    plain, doubtful = True, False
                elif problem not in PASSING and not problem.startswith("HTTP "):
                    log.error("Slack rejects a post", post_id=post.post_id, error=problem)
                    if grown:
                        await self._discard(grown)
                    async with self._database.connection() as conn:
                        await posts.set_rejected(conn, post.post_id, problem)
                    return
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = str(error) or type(error).__name__
            log.warning("post not settled", post_id=post.post_id, attempt=attempt + 1, error=problem)
        raise PostUnsettled(f"post {post.post_id}: {problem}")

    async def _posted(self, post: Post, ts: str, grown: Stream | None = None) -> None:
        async with self._database.connection() as conn:
            if grown is None:
                await posts.set_posted(conn, post.post_id, ts, channel_id=self._dev_channel)
                return
            async with conn.transaction():
                await posts.set_posted(conn, post.post_id, ts)
                await streams.close(conn, grown.stream_id)

    async def _grown(self, post: Post) -> Stream | None:
        """The message that grew while the turn ran, if this post is its answer's beginning."""
        if post.part != 1 or post.module == APPROVAL or self._dev_channel:
            return None
        async with self._database.connection() as conn:
            return await streams.get_open(conn, post.turn_id)

    async def _located(self, stream: Stream) -> Stream | None:
        """The same with its timestamp, or None where Slack has no such message."""
        if stream.ts:
            return stream
        if ts := await self._streams.locate(stream, self._patience):
            return replace(stream, ts=ts)
        await self._close(stream)
        return None

    async def _discard(self, stream: Stream) -> None:
        await self._streams.discard(stream.channel_id, str(stream.ts))
        await self._close(stream)

    async def _close(self, stream: Stream) -> None:
        async with self._database.connection() as conn:
            await streams.close(conn, stream.stream_id)

    async def _finish(self, post: Post, grown: Stream, *, plain: bool) -> str:
        return await self._streams.finish(grown, str(grown.ts), post, plain=plain)

    async def _send(self, post: Post, *, plain: bool) -> str:
        response = await self._client.chat_postMessage(
            channel=self._dev_channel or post.channel_id,
            thread_ts=None if self._dev_channel else post.thread_ts,
            **compose(post.text, post.blocks or (), plain=plain),
            metadata=post_metadata(post.post_id),
            unfurl_links=False,
            unfurl_media=False,
        )
        return str(response["ts"])

    async def _find(self, post: Post, *, patient: bool) -> str | None:
        """The timestamp of a post that Slack already has, or gets from a request that is still on its way."""
        while True:
            async with self._database.connection() as conn:
                age = await posts.seconds_since_sent(conn, post.post_id)
            if ts := await self._look(post):
                return ts
            if not patient or age is None or age >= self._patience:
                return None
            await asyncio.sleep(min(LOOK_SECONDS, self._patience - age))

    async def _look(self, post: Post) -> str | None:
        def wanted(message: dict[str, Any]) -> bool:
            metadata = message.get("metadata") or {}
            payload = metadata.get("event_payload") or {}
            return metadata.get("event_type") == EVENT_TYPE and payload.get("post_id") == post.post_id

        channel_id, thread_ts = (self._dev_channel, None) if self._dev_channel else (post.channel_id, post.thread_ts)
        return await find_message(self._client, channel_id, thread_ts, since=post.created_at, wanted=wanted)
