"""Answering: a turn from its row to the answer in Slack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from procrastinate import Blueprint, JobContext, RetryDecision
from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy

from slack_app.outbox import PostUnsettled
from storage.leases import LeaseLost

if TYPE_CHECKING:
    from ratchet.answering import Answering

log = structlog.get_logger()
QUEUE = "turns"
blueprint = Blueprint()


class GaveUp(Exception):
    """A turn failed for good and the user was told; the job stays in the queue as failed, for operators."""


class Backoff(BaseRetryStrategy):
    """Waits 1, 2, 4 … 60 s. An unsettled post is tried for about an hour; a shutdown hands over at once."""

    def __init__(self, *, tries: int = 20) -> None:
        self._tries = tries

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Whether and when the job runs again."""
        if isinstance(exception, GaveUp):
            return None
        if isinstance(exception, JobAborted) or not isinstance(exception, Exception):
            return RetryDecision(retry_in={"seconds": 0})
        if job.attempts >= (60 if isinstance(exception, PostUnsettled) else self._tries):
            return None
        return RetryDecision(retry_in={"seconds": min(2**job.attempts, 60)})


def _answering(context: JobContext) -> Answering:
    answering: Answering = context.additional_context["answering"]
    return answering


@blueprint.task(name="answer", queue=QUEUE, pass_context=True, retry=Backoff())
async def answer(context: JobContext, /, turn_id: str, **_: Any) -> None:
    """Answer one turn and deliver the answer."""
    answering = _answering(context)
    try:
        error = await answering.answer(UUID(turn_id))
    except LeaseLost:
        # Where the job was given to that worker too, nothing comes of trying again (ratchet/jobs/fence.py). Where it
        # was not, that worker had lost it, and will be refused in its turn.
        log.warning("another worker took this thread", turn_id=turn_id)
        raise
    if error:
        raise GaveUp(error)


@blueprint.task(name="ask", queue=QUEUE, pass_context=True, retry=Backoff())
async def ask(context: JobContext, /, turn_id: str, **_: Any) -> None:
    """Put a slash command's question into its channel, where its thread begins."""
    await _answering(context).ask(UUID(turn_id))
