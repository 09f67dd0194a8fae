"""What each model call is shown and allowed: prompt, history, tools, limits; and the repair of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents import AgentState
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage

import prompts
from agent import references
from agent.chat_models import ChatModels
from agent.context import TurnContext
from agent.images import attach
from agent.redaction import Redactor
from agent.repair import complete, own, well_formed
from agent.speech import Speech, listen
from storage import steering
from storage.db import Database
from storage.steering import Added

MODULE = "agent"
TAKEN_IN = "taken_in"  # of a message that came while the turn ran: its timestamp in Slack
NO_ANSWER = "I stopped at a limit of this turn before I had an answer. Please ask again, more narrowly."


class ModelCalls(AgentMiddleware[AgentState[Any], TurnContext]):
    """Wraps each model call of a turn.

    The graph's state holds this turn only; the thread's history comes from the context and is put in front.
    At a limit the model is asked once more, without tools, to answer from what it has.
    """

    def __init__(
        self,
        models: ChatModels,
        database: Database,
        *,
        redactor: Redactor,
        max_model_calls: int,
        max_tool_calls: int,
    ) -> None:
        super().__init__()
        self._models = models
        self._database = database
        self._redactor = redactor
        self._max_model_calls = max_model_calls
        self._max_tool_calls = max_tool_calls

    async def awrap_model_call(
        self,
        request: ModelRequest[TurnContext],
        handler: Callable[[ModelRequest[TurnContext]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Make one model call; what the requester wrote since the last one is put before it, and kept with its answer.

        Raises:
            Stopped: somebody stopped the turn.
        """
        context = request.runtime.context
        async with context.signals.until_stopped():
            return await self._call(request, handler, context)

    async def _call(
        self,
        request: ModelRequest[TurnContext],
        handler: Callable[[ModelRequest[TurnContext]], Awaitable[ModelResponse[Any]]],
        context: TurnContext,
    ) -> ModelResponse[Any]:
        added = await self._take_in(request.messages, context)
        turn = [*complete(request.messages), *added]
        limit = self._limit(own(turn, context.turn_id), context)
        shown_turn = attach(turn, context.turn_id, context.images)
        shown: list[AnyMessage] = [references.show(message) for message in (*context.history, *shown_turn)]
        if limit:
            shown.append(HumanMessage(prompts.render("limit", limit=limit)))
        allowed = [tool for tool in request.tools if getattr(tool, "name", None) in context.allowed_tools]
        model = self._models.get(context.model)
        asked = request.override(
            model=model.client,
            system_message=SystemMessage(context.system_prompt),
            messages=shown,
            tools=[] if limit else allowed,
            model_settings={**request.model_settings, "stream": True},
        )

        async def ask() -> AIMessage:
            speech = Speech(context.reply, self._redactor)
            try:
                with listen(speech):
                    response = await handler(asked)
            except BaseException:
                speech.take_back()
                raise
            answer = response.result[-1]
            if not isinstance(answer, AIMessage):
                raise TypeError(f"the model returned a {type(answer).__name__}")
            if answer.tool_calls or answer.invalid_tool_calls:
                speech.take_back()
            if limit and (answer.tool_calls or answer.invalid_tool_calls):
                return AIMessage(answer.text.strip() or NO_ANSWER, usage_metadata=answer.usage_metadata)
            return answer

        answer = await model.caller.call(
            ask, context=context, module=MODULE, messages=list(shown), tools=[] if limit else allowed
        )
        return ModelResponse(result=[*added, well_formed(answer, _call_ids(turn))])

    async def _take_in(self, messages: Sequence[AnyMessage], context: TurnContext) -> list[HumanMessage]:
        """What the requester wrote since, given to this turn for good: a later attempt finds it again."""
        signals = context.signals
        if not signals.has_news:
            return []
        async with self._database.connection() as conn:
            taken = await steering.take_in(conn, context.lease, context.turn_id)
        signals.has_news = False
        for added in taken[len(signals.taken) :]:
            context.reply.steered(added.question)
        signals.taken = taken
        held = {message.id for message in messages}
        return [taken_in(added) for added in taken if str(added.turn_id) not in held]

    def _limit(self, turn: list[AnyMessage], context: TurnContext) -> str | None:
        """Which limit is reached, in words for the model and the user."""
        if sum(isinstance(message, AIMessage) for message in turn) >= self._max_model_calls - 1:
            return f"{self._max_model_calls} model calls"
        if len(_call_ids(turn)) >= self._max_tool_calls:
            return f"{self._max_tool_calls} tool calls"
        if asyncio.get_running_loop().time() >= context.deadline:
            return "its time"
        return None


def taken_in(added: Added) -> HumanMessage:
    """A message that came while the turn ran, as the model is shown it."""
    return HumanMessage(added.question, id=str(added.turn_id), additional_kwargs={TAKEN_IN: added.message_ts})


def _call_ids(messages: list[AnyMessage]) -> list[str]:
    return [str(call["id"]) for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
