"""Onboarding: a channel's past is read into memory."""

from __future__ import annotations

from typing import Any

from procrastinate import Blueprint, JobContext, RetryStrategy

from slack_app.backfill import Backfill
from slack_app.inbox import BACKFILL_LOCK, Enqueue
from storage import channels
from storage.db import Connection

QUEUE = "background"
blueprint = Blueprint()


@blueprint.task(name="onboard", queue=QUEUE, pass_context=True, retry=RetryStrategy(max_attempts=8, exponential_wait=3))
async def onboard(context: JobContext, /, channel_id: str, **_: Any) -> None:
    """Read a channel's newest messages and their threads."""
    backfill: Backfill = context.additional_context["backfill"]
    await backfill.onboard(channel_id, limit=context.additional_context["backfill_limit"])


async def enqueue_missing(conn: Connection, enqueue: Enqueue, team_id: str) -> int:
    """Enqueue the channels that were never read to the end and that no job will read; returns how many."""
    waiting = await conn.execute("select lock from procrastinate_jobs where status in ('todo', 'doing')")
    taken = {row[0] for row in await waiting.fetchall()}
    count = 0
    for channel in await channels.list_all(conn, team_id):
        lock = BACKFILL_LOCK.format(channel_id=channel.channel_id)
        if channel.onboarding_status == "started" and lock not in taken:
            await enqueue(conn, "onboard", lock=lock, team_id=team_id, channel_id=channel.channel_id)
            count += 1
    return count
