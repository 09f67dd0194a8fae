"""Onboarding: Ratchet learns who and what is in the workspace, and reads each channel's past into memory."""

from __future__ import annotations

import contextlib
from typing import Any

import procrastinate
from procrastinate import Blueprint, JobContext, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued

from slack_app.backfill import Backfill
from slack_app.directory import Directory
from slack_app.inbox import Enqueue, onboard_job
from storage import channels, db
from storage.db import Connection, Database

QUEUE = "background"
blueprint = Blueprint()


RETRY = RetryStrategy(max_attempts=8, exponential_wait=3)


@blueprint.task(name="sync", queue=QUEUE, pass_context=True, retry=RETRY, lock="sync", queueing_lock="sync")
async def sync(context: JobContext, /) -> None:
    """Load people and channels, and onboard the channels that were never read."""
    directory: Directory = context.additional_context["directory"]
    database: Database = context.additional_context["database"]
    await directory.load_users()
    await directory.load_own_channels()
    async with database.connection() as conn, conn.transaction():
        await enqueue_missing(conn, context.additional_context["enqueue"], directory.team_id)


@blueprint.task(name="onboard", queue=QUEUE, pass_context=True, retry=RETRY)
async def onboard(context: JobContext, /, channel_id: str, **_: Any) -> None:
    """Read a channel's newest messages and their threads."""
    backfill: Backfill = context.additional_context["backfill"]
    await backfill.onboard(channel_id, limit=context.additional_context["backfill_limit"])


async def enqueue_sync(queue: procrastinate.App) -> None:
    """Have people and channels loaded, unless that is waiting already."""
    with contextlib.suppress(AlreadyEnqueued):
        await queue.configure_task("sync", allow_unknown=False).defer_async()


async def is_idle(conn: Connection) -> bool:
    """Whether nothing is left to load or to read."""
    left = await db.fetch_value(
        conn,
        "select count(*) from procrastinate_jobs where queue_name = %s and status in ('todo', 'doing')",
        (QUEUE,),
    )
    return bool(left == 0)


async def enqueue_missing(conn: Connection, enqueue: Enqueue, team_id: str) -> int:
    """Enqueue the channels that were never read to the end and that no job will read; returns how many."""
    waiting = await conn.execute("select lock from procrastinate_jobs where status in ('todo', 'doing')")
    taken = {row[0] for row in await waiting.fetchall()}
    unread = [
        job
        for channel in await channels.list_all(conn, team_id)
        if channel.onboarding_status == "started"
        and (job := onboard_job(team_id, channel.channel_id)).lock not in taken
    ]
    if unread:
        await enqueue(conn, unread)
    return len(unread)
