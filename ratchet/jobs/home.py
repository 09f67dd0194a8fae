"""What people see when they open Ratchet in Slack: their home, and suggestions in their direct messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procrastinate import Blueprint, JobContext

from ratchet.jobs import steps
from ratchet.jobs.answers import Backoff
from storage import jobs

if TYPE_CHECKING:
    from ratchet.home import HomeDesk
    from storage.db import Database

QUEUE = steps.QUEUE
TRIES = 4  # whoever looked is gone by then; the next opening shows it anew
blueprint = Blueprint()


@blueprint.task(name="home", queue=QUEUE, pass_context=True, retry=Backoff(tries=TRIES))
async def home(context: JobContext, /, user_id: str, page: str = "0", switch: str = "", **_: Any) -> None:
    """Show somebody their home; of several openings that wait only the last is worth it."""
    desk: HomeDesk = context.additional_context["home"]
    database: Database = context.additional_context["database"]
    if switch:
        await desk.switch(user_id, switch)
    async with database.connection() as conn:
        if context.job.id and await jobs.is_followed(conn, context.job.id, context.job.lock or ""):
            return
    await desk.publish(user_id, page=int(page))


@blueprint.task(name="prompts", queue=QUEUE, pass_context=True)
async def prompts(context: JobContext, /, user_id: str, channel_id: str, **_: Any) -> None:
    """Suggest questions in somebody's direct messages."""
    desk: HomeDesk = context.additional_context["home"]
    await desk.suggest(user_id, channel_id)
