"""Onboarding: Ratchet learns who and what is in the workspace, and reads each channel's past into memory."""

from __future__ import annotations

import contextlib
from typing import Any

import procrastinate
import structlog
from procrastinate import Blueprint, JobContext, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued

from slack_app.backfill import Backfill
from slack_app.directory import Directory
from slack_app.jobs import BACKFILL_LOCK, Enqueue, backfill_job, onboard_job
from storage import backfills, channels, db
from storage.db import Connection, Database

log = structlog.get_logger()
QUEUE = "background"
PRIORITY = -10
THREADS_PRIORITY = -20
PAGES_PER_JOB = 5  # then other channels have their turn
blueprint = Blueprint()


RETRY = RetryStrategy(max_attempts=8, exponential_wait=3)


@blueprint.task(name="sync", queue=QUEUE, pass_context=True, retry=RETRY, lock="sync", queueing_lock="sync")
async def sync(context: JobContext, /) -> None:
    """Load people and channels, and have read what was not read yet."""
    directory: Directory = context.additional_context["directory"]
    database: Database = context.additional_context["database"]
    await directory.load_users()
    await directory.load_own_channels()
    async with database.connection() as conn, conn.transaction():
        await enqueue_missing(conn, context.additional_context["enqueue"], directory.team_id)


@blueprint.task(name="refresh", queue=QUEUE, pass_context=True, retry=RETRY)
async def refresh(context: JobContext, /, channel_id: str, **_: Any) -> None:
    """Ask Slack what a channel is now."""
    directory: Directory = context.additional_context["directory"]
    await directory.load_channel(channel_id)


@blueprint.task(name="onboard", queue=QUEUE, pass_context=True, retry=RETRY)
async def onboard(context: JobContext, /, channel_id: str, joined_ts: str | None = None, **_: Any) -> None:
    """Have a channel's newest messages and their threads read, and begin with it."""
    backfill: Backfill = context.additional_context["backfill"]
    await backfill.begin(channel_id, limit=context.additional_context["backfill_limit"], joined_ts=joined_ts)
    await _read(context, channel_id)


@blueprint.task(name="backfill", queue=QUEUE, pass_context=True, retry=RETRY)
async def read_on(context: JobContext, /, channel_id: str, **_: Any) -> None:
    """Go on with what is left to read of a channel."""
    await _read(context, channel_id)


async def _read(context: JobContext, channel_id: str) -> None:
    """Read some pages, and leave the rest to a job behind all others that wait now.

    Where Slack asks to wait, the worker's place is free meanwhile.
    """
    backfill: Backfill = context.additional_context["backfill"]
    step = await backfill.work(channel_id, pages=PAGES_PER_JOB)
    if not step.is_left:
        log.info("channel read", channel_id=channel_id)
        return
    later = context.app.configure_task(
        "backfill",
        allow_unknown=False,
        lock=BACKFILL_LOCK.format(channel_id=channel_id),
        queue=QUEUE,
        priority=THREADS_PRIORITY if step.only_threads else PRIORITY,
        schedule_in={"seconds": step.wait_seconds} if step.wait_seconds else None,
    )
    await later.defer_async(channel_id=channel_id)


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
    """Enqueue the channels of which something is left to read and that no job will read; returns how many."""
    # Not those that run: one of them may just have found nothing left.
    waiting = await conn.execute("select lock from procrastinate_jobs where status = 'todo'")
    taken = {row[0] for row in await waiting.fetchall()}
    begun = await backfills.channels_with_work(conn, team_id)
    jobs = [backfill_job(channel_id) for channel_id in sorted(begun)] + [
        onboard_job(team_id, channel.channel_id)
        for channel in await channels.list_all(conn, team_id)
        if channel.onboarding_status == "started" and channel.channel_id not in begun
    ]
    unread = [job for job in jobs if job.lock not in taken]
    if unread:
        await enqueue(conn, unread)
    return len(unread)
