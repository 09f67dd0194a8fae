"""Commands, such as help and reset: on the workers that no question keeps busy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from procrastinate import Blueprint, JobContext

from ratchet.jobs import steps
from ratchet.jobs.answers import Backoff

if TYPE_CHECKING:
    from ratchet.commanding import Commanding

QUEUE = steps.QUEUE
blueprint = Blueprint()


@blueprint.task(name="command", queue=QUEUE, pass_context=True, retry=Backoff())
async def command(context: JobContext, /, turn_id: str, response_url: str = "", **_: Any) -> None:
    """Answer one command."""
    commanding: Commanding = context.additional_context["commanding"]
    await commanding.run(UUID(turn_id), response_url)
