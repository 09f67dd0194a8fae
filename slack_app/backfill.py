"""Reads the past of channels into memory, page by page (behaviours A4 to A6).

What is to be read stands in rows (storage/backfills.py). A step takes one row, asks Slack for one page, and commits the
page's messages together with how far the row has come. So a process may die at any moment: whoever steps next goes on
with the page that was in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.directory import Directory
from slack_app.errors import UNREACHABLE, is_refusal, reason
from slack_app.events import IncomingMessage
from slack_app.identity import Identity
from slack_app.jobs import Enqueue, file_jobs
from slack_app.payloads import SPOKEN, parse_message
from slack_app.questions import accept
from slack_app.remember import remember
from storage import backfills, channels, db, messages, reactions
from storage.channels import NewChannel
from storage.db import Connection, Database

log = structlog.get_logger()
PAGE = 200  # what Slack recommends as the most
STEPS_AT_ONCE = 3  # less than the smallest pool
FAILURES = 10
LONGEST_WAIT = 300.0
BUSY_SECONDS = 2.0
ANSWER_SECONDS = 3600.0
THREAD_TRIES = 5
# Threads that began before the pages of a gap: Slack does not tell that somebody wrote there.
LIVELY_DAYS = 7
LIVELY_THREADS = 50
# Refusals that pass; every other one is for good.
PASSING = {"fatal_error", "request_timeout", "ratelimited", "invalid_cursor", "team_added_to_org"}
OF_A_THREAD = {"thread_not_found", "message_not_found"}
EXPLAINED = {
    "not_in_channel": "Ratchet is not in this channel: type `/invite @Ratchet` there",
    "channel_not_found": "Slack knows no such channel, or it is private and Ratchet is not in it: "
    "type `/invite @Ratchet` there",
    "missing_scope": "the Slack app lacks a scope: compare it with configs/app-manifest.yaml and install it again",
    "is_archived": "the channel is archived",
}


class RateLimited(Exception):
    """Slack asks to wait ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Slack asks to wait {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Step:
    """What is left of a channel after a page: anything, threads only; and how long to wait before the next one."""

    is_left: bool
    only_threads: bool = False
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class Page:
    """What Slack answered: its messages, and where the next page begins, if there is one."""

    found: list[dict[str, Any]]
    reached: str | None
    cursor: str | None
    is_end: bool


def explain(error: Exception) -> str:
    """Why something could not be read, for operators."""
    if isinstance(error, SlackApiError):
        return EXPLAINED.get(reason(error), f"Slack answers {reason(error)}")
    return f"Slack cannot be reached: {error or type(error).__name__}"


class Backfill:
    """Reads pages for jobs and for the command line.

    Args:
        client: must not wait out rate limits by itself: here the place is given to others meanwhile.
        database: the pool.
        identity: who we are.
        directory: on the same client.
        enqueue: for the jobs that follow from what was read.
        answer_seconds: how old a question may be that was missed in an outage and is answered nevertheless.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        database: Database,
        identity: Identity,
        directory: Directory,
        enqueue: Enqueue,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._client = client
        self._database = database
        self._identity = identity
        self._directory = directory
        self._enqueue = enqueue
        self._answer_seconds = answer_seconds
        self._closed_until: dict[str, float] = {}
        # A step holds a connection while it asks Slack, and needs another one for what it learns of people.
        self._places = asyncio.Semaphore(STEPS_AT_ONCE)

    async def begin(self, channel_id: str, *, limit: int, joined_ts: str | None = None) -> None:
        """Have a channel's newest ``limit`` messages read with their threads, unless they were read before.

        Args:
            channel_id: the channel.
            limit: how many top-level messages at most.
            joined_ts: when Ratchet joined, where it just did: if that was not for the first time, it missed something.
        """
        team_id = self._identity.team_id
        async with self._database.connection() as conn, conn.transaction():
            # What kind of channel it is, the first page asks Slack. Until then it counts as private.
            await channels.insert_unknown(conn, [NewChannel(team_id, channel_id, "private")])
            before = await backfills.progress(conn, team_id, channel_id)
            await backfills.open_onboarding(conn, team_id, channel_id, wanted=limit)
            if before and joined_ts and before.updated_at.timestamp() < float(joined_ts):
                await backfills.open_gaps(conn, team_id, channel_id=channel_id)

    async def work(self, channel_id: str, *, pages: int) -> Step:
        """Read up to ``pages`` pages of what is left of a channel; ends early where Slack asks to wait."""
        step = Step(is_left=True)
        for _ in range(pages):
            step = await self.step(channel_id)
            if not step.is_left or step.wait_seconds:
                break
        return step

    async def step(self, channel_id: str) -> Step:
        """Read one page of the most urgent piece of work that nobody else has."""
        async with self._places:
            return await self._step(channel_id)

    async def _step(self, channel_id: str) -> Step:
        team_id = self._identity.team_id
        wait = 0.0
        async with self._database.connection() as conn, conn.transaction():
            work = await backfills.take(conn, team_id, channel_id)
            if work:
                try:
                    page = await self._read(work)
                except RateLimited as limit:
                    wait = limit.seconds
                    await backfills.trouble(conn, work, str(limit), status="pending", counts=False)
                except UNREACHABLE as error:
                    wait = await self._failed(conn, work, error)
                else:
                    await self._keep(conn, work, page)
        async with self._database.connection() as conn:
            left, only_threads = await backfills.settle(conn, team_id, channel_id)
        if left and not work:
            wait = BUSY_SECONDS  # others are at it; should they die, somebody must go on
        return Step(left > 0, only_threads, wait)

    async def thread(self, channel_id: str, thread_ts: str) -> int:
        """Store one thread at once, such as the one that Ratchet is asked in; returns how many messages were new.

        Raises:
            SlackApiError, aiohttp.ClientError, TimeoutError, OSError, RateLimited: Slack does not tell.
        """
        stored = 0
        cursor: str | None = None
        while True:
            page = await self._patiently(channel_id, thread_ts, cursor)
            spoken = self._parsed(channel_id, page["messages"])
            async with self._database.connection() as conn, conn.transaction():
                stored += len((await remember(conn, self._identity, spoken)).new)
            cursor = _next_cursor(page)
            if not cursor:
                return stored

    async def _patiently(self, channel_id: str, thread_ts: str, cursor: str | None) -> Any:
        for _ in range(THREAD_TRIES - 1):
            try:
                return await self._call(
                    "conversations_replies", channel=channel_id, ts=thread_ts, cursor=cursor, limit=PAGE
                )
            except RateLimited as limit:
                await asyncio.sleep(limit.seconds)
        return await self._call("conversations_replies", channel=channel_id, ts=thread_ts, cursor=cursor, limit=PAGE)

    async def _call(self, method: str, **arguments: Any) -> Any:
        """Ask Slack, unless it said to wait with this method."""
        self._require_open(method)
        try:
            return await getattr(self._client, method)(**arguments)
        except SlackApiError as error:
            limit = _rate_limit(error)
            if limit is None:
                raise
            self._closed_until[method] = time.monotonic() + limit.seconds
            raise limit from error

    def _require_open(self, method: str) -> None:
        seconds = self._closed_until.get(method, 0.0) - time.monotonic()
        if seconds > 0:
            raise RateLimited(seconds)

    async def _read(self, work: backfills.Backfill) -> Page:
        channel_id = work.channel_id
        if work.kind == "thread":
            answer = await self._call(
                "conversations_replies",
                channel=channel_id,
                ts=work.thread_ts,
                oldest=work.reached,
                cursor=work.cursor,
                limit=PAGE,
            )
            cursor = _next_cursor(answer)
            return Page(answer["messages"], work.reached, cursor, is_end=cursor is None)
        self._require_open("conversations_history")
        if work.kind == "onboard" and not work.read:
            try:
                await self._directory.load_channel(channel_id)
            except SlackApiError as error:
                raise _rate_limit(error) or error from error
        left = PAGE if work.wanted is None else work.wanted - work.read
        if left <= 0:
            return Page([], work.reached, None, is_end=True)
        # By time and not by Slack's cursor, which does not outlive a long pause.
        answer = await self._call(
            "conversations_history", channel=channel_id, latest=work.reached, limit=min(PAGE, left)
        )
        found: list[dict[str, Any]] = answer["messages"]
        reached = min([str(raw["ts"]) for raw in found], key=float, default=work.reached)
        is_end = not found or not answer.get("has_more") or (len(found) >= left and work.wanted is not None)
        if work.kind == "gap" and work.since and reached:
            is_end = is_end or float(reached) <= float(work.since)
        return Page(found, reached, None, is_end)

    async def _keep(self, conn: Connection, work: backfills.Backfill, page: Page) -> None:
        """Store a page with all that follows from it."""
        team_id, channel_id = self._identity.team_id, work.channel_id
        spoken = self._parsed(channel_id, page.found)
        people = {user_id for message in spoken for user_id in self._identity.people_in(message)}
        known = await channels.user_names(conn, team_id, sorted(people))
        await self._directory.learn(people - known.keys())
        new = (await remember(conn, self._identity, spoken)).new
        reacted = {m.ts: m.reactions for m in spoken if m.reactions and m.key not in new}
        if reacted:
            await reactions.add_missing(conn, team_id, channel_id, reacted)
        jobs = file_jobs(message for message in spoken if message.key in new or message.edited_ts)
        if work.since:
            jobs += await self._missed_questions(conn, work, [message for message in spoken if message.key in new])
        if work.kind != "thread":
            threads = await self._unread_threads(conn, work, page.found)
            if work.kind == "gap" and work.since and page.is_end:
                threads |= await backfills.lively_threads(
                    conn, work, before=page.reached, days=LIVELY_DAYS, limit=LIVELY_THREADS
                )
            await backfills.open_threads(conn, team_id, channel_id, threads, since=work.since)
        await backfills.advance(
            conn,
            work,
            reached=page.reached,
            cursor=page.cursor,
            read=len(page.found),
            stored=len(new),
            is_end=page.is_end,
        )
        if jobs:
            await self._enqueue(conn, jobs)

    async def _missed_questions(
        self, conn: Connection, work: backfills.Backfill, missed: Sequence[IncomingMessage]
    ) -> list[Any]:
        """Accept what was asked in an outage and is young enough to be worth an answer."""
        channel = await channels.get(conn, work.team_id, work.channel_id)
        oldest = await db.fetch_value(conn, "select extract(epoch from now())::float - %s", (self._answer_seconds,))
        after = max(oldest, float(work.since or 0))
        kind = channel.kind if channel else None
        return await accept(
            conn, self._identity, [replace(m, channel_kind=kind) for m in missed if float(m.ts) > after]
        )

    async def _unread_threads(
        self, conn: Connection, work: backfills.Backfill, found: list[dict[str, Any]]
    ) -> dict[str, str | None]:
        """The threads of a page that hold replies which are not stored, and after which ts each is to be read."""
        parents = {str(raw["ts"]): raw for raw in found if raw.get("reply_count")}
        stored = await messages.stored_replies(conn, work.team_id, work.channel_id, parents)
        unread: dict[str, str | None] = {}
        for ts, raw in parents.items():
            count, newest = stored.get(ts, (0, "0"))
            latest = float(raw.get("latest_reply") or 0)
            is_whole = count >= int(raw["reply_count"]) and latest <= float(newest)
            # In an outage nothing was missed of a thread that nobody wrote in since.
            if not is_whole and not (work.since and latest <= float(work.since)):
                unread[ts] = work.since if count else None
        return unread

    async def _failed(self, conn: Connection, work: backfills.Backfill, error: Exception) -> float:
        """Take down why a page could not be read; returns how long to wait before the next try."""
        code = reason(error) if isinstance(error, SlackApiError) else ""
        for_good = isinstance(error, SlackApiError) and is_refusal(error) and code not in PASSING
        log.warning("page not read", channel_id=work.channel_id, kind=work.kind, error=explain(error))
        if code in OF_A_THREAD or (work.kind == "thread" and not for_good and work.failures + 1 >= FAILURES):
            await backfills.trouble(conn, work, explain(error), status="failed")
            return 0.0
        if for_good or work.failures + 1 >= FAILURES:
            await backfills.fail_channel(conn, work.team_id, work.channel_id, explain(error))
            return 0.0
        await backfills.trouble(conn, work, explain(error), status="pending", keeps_cursor=code != "invalid_cursor")
        return min(2.0**work.failures, LONGEST_WAIT)

    def _parsed(self, channel_id: str, found: list[dict[str, Any]]) -> list[IncomingMessage]:
        spoken = []
        for raw in found:
            if raw.get("subtype") in SPOKEN:
                try:
                    spoken.append(parse_message(self._identity.team_id, raw, channel_id, None))
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    log.warning("message of the history ignored", channel_id=channel_id, error=str(error))
        return spoken


def _next_cursor(page: Any) -> str | None:
    cursor = (page.get("response_metadata") or {}).get("next_cursor")
    return str(cursor) if cursor else None


def _rate_limit(error: SlackApiError) -> RateLimited | None:
    """What Slack asks to wait, if that is why it refused."""
    if getattr(error.response, "status_code", None) != 429 and reason(error) != "ratelimited":
        return None
    headers = getattr(error.response, "headers", None) or {}
    told = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    told = told[0] if isinstance(told, list) else told
    return RateLimited(float(told) if str(told).isdigit() else 30.0)
