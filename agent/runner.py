"""The only door to the agent: jobs, command line and tests all call ``Runner.answer``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, message_to_dict
from langchain_core.runnables import RunnableConfig

import prompts
from agent.checkpoints import LEASE, RECORDS, FencedSaver
from agent.context import Approving, Members, Reply, Requester, TurnContext
from agent.errors import ModelError, ModelUnavailable
from agent.gate import Gate
from agent.graph import build_graph
from agent.history import History, load_history
from agent.middleware import NO_ANSWER, ModelCalls
from agent.redaction import Redactor
from agent.repair import complete
from agent.retries import ModelCaller
from agent.structured import StructuredModel
from storage import approvals, conversations, turns
from storage.access import Viewer
from storage.budgets import Budget
from storage.db import Database
from storage.leases import Lease
from storage.messages import StoredMessage
from storage.sources import Source
from storage.turns import Outcome, Turn
from tools.context import ChannelRules, Documentation, Embedder, Monitors, NoRules
from tools.registry import CatalogueEntry

log = structlog.get_logger()
RECURSION_LIMIT = 60
GRACE_SECONDS = 150.0  # past the turn's time: for the call that is in flight and the last one, without tools


@dataclass(frozen=True)
class Limits:
    """What one turn may use; seconds, bytes and approximate tokens."""

    model_calls: int = 25
    tool_calls: int = 40
    turn_seconds: float = 600.0
    tool_seconds: float = 60.0
    result_bytes: int = 65536
    history_tokens: int = 16000
    keep_turns: int = 3


@dataclass(frozen=True)
class Question:
    """A turn to answer, with all that the agent needs to know around it.

    ``alert`` tells of the alert that the thread began with, if it did (agent/alert_threads.py).
    ``thread`` holds the Slack thread's messages before the question, oldest first; those that the
    conversation has not seen yet are put in front of it. ``budget`` is the channel's, ``rules`` what is set for
    any channel. ``approving`` asks people where a tool changes something; None: there is no way to ask.
    """

    turn: Turn
    lease: Lease
    requester: Requester
    channel_label: str
    workspace_url: str
    allowed_tools: frozenset[str]
    thread: Sequence[StoredMessage] = field(default=())
    budget: Budget = field(default=Budget())
    rules: ChannelRules = field(default=NoRules())
    alert: str = ""
    approving: Approving | None = None


class Waiting(Exception):
    """A turn stands still until people decide; what they are asked is recorded."""


class Runner:
    """Answers questions with one graph."""

    def __init__(
        self,
        database: Database,
        model: BaseChatModel,
        catalogue: list[CatalogueEntry],
        *,
        caller: ModelCaller,
        limits: Limits,
        redactor: Redactor,
        embedder: Embedder | None = None,
        monitors: Monitors | None = None,
        tool_notes: Callable[[frozenset[str]], str] | None = None,
        documentation: Documentation | None = None,
    ) -> None:
        self._database = database
        self._documentation = documentation
        self._monitors = monitors
        self._tool_notes = tool_notes
        self._model = model
        self._caller = caller
        self._limits = limits
        self._redactor = redactor
        self._embedder = embedder
        self._saver = FencedSaver(database)
        self.catalogue = catalogue
        self.structured = StructuredModel(model, caller, database)
        self.graph = build_graph(
            model,
            catalogue,
            model_calls=ModelCalls(caller, max_model_calls=limits.model_calls, max_tool_calls=limits.tool_calls),
            gate=Gate(
                catalogue,
                database,
                redactor=redactor,
                max_calls=limits.tool_calls,
                tool_seconds=limits.tool_seconds,
                result_bytes=limits.result_bytes,
            ),
            checkpointer=self._saver,
        )

    @property
    def model_name(self) -> str:
        """The model that answers."""
        return self._caller.model

    async def answer(self, question: Question, reply: Reply, members: Members) -> str:
        """Answer a turn and record the outcome: conversation, turn and what is to be posted, in one transaction.

        A turn that was begun before resumes at its last checkpoint.

        Raises:
            Waiting: it needs people's approval first; with it the turn is to be answered again.
            LeaseLost: another worker took the thread; nothing was recorded.
            Exception: anything unforeseen; the turn can be tried again.
        """
        reply.started()
        context = self._context(question, reply, members)
        history = await self._history(question, context)
        context = replace(context, history=history.messages)
        try:
            messages = await self._run(question, context, history)
        except ModelError as error:
            await self._record(question, reply, [], str(error), history, error=f"{type(error).__name__}: {error}")
            return str(error)
        if messages is None:
            await self._wait(question)
            raise Waiting(f"turn {question.turn.turn_id} waits for approval")
        text = self._redactor.clean(_final_text(messages))
        await self._record(question, reply, messages, text, history)
        return text

    async def greet(self, question: Question, reply: Reply, greeting: str) -> None:
        """Answer a turn without a question, and without the model."""
        await self._record(question, reply, [], greeting, None)

    async def fail(self, question: Question, reply: Reply, *, notice: str, error: str) -> None:
        """Give a turn up and tell the user so."""
        await self._record(question, reply, [], notice, None, error=error)

    async def _run(self, question: Question, context: TurnContext, history: History) -> list[AnyMessage] | None:
        """The turn's messages, or None where calls wait for approval."""
        turn = question.turn
        config: RunnableConfig = {
            "configurable": {
                "thread_id": f"{turn.thread_key}#{turn.turn_id}",
                LEASE: question.lease,
                RECORDS: context.records,
            },
            # With the turn's id as run id the same call starts, resumes or, once ended, does nothing.
            "metadata": {"run_id": str(turn.turn_id)},
            "recursion_limit": max(RECURSION_LIMIT, 2 * self._limits.model_calls + 10),
        }
        unseen = _unseen(question, history.seen_upto_ts)
        context.records.sources += [Source(turn.turn_id, turn.team_id, m.channel_id, m.ts) for m in unseen]
        asked = HumanMessage(_with_thread(turn.question, unseen), id=str(turn.turn_id))
        remaining = context.deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(remaining, 0) + GRACE_SECONDS):
                state = await self.graph.ainvoke({"messages": [asked]}, config, context=context, durability="sync")
        except TimeoutError as error:
            raise ModelUnavailable(
                f"I gave up after {self._limits.turn_seconds / 60:.0f} minutes without an answer. Please ask again."
            ) from error
        finally:
            try:
                await self._saver.flush(config["configurable"]["thread_id"])
            finally:
                await context.records.flush(self._database)
        return None if state.get("__interrupt__") else complete(state["messages"])

    async def _wait(self, question: Question) -> None:
        """Have the turn wait, and what people are asked posted, in one transaction."""
        async with self._database.connection() as conn, conn.transaction():
            await turns.wait(conn, question.lease, question.turn.turn_id)
            for approval in await approvals.list_open(conn, question.turn.turn_id):
                if question.approving:
                    await question.approving.ask(conn, approval)

    async def _history(self, question: Question, context: TurnContext) -> History:
        async def summarise(summary: str, transcript: str) -> str:
            prompt = HumanMessage(prompts.render("summary", summary=summary or "(none)", messages=transcript))

            async def ask() -> AIMessage:
                answer = await self._model.ainvoke([prompt])
                return answer if isinstance(answer, AIMessage) else AIMessage(answer.text)

            answer = await self._caller.call(ask, context=context, module="compaction", messages=[prompt])
            await context.records.flush(self._database)
            return self._redactor.clean(answer.text)

        return await load_history(
            self._database,
            question.lease,
            budget=self._limits.history_tokens,
            keep_turns=self._limits.keep_turns,
            summarise=summarise,
        )

    def _context(self, question: Question, reply: Reply, members: Members) -> TurnContext:
        turn, requester = question.turn, question.requester
        now = datetime.now(UTC)
        prompt = prompts.render(
            "system",
            channel=question.channel_label,
            requester=requester.name,
            now=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        notes = self._tool_notes(question.allowed_tools) if self._tool_notes else ""
        spent = (now - turn.started_at).total_seconds() if turn.started_at else 0.0
        return TurnContext(
            turn_id=turn.turn_id,
            viewer=Viewer(turn.team_id, turn.requester_id, turn.channel_id),
            thread_ts=turn.thread_ts,
            database=self._database,
            now=now,
            workspace_url=question.workspace_url,
            embedder=self._embedder,
            rules=question.rules,
            budget=question.budget,
            monitors=self._monitors,
            documentation=self._documentation,
            requester=requester,
            lease=question.lease,
            reply=reply,
            members=members,
            allowed_tools=question.allowed_tools,
            system_prompt="\n\n".join(
                part for part in (prompt, self._redactor.clean(notes), self._redactor.clean(question.alert)) if part
            ),
            message_ts=turn.message_ts,
            approving=question.approving,
            deadline=asyncio.get_running_loop().time() + max(0.0, self._limits.turn_seconds - spent),
        )

    async def _record(
        self,
        question: Question,
        reply: Reply,
        messages: list[AnyMessage],
        text: str,
        history: History | None,
        error: str | None = None,
    ) -> None:
        turn = question.turn
        async with self._database.connection() as conn, conn.transaction():
            if messages:
                seen = max([turn.message_ts or "0", history.seen_upto_ts if history else "0"], key=float)
                await conversations.append(
                    conn, question.lease, turn.turn_id, [message_to_dict(m) for m in messages], seen_upto_ts=seen
                )
            await turns.finish(conn, question.lease, turn.turn_id, answer=text, error=error)
            await reply.record(conn, Outcome(text, failed=error is not None))


def _unseen(question: Question, seen_upto_ts: str) -> list[StoredMessage]:
    """Those messages of the question's Slack thread that the conversation has not seen."""
    return [m for m in question.thread if float(m.ts) > float(seen_upto_ts) and m.ts != question.turn.message_ts]


def _with_thread(question: str, unseen: Sequence[StoredMessage]) -> str:
    """The question, after what was said in its thread."""
    if not unseen:
        return question
    lines = [f"[{m.posted_at.strftime('%Y-%m-%dT%H:%M:%SZ')}] {m.author}: {_one_line(m.text)}" for m in unseen]
    return "Earlier in this thread:\n" + "\n".join(lines) + "\n\n" + question


def _one_line(text: str) -> str:
    return " ".join(text.split())[:1500]


def _final_text(messages: list[AnyMessage]) -> str:
    last = messages[-1] if messages else None
    return last.text.strip() if isinstance(last, AIMessage) and last.text.strip() else NO_ANSWER
