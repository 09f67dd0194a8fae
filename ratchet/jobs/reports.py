"""The weekly reports, by the clock."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from procrastinate import Blueprint, JobContext

from ratchet.jobs import maintenance, steps
from ratchet.jobs.answers import Backoff

if TYPE_CHECKING:
    from ratchet.reports.weekly import WeeklyReports

QUEUE = steps.QUEUE
blueprint = Blueprint()


# Time zones differ by quarters of an hour, and a worker may begin a little late.
@blueprint.periodic(cron="*/5 * * * *")
@blueprint.task(name="reports", queue=maintenance.QUEUE, pass_context=True, queueing_lock="reports")
async def reports(context: JobContext, timestamp: int) -> None:
    """Enqueue the reports that are due."""
    weekly: WeeklyReports = context.additional_context["weekly"]
    await weekly.enqueue_due()


@blueprint.task(name="report", queue=QUEUE, pass_context=True, retry=Backoff())
async def report(context: JobContext, /, channel_id: str, due: str, **_: Any) -> None:
    """Make and post one channel's report."""
    weekly: WeeklyReports = context.additional_context["weekly"]
    await weekly.post(channel_id, datetime.fromisoformat(due))
