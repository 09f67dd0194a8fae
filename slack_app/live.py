"""One message that grows while a turn runs: streamed by Slack, or edited in place where Slack does not stream it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.errors import UNREACHABLE, is_refusal, once_more, reason, retry_after
from slack_app.mrkdwn import compose
from slack_app.pace import Pacer
from slack_app.progress import Streamed, View, add, page
from slack_app.streams import OVER, Streams, post_metadata, progress_metadata, steps_metadata
from storage import posts, streams
from storage.db import Database
from storage.leases import Lease, LeaseLost
from storage.streams import Stream
from storage.turns import Turn

log = structlog.get_logger()
REFUSED_SECONDS = 3600.0  # how long a channel that refused a stream is not asked again
KEEP_POSTS = 2  # calls that progress leaves to answers
KEEP_EDITS = 10
WITHOUT_SESSIONS = {"unknown_method", "missing_scope", "not_allowed_token_type", "feature_not_enabled"}
# What Slack says of the app or of the channel; its other refusals are about one turn.
WITHOUT_STREAMS = WITHOUT_SESSIONS | {
    "channel_type_not_supported",
    "method_not_supported_for_channel_type",
    "no_permission",
}


class Stage:
    """What the live messages of a process share.

    Args:
        client: calls Slack; a 429 is not waited out.
        database: holds their rows.
        pacer: counts the calls.
        enabled: whether there are any; else only the status line shows that a turn runs.
        grace: seconds that a turn may take before it has one; a quick answer is just posted.
        stream_seconds: the time between two additions to a stream.
        edit_seconds: the time between two edits.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        database: Database,
        pacer: Pacer,
        *,
        enabled: bool = True,
        grace: float = 0.3,
        stream_seconds: float = 0.8,
        edit_seconds: float = 1.5,
    ) -> None:
        self.client = client
        self.database = database
        self.pacer = pacer
        self.enabled = enabled
        self.grace = grace
        self.stream_seconds = stream_seconds
        self.edit_seconds = edit_seconds
        self.streams = Streams(client, database, pacer)
        self._refused: dict[str, float] = {}
        self._sessions: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._has_sessions = True

    def streams_in(self, channel_id: str) -> bool:
        """Whether Slack may stream there, as far as is known."""
        return self._refused.get(channel_id, 0.0) <= time.monotonic()

    def refuse(self, channel_id: str) -> None:
        """Slack does not stream there."""
        self._refused[channel_id] = time.monotonic() + REFUSED_SECONDS

    def set_session(self, channel_id: str, thread_ts: str, status: str) -> None:
        """Tell Slack where the agent's session in a thread stands, in the background and in order."""
        if not self._has_sessions:
            return
        key = channel_id, thread_ts
        task = asyncio.create_task(self._tell_session(key, status, self._sessions.get(key)))
        self._sessions[key] = task
        task.add_done_callback(lambda done: self._sessions.get(key) is done and self._sessions.pop(key))

    async def _tell_session(self, key: tuple[str, str], status: str, before: asyncio.Task[None] | None) -> None:
        if before:
            await asyncio.wait({before})
        try:
            await once_more(
                lambda: self.client.agents_sessions_setStatus(channel_id=key[0], thread_ts=key[1], status=status)
            )
        except SlackApiError as error:
            if reason(error) in WITHOUT_SESSIONS:
                log.info("Slack keeps no sessions for this app", error=reason(error))
                self._has_sessions = False
        except Exception as error:  # a courtesy: the answer does not depend on it
            log.debug("session not shown", error=str(error))


class LiveMessage:
    """Brings what is to be seen of a turn to Slack, step by step. It never becomes the answer here: see the outbox."""

    def __init__(self, stage: Stage, turn: Turn, lease: Lease) -> None:
        self._stage = stage
        self._turn = turn
        self._lease = lease
        self._mode: Literal["none", "stream", "edit", "off"] = "none"
        self._stream: Stream | None = None
        self._ts = ""
        self._streamed = Streamed()
        self._page = ""
        self._method = ""  # that was called last

    @property
    def is_shown(self) -> bool:
        """Whether it stands in Slack, so that nothing else need show the progress."""
        return self._mode in ("stream", "edit")

    @property
    def is_off(self) -> bool:
        """Whether it shows nothing more."""
        return self._mode == "off"

    @property
    def seconds(self) -> float:
        """How long to wait before the next call."""
        return self._stage.edit_seconds if self._mode == "edit" else self._stage.stream_seconds

    async def bring(self, view: View) -> bool:
        """Show the newest state; False when that is to be tried again later.

        Raises:
            StorageError: the database is away. Slack's trouble raises nothing.
        """
        try:
            match self._mode:
                case "none":
                    return await self._begin(view)
                case "stream":
                    return await self._append(view)
                case "edit":
                    return await self._edit(page(view))
        except LeaseLost:
            self._mode = "off"
        except SlackApiError as error:
            self._troubled(error)
            return self.is_off
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("progress not shown", turn_id=str(self._turn.turn_id), error=str(error) or type(error).__name__)
            # Whether a part arrived is not known, so nothing can be added to it; and a message without ts is looked
            # for when the answer is there.
            self._mode = "edit" if self._ts else "off"
            return False
        return True

    async def pause(self, view: View) -> None:
        """The turn waits for people: the message is left at its steps, in a form that stays true however that ends.

        The answer will be another message. Where Slack does not take this, the turn goes on or ends in this one.
        """
        if self._stream is None or not self._ts:
            return
        try:
            if self._mode == "stream":
                await self._stage.streams.stop(self._turn.channel_id, self._ts, session="suspended")
            self._mode, self._page = "edit", ""
            await self._stage.pacer.wait("chat.update", self._turn.channel_id)
            await self._write(page(view, paused=True), steps_metadata(self._turn.turn_id))
        except (LeaseLost, *UNREACHABLE) as error:
            log.warning("progress not ended", turn_id=str(self._turn.turn_id), error=str(error))
            return  # the turn's next run takes the message up again
        await self._close()
        self._mode = "off"

    async def _begin(self, view: View) -> bool:
        turn, stage = self._turn, self._stage
        native = stage.streams_in(turn.channel_id)
        if not self._may_begin(native):
            self._mode = "off"
            return True
        async with stage.database.connection() as conn:
            self._stream = await streams.intend(
                conn, self._lease, turn.turn_id, turn.channel_id, turn.thread_ts or "", native=native
            )
        if self._stream is None:
            return await self._take_up(view)
        ts = await (self._start(view) if native else self._post(view))
        if ts is None:
            self._mode = "off"
            await self._close()
            return True
        async with stage.database.connection() as conn:
            mine = await streams.set_ts(conn, self._stream.stream_id, ts)
        if not mine:  # it took so long that another worker gave it up
            self._mode = "off"
            await stage.streams.discard(turn.channel_id, ts)
            return True
        self._ts = ts
        return True

    async def _take_up(self, view: View) -> bool:
        """Go on with the message of an attempt that ended early; without its ts it is looked for with the answer."""
        async with self._stage.database.connection() as conn:
            self._stream = await streams.get_open(conn, self._turn.turn_id)
        self._mode = "off"
        if self._stream and self._stream.ts:
            self._ts, self._mode = self._stream.ts, "edit"
            return await self._edit(page(view))
        return True

    def _may_begin(self, native: bool) -> bool:
        pacer, channel_id = self._stage.pacer, self._turn.channel_id
        self._method = "chat.startStream" if native else "chat.postMessage"
        if native:
            return pacer.try_take(self._method, channel_id)
        # What is posted is edited at least once, and all channels share the rate of edits.
        return pacer.try_take(self._method, channel_id, keep=KEEP_POSTS) and pacer.try_take(
            "chat.update", channel_id, keep=KEEP_EDITS
        )

    async def _start(self, view: View) -> str | None:
        """The timestamp of a new stream, or of a post where Slack streams none; None when there is neither."""
        turn, stage = self._turn, self._stage
        chunks, streamed = add(Streamed(), view) or ([], Streamed())
        try:
            response = await stage.client.chat_startStream(
                channel=turn.channel_id,
                thread_ts=turn.thread_ts or "",
                recipient_team_id=turn.team_id,
                recipient_user_id=turn.requester_id,
                chunks=chunks,
            )
        except SlackApiError as error:
            if not self._is_final(error):
                return await self._after_trouble(error)
            if reason(error) not in WITHOUT_STREAMS:
                log.warning("progress not shown", turn_id=str(turn.turn_id), error=reason(error))
                return None
            log.info("Slack streams nothing here", channel_id=turn.channel_id, error=reason(error))
            stage.refuse(turn.channel_id)
            return await self._post(view) if self._may_begin(native=False) else None
        self._mode, self._streamed = "stream", streamed
        return str(response["ts"])

    async def _post(self, view: View) -> str | None:
        stage, text = self._stage, page(view)
        if self._stream and self._stream.is_native:
            async with stage.database.connection() as conn:
                await streams.set_edited(conn, self._stream.stream_id)
        try:
            response = await stage.client.chat_postMessage(
                channel=self._turn.channel_id,
                thread_ts=self._turn.thread_ts,
                **compose(text),
                metadata=progress_metadata(self._turn.turn_id),
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackApiError as error:
            return None if self._is_final(error) else await self._after_trouble(error)
        self._mode, self._page = "edit", text
        return str(response["ts"])

    async def _after_trouble(self, error: SlackApiError) -> str | None:
        """What became of a message that Slack answered with trouble of its own: it may stand there all the same."""
        self._troubled(error)
        if reason(error) == "ratelimited" or self._stream is None:
            return None
        async with self._stage.database.connection() as conn:
            stream = await streams.get_open(conn, self._turn.turn_id)
        ts = await self._stage.streams.locate(stream, 0.0) if stream else None
        self._mode = "edit"
        return ts

    async def _append(self, view: View) -> bool:
        added = add(self._streamed, view)
        if added is None:
            return await self._turn_to_edits(view)
        chunks, streamed = added
        if not chunks:
            return True
        self._method = "chat.appendStream"
        if not self._stage.pacer.try_take(self._method, self._turn.channel_id):
            return False
        try:
            await self._stage.client.chat_appendStream(channel=self._turn.channel_id, ts=self._ts, chunks=chunks)
        except SlackApiError as error:
            if reason(error) == "ratelimited":
                raise
            if reason(error) not in OVER:
                log.warning("a stream is edited from here on", ts=self._ts, error=reason(error))
            return await self._turn_to_edits(view)
        self._streamed = streamed
        return True

    async def _turn_to_edits(self, view: View) -> bool:
        """What was streamed is over, or wrong: the message is edited from here on."""
        self._mode = "edit"
        return await self._edit(page(view))

    async def _edit(self, text: str) -> bool:
        if text == self._page:
            return True
        self._method = "chat.update"
        if not self._stage.pacer.try_take(self._method, self._turn.channel_id, keep=KEEP_EDITS):
            return False
        await self._write(text)
        return True

    async def _write(self, text: str, metadata: dict[str, Any] | None = None) -> None:
        """Edit the message, unless the answer stands in it already: this worker may have stood still meanwhile."""
        if self._stream is None:
            return
        if not await self._is_mine(self._stream):
            raise LeaseLost(f"the message {self._ts} is another worker's")
        turn, stage = self._turn, self._stage
        metadata = metadata or progress_metadata(turn.turn_id)
        await stage.streams.write(turn.channel_id, self._ts, compose(text), metadata)
        self._page = text
        if not await self._is_mine(self._stream):
            self._mode = "off"
            await self._restore()

    async def _restore(self) -> None:
        """The answer was written while we wrote progress: it is to stand there."""
        async with self._stage.database.connection() as conn:
            answers = [post for post in await posts.list_for_turn(conn, self._turn.turn_id) if post.ts == self._ts]
        for post in answers:
            shown = compose(post.text, post.blocks or ())
            await self._stage.streams.write(post.channel_id, self._ts, shown, post_metadata(post.post_id))

    async def _is_mine(self, stream: Stream) -> bool:
        async with self._stage.database.connection() as conn:
            return await streams.may_write(conn, self._lease, stream.stream_id)

    async def _close(self) -> None:
        if self._stream:
            async with self._stage.database.connection() as conn:
                await streams.close(conn, self._stream.stream_id)

    def _troubled(self, error: SlackApiError) -> None:
        """After an error of Slack's: hold off as long as it wants, or give the progress up where it says no."""
        if reason(error) == "ratelimited":
            self._stage.pacer.hold_off(self._method, self._turn.channel_id, retry_after(error))
        elif self._is_final(error):
            log.warning("progress not shown", turn_id=str(self._turn.turn_id), error=reason(error))
            self._mode = "off"

    @staticmethod
    def _is_final(error: SlackApiError) -> bool:
        return is_refusal(error) and reason(error) not in {"ratelimited", "request_timeout", "fatal_error"}
