"""What follows by itself from a new message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procrastinate import Blueprint, JobContext, RetryStrategy

if TYPE_CHECKING:
    from ratchet.steps import Steps

QUEUE = "steps"
blueprint = Blueprint()


@blueprint.task(name="process", queue=QUEUE, pass_context=True, retry=RetryStrategy(max_attempts=6, exponential_wait=3))
async def process(context: JobContext, /, team_id: str, channel_id: str, ts: str, **_: Any) -> None:
    """Bring one new message through its steps."""
    steps: Steps = context.additional_context["steps"]
    await steps.process(team_id, channel_id, ts)
