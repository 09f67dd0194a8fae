"""Offers to answer again in private."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from procrastinate import Blueprint, JobContext

from ratchet.jobs import steps
from ratchet.jobs.answers import Backoff

if TYPE_CHECKING:
    from ratchet.offering import Offering

QUEUE = steps.QUEUE
blueprint = Blueprint()


@blueprint.task(name="offer", queue=QUEUE, pass_context=True, retry=Backoff(tries=5))
async def offer(context: JobContext, /, turn_id: str, **_: Any) -> None:
    """Offer a requester in private what an answer could not show to everyone who reads it."""
    offering: Offering = context.additional_context["offering"]
    await offering.offer(UUID(turn_id))
