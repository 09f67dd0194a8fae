"""The only door to the agent: jobs, command line and tests all call ``Runner.answer``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import structlog
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage, message_to_dict
from langchain_core.runnables import RunnableConfig

import prompts
from agent import asides, endings, references
from agent.backing import collect, messages_in
from agent.chat_models import ChatModels
from agent.checkpoints import LEASE, RECORDS, SIGNALS, FencedSaver
from agent.context import Members, Reply, TurnContext
from agent.errors import ModelError, ModelUnavailable
from agent.evidence import ground
from agent.forks import Fork, thread_id
from agent.gate import Gate
from agent.graph import build_graph
from agent.history import History, load_history
from agent.images import UNSEEN
from agent.middleware import NO_ANSWER, ModelCalls
from agent.question import Limits, Question, with_thread
from agent.redaction import Redactor
from agent.repair import complete, own
from agent.restarts import begin_retry
from agent.retries import ModelCaller
from agent.signals import Stopped
from agent.structured import StructuredModel
from storage import approvals, conversations, sources, turns
from storage.access import Viewer
from storage.db import Database
from storage.sources import Source
from storage.steering import TurnStopped
from storage.turns import Outcome, Turn
from tools.context import Documentation, Embedder, Monitors
from tools.registry import CatalogueEntry

log = structlog.get_logger()
RECURSION_LIMIT = 60
SAME_LANGUAGE = "the language of the question"
LONG_ANSWER = 4_000  # characters; to take apart what is longer must not hold up whatever else goes on
GRACE_SECONDS = 150.0  # past the turn's time: for the call that is in flight and the last one, without tools


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
        build_model: Callable[[str], BaseChatModel] | None = None,
    ) -> None:
        self._database = database
        self._documentation = documentation
        self._monitors = monitors
        self._tool_notes = tool_notes
        self._models = ChatModels(model, caller, build_model)
        self._limits = limits
        self._redactor = redactor
        self._embedder = embedder
        self._saver = FencedSaver(database)
        self.structured = StructuredModel(model, caller, database)
        self.catalogue: list[CatalogueEntry] = []  # one list for good: others hold it, and see what is offered
        self.offer(catalogue)

    def offer(self, catalogue: list[CatalogueEntry]) -> None:
        """Answer with these tools; turns that are under way go on with those they began with."""
        limits = self._limits
        self.catalogue[:] = catalogue
        self._entries = {entry.name: entry for entry in catalogue}
        self.graph = build_graph(
            self._models.get("").client,
            catalogue,
            model_calls=ModelCalls(
                self._models,
                self._database,
                redactor=self._redactor,
                max_model_calls=limits.model_calls,
                max_tool_calls=limits.tool_calls,
            ),
            gate=Gate(
                catalogue,
                self._database,
                redactor=self._redactor,
                max_calls=limits.tool_calls,
                tool_seconds=limits.tool_seconds,
                result_bytes=limits.result_bytes,
            ),
            checkpointer=self._saver,
        )

    @property
    def model_name(self) -> str:
        """The model that answers where a channel has no other."""
        return self._models.get("").caller.model

    async def answer(self, question: Question, reply: Reply, members: Members) -> str:
        """Answer a turn and record the outcome: conversation, turn and what is to be posted, in one transaction.

        A turn that was begun before resumes at its last checkpoint.

        Raises:
            Waiting: it needs people's approval first; with it the turn is to be answered again.
            LeaseLost: another worker took the thread; nothing was recorded.
            Exception: anything unforeseen; the turn can be tried again.
        """
        reply.started()
        turn, signals = question.turn, question.signals
        context = self._context(question, reply, members)
        try:
            async with signals.until_stopped():
                begun, history = await self._begin(question, context)
            context = replace(context, history=history.messages, last_reference=history.last_reference)
            messages = await self._run(question, context, history, begun)
            if messages is None:
                await self._wait(question)
                raise Waiting(f"turn {turn.turn_id} waits for approval")
            if signals.stopped_by:
                raise Stopped
        except Stopped:
            return await self.stop(question, reply)
        except ModelError as error:
            return await self.fail(question, reply, notice=str(error), error=f"{type(error).__name__}: {error}")
        answer = await self._ground(question, context, messages)
        messages = own(messages, turn.turn_id)
        above = asides.above(turn, messages, begun, question.workspace_url)
        text = question.images.ahead_of(self._redactor.clean("\n\n".join(part for part in (*above, answer) if part)))
        return await self._record(question, reply, messages, text, history)

    async def greet(self, question: Question, reply: Reply, greeting: str) -> None:
        """Answer a turn without a question, and without the model."""
        await self._record(question, reply, [], greeting, None)

    async def fail(self, question: Question, reply: Reply, *, notice: str, error: str) -> str:
        """Give a turn up, and tell the user so and what was done by then.

        Raises:
            LeaseLost: another worker took the thread; nothing was recorded.
        """
        return await endings.record(self._database, question, reply, self._redactor, notice=notice, error=error)

    async def stop(self, question: Question, reply: Reply) -> str:
        """End a turn that somebody stopped, and say so; what it did until then stays in its conversation.

        Raises:
            LeaseLost: another worker took the thread; nothing was recorded.
        """
        turn = question.turn
        state = await self.graph.aget_state(self._config(turn.thread_key, turn.turn_id))
        messages = state.values.get("messages") or [HumanMessage(turn.question, id=str(turn.turn_id))]
        return await endings.record(
            self._database, question, reply, self._redactor, messages=own(messages, turn.turn_id)
        )

    async def _begin(self, question: Question, context: TurnContext) -> tuple[Fork | None, History]:
        """What the turn begins with, if it is a retry, and what was said before."""
        turn, begun = question.turn, None
        if turn.retry_of:
            is_fresh = await context.members.refresh(turn.team_id, turn.requester_id)
            begun = await begin_retry(self.graph, self._database, question, context.viewer, is_fresh=is_fresh)
        history = await self._history(question, context, without=begun.replaced if begun else ())
        return begun, replace(history, last_reference=max(history.last_reference, await self._given_beside(turn)))

    async def _given_beside(self, turn: Turn) -> int:
        """The highest number of a reference in turns of the thread whose messages are in no conversation yet."""
        async with self._database.connection() as conn:
            others = await turns.begun_beside(conn, turn)
        states = [await self.graph.aget_state(self._config(turn.thread_key, each)) for each in others]
        return max((references.highest(state.values.get("messages", [])) for state in states), default=0)

    def _config(self, thread_key: str, turn_id: UUID) -> RunnableConfig:
        return {
            "configurable": {"thread_id": thread_id(thread_key, turn_id)},
            # With the turn's id as run id the same call starts, resumes or, once ended, does nothing.
            "metadata": {"run_id": str(turn_id)},
            "recursion_limit": max(RECURSION_LIMIT, 2 * self._limits.model_calls + 10),
        }

    async def _run(
        self, question: Question, context: TurnContext, history: History, begun: Fork | None
    ) -> list[AnyMessage] | None:
        """The turn's messages, or None where calls wait for approval.

        Raises:
            Stopped: somebody stopped the turn.
        """
        turn = question.turn
        config = self._config(turn.thread_key, turn.turn_id)
        config["configurable"] |= {LEASE: question.lease, RECORDS: context.records, SIGNALS: context.signals}
        messages: list[AnyMessage]
        if begun:
            messages = begun.messages
        else:
            unseen = question.unseen(history)
            context.records.sources += [Source(turn.turn_id, turn.team_id, m.channel_id, m.ts) for m in unseen]
            messages = [HumanMessage(with_thread(turn.question, unseen), id=str(turn.turn_id))]
        remaining = context.deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(remaining, 0) + GRACE_SECONDS):
                state = await self.graph.ainvoke({"messages": messages}, config, context=context, durability="sync")
        except TimeoutError as error:
            raise ModelUnavailable(
                f"I gave up after {self._limits.turn_seconds / 60:.0f} minutes without an answer. Please ask again."
            ) from error
        finally:
            try:
                await self._saver.flush(config["configurable"])
            finally:
                await context.records.flush(self._database)
        return None if state.get("__interrupt__") else complete(state["messages"])

    async def _ground(self, question: Question, context: TurnContext, messages: list[AnyMessage]) -> str:
        """The answer with what it rests on; the conversation keeps the model's own words."""
        text = _final_text(messages)
        linked = messages_in(text)
        if linked:
            seen = [message for message in (*context.history, *messages) if not isinstance(message, AIMessage)]
            linked -= messages_in("\n".join([context.system_prompt, *(each.text for each in seen)]))
        if linked:  # of turns whose results are no longer in the history
            async with self._database.connection() as conn:
                linked -= await sources.shown_in_thread(conn, context.viewer, question.turn.thread_ts, linked)
        write = partial(
            ground,
            text,
            collect((*context.history, *messages), self._entries),
            looked_up=any(isinstance(message, ToolMessage) for message in messages),
            workspace_url=question.workspace_url,
            invented=linked,
        )
        return (await asyncio.to_thread(write) if len(text) > LONG_ANSWER else write()) or NO_ANSWER

    async def _wait(self, question: Question) -> None:
        """Have the turn wait, and what people are asked posted, in one transaction.

        Raises:
            Stopped: somebody stopped the turn.
        """
        async with self._database.connection() as conn, conn.transaction():
            if not await turns.wait(conn, question.lease, question.turn.turn_id):
                raise Stopped
            for approval in await approvals.list_open(conn, question.turn.turn_id):
                if question.approving:
                    await question.approving.ask(conn, approval)

    async def _history(self, question: Question, context: TurnContext, *, without: Collection[UUID]) -> History:
        model = self._models.get(context.model)

        async def summarise(summary: str, transcript: str) -> str:
            prompt = HumanMessage(prompts.render("summary", summary=summary or "(none)", messages=transcript))

            async def ask() -> AIMessage:
                answer = await model.client.ainvoke([prompt])
                return answer if isinstance(answer, AIMessage) else AIMessage(answer.text)

            answer = await model.caller.call(ask, context=context, module="compaction", messages=[prompt])
            await context.records.flush(self._database)
            return self._redactor.clean(answer.text)

        return await load_history(
            self._database,
            question.lease,
            context.viewer,
            budget=self._limits.history_tokens,
            keep_turns=self._limits.keep_turns,
            summarise=summarise,
            without=without,
        )

    def _context(self, question: Question, reply: Reply, members: Members) -> TurnContext:
        turn, requester = question.turn, question.requester
        now = datetime.now(UTC)
        prompt = prompts.render(
            "system",
            channel=question.channel_label,
            requester=requester.name,
            now=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            language=f"{question.language}, in whatever language you are asked" if question.language else SAME_LANGUAGE,
        )
        notes = self._tool_notes(question.allowed_tools) if self._tool_notes else ""
        unseen = UNSEEN if question.images.note else ""
        return TurnContext(
            turn_id=turn.turn_id,
            viewer=Viewer(
                turn.team_id, turn.requester_id, turn.channel_id, requester.outsider, audience=question.audience
            ),
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
                part
                for part in (prompt, self._redactor.clean(notes), self._redactor.clean(question.alert), unseen)
                if part
            ),
            message_ts=turn.message_ts,
            approving=question.approving,
            signals=question.signals,
            model=question.model,
            images=question.images.shown,
            deadline=asyncio.get_running_loop().time() + max(0.0, self._limits.turn_seconds - turn.spent_seconds),
        )

    async def _record(
        self, question: Question, reply: Reply, messages: list[AnyMessage], text: str, history: History | None
    ) -> str:
        """Record an answer, unless somebody stopped the turn by now; returns what is said in the end."""
        turn = question.turn
        try:
            async with self._database.connection() as conn, conn.transaction():
                if not await turns.finish(conn, question.lease, turn.turn_id, answer=text):
                    return text
                if messages:
                    seen = max([turn.message_ts or "0", history.seen_upto_ts if history else "0"], key=float)
                    await conversations.append(
                        conn, question.lease, turn.turn_id, [message_to_dict(m) for m in messages], seen_upto_ts=seen
                    )
                model = self._models.get(question.model).caller.model
                await reply.record(conn, Outcome(text, answered=bool(messages), model=model))
        except TurnStopped:
            return await self.stop(question, reply)
        return text


def _final_text(messages: list[AnyMessage]) -> str:
    last = messages[-1] if messages else None
    return last.text.strip() if isinstance(last, AIMessage) and last.text.strip() else NO_ANSWER
