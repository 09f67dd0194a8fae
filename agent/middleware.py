"""What each model call is shown and allowed: prompt, history, tools, limits; and the repair of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents import AgentState
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage

import prompts
from agent.context import TurnContext
from agent.repair import complete, well_formed
from agent.retries import ModelCaller

MODULE = "agent"
NO_ANSWER = "I stopped at a limit of this turn before I had an answer. Please ask again, more narrowly."


class ModelCalls(AgentMiddleware[AgentState[Any], TurnContext]):
    """Wraps each model call of a turn.

    The graph's state holds this turn only; the thread's history comes from the context and is put in front.
    At a limit the model is asked once more, without tools, to answer from what it has.
    """

    def __init__(self, caller: ModelCaller, *, max_model_calls: int, max_tool_calls: int) -> None:
        super().__init__()
        self._caller = caller
        self._max_model_calls = max_model_calls
        self._max_tool_calls = max_tool_calls

    async def awrap_model_call(
        self,
        request: ModelRequest[TurnContext],
        handler: Callable[[ModelRequest[TurnContext]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Make one model call."""
        context = request.runtime.context
        turn = complete(request.messages)
        limit = self._limit(turn, context)
        shown: list[AnyMessage] = [*context.history, *turn]
        if limit:
            shown.append(HumanMessage(prompts.render("limit", limit=limit)))
        allowed = [tool for tool in request.tools if getattr(tool, "name", None) in context.allowed_tools]
        asked = request.override(
            system_message=SystemMessage(context.system_prompt), messages=shown, tools=[] if limit else allowed
        )

        async def ask() -> AIMessage:
            response = await handler(asked)
            answer = response.result[-1]
            if not isinstance(answer, AIMessage):
                raise TypeError(f"the model returned a {type(answer).__name__}")
            if limit and (answer.tool_calls or answer.invalid_tool_calls):
                return AIMessage(answer.text.strip() or NO_ANSWER, usage_metadata=answer.usage_metadata)
            return answer

        answer = await self._caller.call(
            ask, context=context, module=MODULE, messages=list(shown), tools=[] if limit else allowed
        )
        return ModelResponse(result=[well_formed(answer, _call_ids(turn))])

    def _limit(self, turn: list[AnyMessage], context: TurnContext) -> str | None:
        """Which limit is reached, in words for the model and the user."""
        if sum(isinstance(message, AIMessage) for message in turn) >= self._max_model_calls - 1:
            return f"{self._max_model_calls} model calls"
        if len(_call_ids(turn)) >= self._max_tool_calls:
            return f"{self._max_tool_calls} tool calls"
        if asyncio.get_running_loop().time() >= context.deadline:
            return "its time"
        return None


def _call_ids(messages: list[AnyMessage]) -> list[str]:
    return [str(call["id"]) for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
