"""Approval of calls to tools of effect ``change``, inside the gate.

What was asked and what people decided is a row (storage/approvals.py), and each run of a call goes by that row: without
one it is made and the graph is interrupted, one interrupt a call; with a decision the call runs or is refused. A turn
is resumed by running it again, which needs no value to be handed in: there is none that could be forged or stale.

An approval binds tool, arguments, bound facts and thread by a digest, and counts once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import UUID, uuid5

import structlog
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages.tool import ToolCall
from langchain_core.tools import BaseTool, ToolException
from langgraph.types import interrupt
from pydantic import ValidationError

from agent.context import ApproversUnknown, Approving, TurnContext
from agent.errors import Refusal
from agent.permission import Denial, deny_approval
from agent.redaction import Redactor
from storage import approvals, audit, posts
from storage.adaptation import storable
from storage.approvals import Approval, NewApproval
from storage.db import Connection, Database, StorageError
from storage.effects import Effect
from storage.turns import thread_key
from tools import context as tool_context
from tools.context import Preview, ToolContext
from tools.json_schema import Schema, SchemaError
from tools.registry import CatalogueEntry

log = structlog.get_logger()
NAMESPACE = UUID("0c7de0c5-62f4-4e8e-9d5c-617070726f76")
LONGEST_SUMMARY = 6000
LONGEST_ATTACHMENT = 400_000
NO_WAY = (
    "Not run: {tool} changes something and needs a person's approval, which can be given in Slack only. "
    "Tell the user what you would have done."
)
NO_APPROVERS = (
    "Not run: {tool} changes something and needs a person's approval, and this channel has no approvers. Tell the user "
    "what you would have done, and that an operator can name approvers in configs/ratchet.yaml: "
    "policies.default.approvers, or approvers of the channel's own policy."
)

ONLY_OWN = (
    "Not run: {tool} needs a person's approval, and every approver who can read this conversation asked for it or "
    "edited it, and may not approve what is their own. Ask in a channel with other approvers; an operator can name "
    "some, or set self_approval."
)


@dataclass(frozen=True)
class Clearance:
    """An approved call: the request to execute, and what was approved."""

    request: ToolCallRequest
    approval: Approval


class Desk:
    """Decides whether a call of effect ``change`` may run, by what people decided."""

    def __init__(self, database: Database, *, redactor: Redactor, seconds: float) -> None:
        self._database = database
        self._redactor = redactor
        self._seconds = seconds

    async def clear(self, entry: CatalogueEntry, request: ToolCallRequest, context: TurnContext) -> Clearance:
        """The call as it was approved.

        Raises:
            Refusal: it may not run, and why.
            GraphInterrupt: nobody has decided yet.
            LeaseLost: another worker has the thread.
        """
        call = request.tool_call
        async with self._database.connection() as conn:
            known = await approvals.newest(conn, context.turn_id, str(call["id"]))
        if known is None:
            known = await self._request(entry, call, call["args"], context)
        elif known.status == "superseded" and known.edit is not None:
            known = await self._request(entry, call, known.edit, context, replaces=known)
        if known.status == "pending":
            interrupt({"type": "tool_approval", "approval_id": known.approval_id, "tool_call_id": call["id"]})
        if known.status != "approved":
            raise await self._refuse(known)
        if (problem := _mismatch(entry, call, known, context)) is not None:
            raise Refusal("tool_mismatch", f"Not run: {problem} Tell the user.")
        async with self._database.connection() as conn:
            post = await posts.get(conn, known.post_id)
        approving = context.approving
        approval = tool_context.Approval(
            known.approval_id,
            known.decided_by or "",
            known.bound,
            approving.permalink(known.channel_id, post.ts, known.thread_ts) if approving and post and post.ts else "",
        )
        runtime: Any = replace(cast("Any", request.runtime), context=replace(context, approval=approval))
        approved = ToolCall(name=call["name"], args=dict(known.arguments), id=call["id"], type="tool_call")
        return Clearance(replace(request, tool_call=approved, runtime=runtime), known)

    async def use(self, conn: Connection, clearance: Clearance, effect: Effect | None) -> None:
        """Inside the transaction that notes the effect: the approval is used up.

        Raises:
            Refusal: it was used before, and nothing is known of what became of it.
        """
        if not await approvals.use(conn, clearance.approval.approval_id) and effect is None:
            raise Refusal(
                "tool_approval_used",
                "Not run: its approval was used already, by an attempt that ended without doing anything. "
                "Make the call again if it is still needed; it will be asked for anew.",
            )

    async def drop(self, context: TurnContext, call_id: str, why: str, *, used: bool = False) -> None:
        """A call was refused: nothing that people decided about it is due any more, and its message says so.

        With ``used`` it was refused because its approval was used before, and nothing came of that.
        """
        async with self._database.connection() as conn:
            known = await approvals.newest(conn, context.turn_id, call_id)
        if known is None or (known.used_at is not None and not used):
            return
        async with self._database.connection() as conn, conn.transaction():
            ended = await approvals.void(conn, known.approval_id, storable(_told(why)), used=used)
            if ended is None:  # rejected or expired, which its message says already
                await approvals.use(conn, known.approval_id)
                return
            if context.approving:
                await context.approving.tell(conn, ended)
            await audit.record(conn, who=known.decided_by or "ratchet", action="approval_void", details=details(known))

    async def _request(
        self,
        entry: CatalogueEntry,
        call: ToolCall,
        arguments: Mapping[str, Any],
        context: TurnContext,
        *,
        replaces: Approval | None = None,
    ) -> Approval:
        """Make a request of a call, unless it must be refused before anybody is asked."""
        tool, approving = entry.name, context.approving
        if approving is None:
            raise Refusal("tool_denied", NO_WAY.format(tool=tool))
        try:
            asked = list(await approving.approvers())
        except ApproversUnknown as error:
            raise Refusal("tool_denied", f"Not run: {tool} needs a person's approval. {error}") from error
        denial = deny_approval(
            asked,
            context.requester.user_id,
            self_approval=approving.self_approval,
            edited_by=replaces.decided_by if replaces else None,
        )
        if denial:
            why = NO_APPROVERS if denial is Denial.no_approvers else ONLY_OWN
            raise Refusal("tool_denied", why.format(tool=tool))
        if (problem := describe_problem(entry.tool, arguments)) is not None:
            raise Refusal("tool_malformed", f"Not run: {problem}")
        preview = await self._preview(entry, dict(arguments), context, approving)
        revision = replaces.revision + 1 if replaces else 0
        key = thread_key(context.viewer.team_id, context.viewer.asked_in, context.thread_ts or "")
        name, attachment = preview.attachment or (None, None)
        new = NewApproval(
            approval_id=str(uuid5(NAMESPACE, f"{context.turn_id}:{call['id']}:{revision}")),
            turn_id=context.turn_id,
            tool_call_id=str(call["id"]),
            revision=revision,
            team_id=context.viewer.team_id,
            channel_id=context.viewer.asked_in,
            ts=context.message_ts or context.thread_ts or "0",
            thread_ts=context.thread_ts,
            tool=tool,
            arguments=arguments,
            bound=dict(preview.bound),
            digest=bind(tool, arguments, preview.bound, key),
            call_digest=digest(call["args"]),
            summary=preview.summary,
            attachment_name=name,
            attachment=attachment,
            requester_id=context.requester.user_id,
            approvers=asked,
            self_approval=approving.self_approval,
            edited_by=replaces.decided_by if replaces else None,
        )
        async with self._database.connection() as conn, conn.transaction():
            await approvals.insert(conn, context.lease, new, minutes=approving.minutes)
            if replaces:
                await approvals.use(conn, replaces.approval_id)
            made = await approvals.newest(conn, context.turn_id, new.tool_call_id)
            await audit.record(conn, who=context.requester.user_id, action="approval_asked", details=details(new))
        if made is None:
            raise StorageError("a request for approval vanished")
        return made

    async def _preview(
        self, entry: CatalogueEntry, arguments: dict[str, Any], context: TurnContext, approving: Approving
    ) -> Preview:
        """What is shown to the approvers: whole and without secrets, or nothing is asked."""
        build: Callable[[dict[str, Any], ToolContext], Awaitable[Preview]] | None
        build = (entry.tool.extras or {}).get("preview")
        written = json.dumps(arguments, indent=2, ensure_ascii=False, default=str)
        try:
            async with asyncio.timeout(self._seconds):
                preview = await build(arguments, context) if build else _plain(entry.name, written)
        except ToolException as error:
            raise Refusal("tool_failed", str(error)) from error
        except TimeoutError as error:
            raise Refusal("tool_failed", f"Not run: its preview took longer than {self._seconds:.0f} s.") from error
        except StorageError:
            raise
        except Exception as error:
            log.exception("preview failed", tool=entry.name, turn_id=str(context.turn_id))
            raise Refusal(
                "tool_failed",
                f"Not run: its preview failed ({type(error).__name__}). The operators can see the details.",
            ) from error
        clean = self._redactor.clean
        name, attached = preview.attachment or ("", "")
        fixed = [name, *preview.bound.values(), written]
        added = self._redactor.brings(f"{preview.summary}\n{attached}", preview.standing)
        if added or any(clean(text) != text for text in fixed):
            raise Refusal(
                "tool_denied",
                "Not run: what would have to be shown to the approvers holds something that looks like a secret. "
                "Leave it out.",
            )
        shown = [preview.summary, attached, *fixed]
        if storable(dict(arguments)) != dict(arguments) or any(storable(text) != text for text in shown):
            raise Refusal("tool_malformed", "Not run: the arguments hold characters that cannot be shown.")
        masked = (name, clean(attached)) if preview.attachment else None  # of what stands there already
        preview = replace(preview, summary=clean(preview.summary), attachment=masked)
        if len(approving.show(preview.summary)) > LONGEST_SUMMARY:
            rest = f"{preview.summary}\n\n{preview.attachment[1]}" if preview.attachment else preview.summary
            name = preview.attachment[0] if preview.attachment else f"{entry.name}.md"
            summary = f"`{entry.name}`: the whole request is in the file above."
            preview = Preview(summary, (name, rest), preview.bound)
        if preview.attachment and len(approving.show(preview.attachment[1])) > LONGEST_ATTACHMENT:
            raise Refusal("tool_denied", "Not run: it is too long for a person to look through. Make smaller changes.")
        return preview

    async def _refuse(self, known: Approval) -> Refusal:
        """Note that the decision reached the turn."""
        async with self._database.connection() as conn:
            await approvals.use(conn, known.approval_id)
        if known.status == "rejected":
            why = f" Their reason: {known.reason}" if known.reason else ""
            return Refusal(
                "tool_rejected",
                f"Not run: <@{known.decided_by}> rejected it.{why} Propose something else only if that answers the "
                "reason; otherwise tell the user.",
            )
        if known.status == "expired":
            return Refusal(
                "tool_expired",
                "Not run: nobody approved it in time, which counts as no. Do not ask again; tell the user that the "
                "request expired and that they can ask you anew.",
            )
        return Refusal("tool_mismatch", f"Not run: {known.reason or 'the request was withdrawn.'} Tell the user.")


def digest(value: Any) -> str:
    """SHA-256 of a value, such as a call's arguments, in canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def bind(tool: str, arguments: Mapping[str, Any], bound: Mapping[str, str], thread: str) -> str:
    """What an approval is for, as one digest."""
    return digest([tool, dict(arguments), dict(bound), thread])


def details(approval: NewApproval) -> dict[str, Any]:
    """What the audit log keeps of a request: no words."""
    return {
        "approval_id": approval.approval_id,
        "tool": approval.tool,
        "turn_id": str(approval.turn_id),
        "channel_id": approval.channel_id,
        "digest": approval.digest,
    }


def describe_problem(tool: BaseTool, arguments: Mapping[str, Any]) -> str | None:
    """Why a tool does not take such arguments, in a few words; None where it does."""
    try:
        problem = _describe_problem(tool, arguments)
    except Exception as error:  # of a plugin's validators
        log.warning("arguments could not be checked", tool=tool.name, error=str(error))
        return f"its arguments could not be checked ({type(error).__name__})."
    return problem[:300] if problem else None


def _describe_problem(tool: BaseTool, arguments: Mapping[str, Any]) -> str | None:
    schema: Any = tool.tool_call_schema
    if isinstance(schema, dict):
        try:
            problem = Schema(schema, trusted=False).problem(dict(arguments))
        except SchemaError as error:
            return f"the schema of its arguments cannot be used: {error}"
        return problem and problem.removeprefix("$.")
    unknown = sorted(set(arguments) - set(schema.model_fields))
    if unknown:
        return f"{tool.name} has no argument {unknown[0]!r}"
    try:
        schema.model_validate(dict(arguments))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return None


def _told(why: str) -> str:
    """A refusal in words for people: without what the model is to do about it."""
    return re.split(" Tell the user| Make the call again", why.removeprefix("Not run: "), maxsplit=1)[0]


def _plain(tool: str, written: str) -> Preview:
    """The preview of a tool that has none: its name and its arguments."""
    if len(written) > LONGEST_SUMMARY // 2:
        return Preview(f"Call `{tool}` with the arguments in the file above.", (f"{tool}.json", written))
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", written)), default=0))
    return Preview(f"Call `{tool}` with\n{fence}json\n{written}\n{fence}")


def _mismatch(entry: CatalogueEntry, call: ToolCall, known: Approval, context: TurnContext) -> str | None:
    key = thread_key(known.team_id, known.channel_id, known.thread_ts or "")
    here = thread_key(context.viewer.team_id, context.viewer.asked_in, context.thread_ts or "")
    if known.tool != entry.name or key != here or bind(known.tool, known.arguments, known.bound, key) != known.digest:
        return "what was approved was changed afterwards, so its approval does not count."
    if digest(call["args"]) != known.call_digest:
        return "the arguments are not those that were approved, so the approval does not count."
    return None
