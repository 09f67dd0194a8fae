"""The gate: what stands between a tool call of the model and its execution.

It wraps the executor itself, so no prompt, history or other middleware can lead around it. In order:
a stop, the turn's limit, a well-formed call to a known tool, the channel's policy, the requester's rights, fresh
memberships, approval (agent/approvals.py), the ledger of effects, the time limit; and on the way back redaction, the
size cap and the audit row. A result gets the reference by which the answer may cite it (agent/references.py); whatever
is refused or fails goes back to the model as a result that says why, and has none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import structlog
from langchain.agents import AgentState
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.messages.tool import ToolCall
from langchain_core.tools import ToolException
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolInvocationError
from langgraph.types import Command

from agent import references
from agent.approvals import Clearance, Desk, digest
from agent.context import TurnContext
from agent.errors import Refusal
from agent.permission import Denial, deny_call
from agent.redaction import Redactor
from agent.repair import MALFORMED, own
from agent.signals import Stopped
from agent.wording import CHANNEL_ID, TITLE, arguments_shown, name_call, name_outcome
from storage import audit, effects
from storage.db import Database, StorageError
from storage.effects import Effect
from storage.leases import LeaseLost
from storage.sources import Source
from storage.steering import TurnStopped
from tools.context import find_channel
from tools.hits import channel_label, shown_messages
from tools.registry import CatalogueEntry

log = structlog.get_logger()
STOPPED = "Not run to its end: somebody stopped this turn."


class Gate(AgentMiddleware[AgentState[Any], TurnContext]):
    """Checks every tool call in the executor."""

    def __init__(
        self,
        catalogue: list[CatalogueEntry],
        database: Database,
        *,
        redactor: Redactor,
        max_calls: int,
        tool_seconds: float,
        result_bytes: int,
    ) -> None:
        super().__init__()
        self._catalogue = {entry.name: entry for entry in catalogue}
        self._database = database
        self._desk = Desk(database, redactor=redactor, seconds=tool_seconds)
        self._redactor = redactor
        self._max_calls = max_calls
        self._tool_seconds = tool_seconds
        self._result_bytes = result_bytes

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Run one call, or say why not."""
        context = cast("TurnContext", request.runtime.context)
        call = request.tool_call
        shown = {
            name: value if isinstance(value, int | float | None) else self._redactor.clean(str(value))
            for name, value in call["args"].items()
        }
        known = self._catalogue.get(call["name"])
        title = name_call(known, self._redactor.clean(call["name"]), await _named(known, shown, context))
        context.reply.tool_started(str(call["id"]), call["name"], shown, title=title)
        action, content, ok = "tool_run", "", False
        try:
            entry = self._admit(request, context)
            content, ok = await self._run(entry, request, handler, context)
            self._note_sources(context, call, content)
            action = "tool_run" if ok else "tool_failed"
        except (Stopped, TurnStopped):
            action, content = "tool_stopped", STOPPED
        except Refusal as refusal:
            action, content = refusal.action, refusal.reason
            used = refusal.action == "tool_approval_used"
            await self._desk.drop(context, str(call["id"]), self._redactor.clean(content), used=used)
        content = self._redactor.clean(content)
        note = name_outcome(known, content) if ok else content[:120]
        content = self._cap(content)
        self._audit(context, call, action)
        context.reply.tool_finished(str(call["id"]), call["name"], ok=ok, note=note)
        if not ok:
            return ToolMessage(content, name=call["name"], tool_call_id=str(call["id"]), status="error")
        given = max(context.last_reference, references.highest(_forked(request.state, context)))
        reference = references.of_call(given, _position(request.state, str(call["id"]), context))
        return ToolMessage(
            content,
            name=call["name"],
            tool_call_id=str(call["id"]),
            additional_kwargs={references.KEY: reference, TITLE: title},
        )

    def _admit(self, request: ToolCallRequest, context: TurnContext) -> CatalogueEntry:
        call = request.tool_call
        if context.signals.stopped_by:
            raise Stopped
        if _position(request.state, str(call["id"]), context) >= self._max_calls:
            raise Refusal("tool_over_limit", f"Not run: this turn's limit of {self._max_calls} tool calls is reached.")
        if MALFORMED in call["args"]:
            raise Refusal(
                "tool_malformed",
                "Not run: the arguments were not valid JSON. Send the call again with an object of arguments.",
            )
        name = call["name"]
        match deny_call(name, self._catalogue, context.allowed_tools, restricted=context.requester.restricted):
            case None:
                return self._catalogue[name]
            case Denial.unknown:
                known = ", ".join(sorted(context.allowed_tools & self._catalogue.keys())) or "none"
                raise Refusal("tool_unknown", f"There is no tool {name!r}. Available: {known}.")
            case Denial.unlisted:
                raise Refusal("tool_denied", f"Not run: the policy of this channel does not allow {name}.")
            case _:
                raise Refusal(
                    "tool_denied", "Not run: guests and people of other workspaces may not use tools in this workspace."
                )

    async def _run(
        self,
        entry: CatalogueEntry,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
        context: TurnContext,
    ) -> tuple[str, bool]:
        call_id = str(request.tool_call["id"])
        if entry.effect != "post":
            await context.members.refresh(context.viewer.team_id, context.viewer.requester_id)
        clearance: Clearance | None = None
        if entry.effect == "change":
            clearance = await self._desk.clear(entry, request, context)
            request = clearance.request
        if entry.effect != "read":
            known = await self._intend(context, call_id, entry.name, clearance)
            if known is not None and not (known.state == "unknown" and _is_idempotent(entry)):
                return _recall(known)
        content, ok, happened = await self._execute(entry, request, handler, context)
        if entry.effect != "read":
            async with self._database.connection() as conn:
                if ok:
                    await effects.settle(conn, context.turn_id, call_id, self._redactor.clean(content))
                elif not happened:
                    await effects.withdraw(conn, context.turn_id, call_id)
        return content, ok

    async def _execute(
        self,
        entry: CatalogueEntry,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
        context: TurnContext,
    ) -> tuple[str, bool, bool]:
        """The result's text, whether it is a success, and whether anything may have happened."""
        left = max(1.0, context.deadline - asyncio.get_running_loop().time())
        seconds = min(self._tool_seconds, left)
        try:
            # A call with an effect is let end: cut off, nobody would know what became of it.
            stop = context.signals.until_stopped() if entry.effect == "read" else contextlib.nullcontext()
            async with stop, asyncio.timeout(seconds):
                result = await handler(request)
        except (GraphBubbleUp, LeaseLost, Stopped):
            raise
        except ToolInvocationError as error:
            return str(error), False, False
        except ToolException as error:
            return str(error), False, False
        except TimeoutError:
            return f"{entry.name} did not finish within {seconds:.0f} s.", False, True
        except StorageError:
            raise
        except Exception as error:
            log.exception("tool failed", tool=entry.name, turn_id=str(context.turn_id))
            return f"{entry.name} failed ({type(error).__name__}). The operators can see the details.", False, True
        if not isinstance(result, ToolMessage):
            return f"{entry.name} returned a {type(result).__name__}, which is not allowed.", False, True
        return result.text, result.status != "error", True

    async def _intend(
        self, context: TurnContext, call_id: str, tool: str, clearance: Clearance | None
    ) -> Effect | None:
        """Note that the call is about to run, and in the same transaction that its approval is used."""
        async with self._database.connection() as conn, conn.transaction():
            known = await effects.intend(conn, context.lease, context.turn_id, call_id, tool)
            if clearance is not None:
                await self._desk.use(conn, clearance, known)
            return known

    def _cap(self, content: str) -> str:
        raw = content.encode("utf-8", "replace")
        if len(raw) <= self._result_bytes:
            return content
        kept = raw[: self._result_bytes].decode("utf-8", "ignore")
        return f"{kept}\n[cut: the result had {len(raw):,} bytes; ask for less, such as a narrower window]"

    def _note_sources(self, context: TurnContext, call: ToolCall, content: str) -> None:
        shown = shown_messages(content) | shown_messages(str(call["args"]))
        context.records.sources += [
            Source(context.turn_id, context.viewer.team_id, channel_id, ts) for channel_id, ts in shown
        ]

    def _audit(self, context: TurnContext, call: ToolCall, action: str) -> None:
        known = call["name"] in self._catalogue  # any other name is the model's own words
        details = {
            "tool": call["name"] if known else "(unknown)",
            "turn_id": str(context.turn_id),
            "channel_id": context.viewer.asked_in,
            "arguments_sha256": digest(call["args"]),
        }
        context.records.entries.append(audit.Entry(context.requester.user_id, action, details))


async def _named(entry: CatalogueEntry | None, args: Mapping[str, Any], context: TurnContext) -> Mapping[str, Any]:
    """A call's arguments as its title shows them: ids of channels that the requester may read become names."""
    ids = {
        name: match[1]
        for name in arguments_shown(entry)
        if isinstance(value := args.get(name), str) and (match := CHANNEL_ID.fullmatch(value.strip()))
    }
    names: dict[str, str] = {}
    for name, channel_id in ids.items():
        with contextlib.suppress(ToolException):
            channel = await find_channel(context, channel_id)
            if channel:
                names[name] = channel_label(channel.name, channel.kind)
    return {**args, **names}


def _position(state: Any, call_id: str, context: TurnContext) -> int:
    """How many tool calls of this turn stand before this one."""
    ids = [
        str(call["id"])
        for message in own(state.get("messages", []), context.turn_id)
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    ]
    return ids.index(call_id) if call_id in ids else len(ids)


def _forked(state: Any, context: TurnContext) -> list[AnyMessage]:
    """What a retry begins with."""
    messages: list[AnyMessage] = state.get("messages", [])
    return messages[: len(messages) - len(own(messages, context.turn_id))]


def _is_idempotent(entry: CatalogueEntry) -> bool:
    """Whether running a call again does no more than running it once."""
    return bool((entry.tool.extras or {}).get("idempotent"))


def _recall(known: Effect) -> tuple[str, bool]:
    if known.state == "done":
        return known.result or "", True
    return (
        "Unknown outcome: an earlier attempt at this very call was cut off, so it may or may not have happened. "
        "It was not run again. Tell the user so that a person can check.",
        False,
    )
