"""The documentation is read at every start, and then about once an hour."""

from __future__ import annotations

import contextlib

import procrastinate
from procrastinate import Blueprint, JobContext
from procrastinate.exceptions import AlreadyEnqueued

from ratchet.documentation.refresh import Refresher
from ratchet.jobs import maintenance

QUEUE = maintenance.QUEUE
AT_MOST_EVERY_SECONDS = 3600.0
LOCK = "documentation"
blueprint = Blueprint()


@blueprint.periodic(cron="*/10 * * * *")
@blueprint.task(name="refresh_due_docs", queue=QUEUE, pass_context=True, lock=LOCK, queueing_lock="refresh_due_docs")
async def refresh_due(context: JobContext, timestamp: int) -> None:
    """Read the sources that were not read for an hour."""
    refresher: Refresher | None = context.additional_context["refresher"]
    if refresher:
        await refresher.refresh(unless_within=AT_MOST_EVERY_SECONDS)


@blueprint.task(name="refresh_docs", queue=QUEUE, pass_context=True, lock=LOCK, queueing_lock="refresh_docs")
async def refresh_all(context: JobContext, /) -> None:
    """Read every source."""
    refresher: Refresher | None = context.additional_context["refresher"]
    if refresher:
        await refresher.refresh()


async def enqueue_refresh(queue: procrastinate.App) -> None:
    """Have every source read, unless that is waiting already."""
    with contextlib.suppress(AlreadyEnqueued):
        await queue.configure_task("refresh_docs", allow_unknown=False).defer_async()
