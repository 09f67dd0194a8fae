"""What follows by itself from a new message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procrastinate import Blueprint, JobContext

from ratchet.jobs.answers import Backoff

if TYPE_CHECKING:
    from ratchet.steps import Steps

QUEUE = "steps"
TRIES = 12  # about 7 minutes; each may ask the model anew
blueprint = Blueprint()


@blueprint.task(name="process", queue=QUEUE, pass_context=True, retry=Backoff(tries=TRIES))
async def process(context: JobContext, /, team_id: str, channel_id: str, ts: str, **_: Any) -> None:
    """Bring one new message through its steps."""
    steps: Steps = context.additional_context["steps"]
    await steps.process(team_id, channel_id, ts)
