"""Housekeeping, by the clock."""

from __future__ import annotations

import structlog
from procrastinate import Blueprint, JobContext

from agent import checkpoints
from storage import inbox, reactions
from storage.db import Database

log = structlog.get_logger()
QUEUE = "maintenance"
INBOX_DAYS = 7
blueprint = Blueprint()


@blueprint.periodic(cron="17 * * * *")
@blueprint.task(name="prune", queue=QUEUE, pass_context=True, queueing_lock="prune")
async def prune(context: JobContext, timestamp: int) -> None:
    """Delete what has outlived its purpose: checkpoints of ended turns, and delivered events."""
    database: Database = context.additional_context["database"]
    shortest = context.additional_context["retention"].shortest
    async with database.connection() as conn:
        gone = await checkpoints.prune(conn, days=min(context.additional_context["checkpoint_days"], shortest))
        events = await inbox.prune(conn, older_than_days=min(INBOX_DAYS, shortest))
        await reactions.apply_early(conn, context.additional_context["directory"].team_id)
        await reactions.prune(conn, days=INBOX_DAYS)
    log.info("pruned", checkpoints=gone, events=events)
