"""Classifying: a bot's message is read by the configured program or the model, behind the ack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procrastinate import Blueprint, JobContext, RetryStrategy

from slack_app.jobs import process_job
from storage.db import Database

if TYPE_CHECKING:
    from ratchet.classifying import SecondReading

QUEUE = "steps"
blueprint = Blueprint()


@blueprint.task(
    name="classify", queue=QUEUE, pass_context=True, retry=RetryStrategy(max_attempts=5, exponential_wait=3)
)
async def classify(
    context: JobContext, /, team_id: str, channel_id: str, ts: str, then: str | None = None, **_: Any
) -> None:
    """Read one message again, and let follow what follows by itself from a new one."""
    services = context.additional_context
    reading: SecondReading | None = services["second_reading"]
    if reading:
        await reading.read(team_id, channel_id, ts)
    if then:
        database: Database = services["database"]
        async with database.connection() as conn, conn.transaction():
            await services["enqueue"](conn, [process_job(team_id, channel_id, ts)])
