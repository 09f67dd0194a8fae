"""Requests for approval: what stands in Slack of them, and their end by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procrastinate import Blueprint, JobContext

from ratchet.jobs import steps
from ratchet.jobs.answers import Backoff

if TYPE_CHECKING:
    from slack_app.approvals import Approvals
    from slack_app.outbox import Outbox

QUEUE = steps.QUEUE
blueprint = Blueprint()


@blueprint.task(name="revise", queue=QUEUE, pass_context=True, retry=Backoff())
async def revise(context: JobContext, /, post_id: str, **_: Any) -> None:
    """Bring a message in Slack to what its post says now."""
    outbox: Outbox = context.additional_context["outbox"]
    await outbox.revise(post_id)


@blueprint.task(name="notice", queue=QUEUE, pass_context=True, retry=Backoff(tries=4))
async def notice(
    context: JobContext, /, channel_id: str, user_id: str, text: str, thread_ts: str | None = None, **_: Any
) -> None:
    """Tell one person something that nobody else sees."""
    outbox: Outbox = context.additional_context["outbox"]
    await outbox.whisper(channel_id, user_id, text, thread_ts=thread_ts)


@blueprint.task(name="expire", queue=QUEUE, pass_context=True, retry=Backoff())
async def expire(context: JobContext, /, **_: Any) -> None:
    """End the requests whose time is over."""
    approvals: Approvals = context.additional_context["approvals"]
    await approvals.expire()


@blueprint.periodic(cron="* * * * *")
@blueprint.task(name="expire_overdue", queue=QUEUE, pass_context=True, queueing_lock="expire_overdue")
async def expire_overdue(context: JobContext, timestamp: int) -> None:
    """The same by the clock, for requests whose job was lost."""
    approvals: Approvals = context.additional_context["approvals"]
    await approvals.expire()
