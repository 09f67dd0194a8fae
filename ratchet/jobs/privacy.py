"""What must not stay: the words of deleted messages, and what is too old."""

from __future__ import annotations

import contextlib

import structlog
from procrastinate import Blueprint, JobContext, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued

from storage import purges, retention
from storage.db import Database

log = structlog.get_logger()
QUEUE = "privacy"
WAIT_SECONDS = 5
JOB_DAYS = 30
RETRY = RetryStrategy(max_attempts=10, exponential_wait=2)
blueprint = Blueprint()


@blueprint.task(name="purge", queue=QUEUE, pass_context=True, retry=RETRY)
async def purge(context: JobContext, /) -> None:
    """Take the words of deleted and edited messages from what rests on them; again, while turns run that saw them."""
    database: Database = context.additional_context["database"]
    done = await purges.run(database)
    if done.turns:
        log.info("purged", turns=done.turns, left=done.left)
    if done.left:
        again = context.app.configure_task(
            "purge", lock="purge", queueing_lock="purge", schedule_in={"seconds": WAIT_SECONDS}
        )
        with contextlib.suppress(AlreadyEnqueued):
            await again.defer_async()


@blueprint.periodic(cron="* * * * *")
@blueprint.task(name="purge_waiting", queue=QUEUE, pass_context=True, lock="purge", queueing_lock="purge_waiting")
async def purge_waiting(context: JobContext, timestamp: int) -> None:
    """The same by the clock, for purges whose job was lost."""
    await purges.run(context.additional_context["database"])


@blueprint.periodic(cron="47 * * * *")
@blueprint.task(name="retain", queue=QUEUE, pass_context=True, queueing_lock="retain", retry=RETRY)
async def retain(context: JobContext, timestamp: int) -> None:
    """Delete what is older than it may be."""
    kept: retention.Retention = context.additional_context["retention"]
    gone = await retention.expire(context.additional_context["database"], kept)
    await context.app.job_manager.delete_old_jobs(
        24 * min(JOB_DAYS, kept.shortest), include_failed=True, include_cancelled=True, include_aborted=True
    )
    log.info("expired", **gone)
