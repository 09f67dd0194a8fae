"""What people decide about requests for approval: by a button or a modal of Slack, and by nothing else.

A click comes signed, is stored with its decision in one transaction before Slack gets its ack, and counts where the
row says so (storage/approvals.py). Whoever may not decide, or comes too late, is told so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import aiohttp
import structlog
import yaml
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app import approval_messages as looks
from slack_app import payloads
from slack_app.errors import reason
from slack_app.events import Click
from slack_app.jobs import Enqueue, Job, answer_job
from storage import approvals, audit, channels, posts
from storage.approvals import Approval
from storage.db import Connection, Database

log = structlog.get_logger()
SUBMITTED = ":submitted"  # of a modal, in the action_id of events.Click
UNSEEN = "Slack did not take the message that asks for approval, so nobody could decide."
GONE = "This request is not there any more."
AUDITED = {
    "approved": "approval_given",
    "rejected": "approval_rejected",
    "superseded": "approval_edited",
    "expired": "approval_expired",
    "void": "approval_void",
}
# Why a tool does not take such arguments: (tool, arguments) -> a few words, or None where it does.
Check = Callable[[str, Mapping[str, Any]], str | None]


class Approvals:
    """Takes decisions in, and keeps what stands in Slack up to date."""

    def __init__(self, database: Database, enqueue: Enqueue, check: Check) -> None:
        self._database = database
        self._enqueue = enqueue
        self._check = check

    async def decide(self, conn: Connection, click: Click) -> list[Job] | None:
        """Inside the transaction that stores a click: what it decides, and the jobs that follow from it."""
        approval_id, _, digest = click.value.partition(".")
        decided: Approval | None = None
        if click.action_id == looks.APPROVE:
            decided = await approvals.decide(conn, approval_id, digest, click.user_id, "approved")
        elif click.action_id == looks.REJECT + SUBMITTED:
            why = click.text.strip()[: looks.LONGEST_REASON] or None
            decided = await approvals.decide(conn, approval_id, digest, click.user_id, "rejected", reason=why)
        elif click.action_id not in {looks.REJECT, looks.EDIT}:
            return None
        if decided:
            return await self._follow(conn, decided)
        approval = await approvals.get(conn, approval_id)
        problem = await self._objection(conn, approval, click)
        if problem is None:
            return []
        channel_id = click.channel_id or (approval.channel_id if approval else "")
        told = {"channel_id": channel_id, "user_id": click.user_id, "text": problem}
        if approval and approval.thread_ts and channel_id == approval.channel_id:
            told["thread_ts"] = approval.thread_ts
        log.info("a click on a request does not count", approval_id=approval_id, user_id=click.user_id)
        return [Job("notice", f"notice:{click.user_id}", told)] if channel_id else []

    async def expire(self) -> int:
        """End the requests whose time is over; returns how many."""
        ended = 0
        while True:
            async with self._database.connection() as conn, conn.transaction():
                expired = await approvals.expire(conn)
                jobs = [job for approval in expired for job in await self._follow(conn, approval)]
                if jobs:
                    await self._enqueue(conn, jobs)
            ended += len(expired)
            if not expired:
                return ended

    async def withdraw_unseen(self, turn_id: UUID) -> None:
        """End a turn's requests whose messages Slack does not take: nobody could decide them."""
        async with self._database.connection() as conn, conn.transaction():
            ended = await approvals.void_unseen(conn, turn_id, UNSEEN)
            jobs = [job for approval in ended for job in await self._follow(conn, approval)]
            if jobs:
                await self._enqueue(conn, jobs)

    async def tell(self, conn: Connection, approval: Approval) -> list[Job]:
        """Inside a transaction: have a request's message say how it ended, without buttons."""
        await posts.revise(conn, approval.post_id, looks.decided_text(approval))
        return [Job("revise", f"revise:{approval.post_id}", {"post_id": approval.post_id})]

    def register(self, app: AsyncApp) -> None:
        """Attach the listeners of the modals; the decisions themselves are taken when the event is stored."""
        app.action(looks.REJECT)(self._open)
        app.action(looks.EDIT)(self._open)
        app.view(looks.EDIT)(self._submit_edit)

    async def _follow(self, conn: Connection, approval: Approval) -> list[Job]:
        """What follows from a decision: the audit row, the message's new form, and the turn goes on."""
        details = {
            "approval_id": approval.approval_id,
            "tool": approval.tool,
            "turn_id": str(approval.turn_id),
            "channel_id": approval.channel_id,
            "digest": approval.digest,
        }
        await audit.record(conn, who=approval.decided_by or "ratchet", action=AUDITED[approval.status], details=details)
        go_on = answer_job(approval.team_id, approval.channel_id, approval.thread_ts or "", approval.turn_id)
        return [*await self.tell(conn, approval), go_on]

    async def _objection(self, conn: Connection, approval: Approval | None, click: Click) -> str | None:
        """Why somebody cannot decide a request, in words for them; None where they can."""
        if approval is None:
            return GONE
        if approval.status != "pending":
            return f"This was decided already. {looks.outcome(replace(approval, reason=None))}"
        if not click.value.endswith(f".{approval.digest}"):
            return "This request was changed since it was posted, so it cannot be decided."
        user = await channels.get_user(conn, approval.team_id, click.user_id)
        if user and user.is_bot:
            return "Bots cannot decide."
        if user and (user.is_guest or user.is_stranger):
            return "Guests and people of other workspaces cannot decide."
        if click.user_id not in approval.approvers:
            return "You are not among the approvers of this channel, so your click does not count."
        if click.user_id == approval.requester_id and not approval.self_approval:
            return "You asked for this yourself, so somebody else has to decide it."
        if click.action_id == looks.APPROVE and click.user_id == approval.edited_by and not approval.self_approval:
            return "You edited this yourself, so somebody else has to approve it."
        if not await approvals.is_waited_for(conn, approval):
            return GONE
        return "This request has expired." if await approvals.is_overdue(conn, approval.approval_id) else None

    async def _open(self, ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        """Open the modal that rejects or edits. Whoever may not decide was told so when the click was stored."""
        await ack()
        click = payloads.parse(body).event
        if not isinstance(click, Click):
            return
        async with self._database.connection() as conn:
            approval = await approvals.get(conn, click.value.partition(".")[0])
            if approval is None or await self._objection(conn, approval, click) is not None:
                return
        build = looks.edit_view if click.action_id == looks.EDIT else looks.reject_view
        try:
            await client.views_open(trigger_id=str(body["trigger_id"]), view=build(approval, click.value))
        except SlackApiError as error:
            log.warning("a modal was not opened", approval_id=approval.approval_id, error=reason(error))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("a modal was not opened", approval_id=approval.approval_id, error=str(error))

    async def _submit_edit(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Take edited arguments: they are asked for anew, in the place of the old request."""
        click = payloads.parse(body).event
        problem = await self._edit(click) if isinstance(click, Click) else GONE
        if problem:
            await ack(response_action="errors", errors={looks.INPUT: problem[:300]})
        else:
            await ack()

    async def _edit(self, click: Click) -> str | None:
        approval_id, _, digest = click.value.partition(".")
        arguments, problem = read_arguments(click.text)
        async with self._database.connection() as conn, conn.transaction():
            approval = await approvals.get(conn, approval_id)
            if (objection := await self._objection(conn, approval, click)) is not None or approval is None:
                return objection or GONE
            problem = problem or self._check(approval.tool, arguments)
            if problem is None and arguments == approval.arguments:
                problem = "Nothing is changed."
            if not approval.self_approval and not set(approval.approvers) - {click.user_id, approval.requester_id}:
                problem = "Nobody else could approve your edit. Reject the request, and say what to ask for instead."
            if problem is not None:
                return problem
            decided = await approvals.decide(conn, approval_id, digest, click.user_id, "superseded", edit=arguments)
            if decided is None:
                return GONE
            await self._enqueue(conn, await self._follow(conn, decided))
        return None


def read_arguments(text: str) -> tuple[dict[str, Any], str | None]:
    """The arguments that somebody wrote as YAML, and what is wrong with them."""
    try:
        if any(isinstance(token, yaml.AliasToken | yaml.AnchorToken) for token in yaml.scan(text)):
            return {}, "Anchors and aliases are not taken."
        value = yaml.safe_load(text)
        json.dumps(value, allow_nan=False)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        return {}, f"This is no YAML: {getattr(error, 'problem', None) or 'it cannot be read'}{where}."
    except (TypeError, ValueError, RecursionError):
        return {}, "Only texts, numbers, true, false, lists and maps are taken; put dates in quotes."
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        return {}, "Write one line for each argument, such as `name: value`."
    return value, None
