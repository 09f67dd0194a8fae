"""Asks the chat model for an answer of a given shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel, ValidationError

from agent.errors import BadAnswer
from agent.retries import Asking, ModelCaller
from storage.db import Database

Shape = TypeVar("Shape", bound=BaseModel)


class StructuredModel:
    """The chat model, whose calls are recorded and tried again, for answers of a given shape."""

    def __init__(self, model: BaseChatModel, caller: ModelCaller, database: Database) -> None:
        self._model = model
        self._caller = caller
        self._database = database

    @property
    def name(self) -> str:
        """The model's name."""
        return self._caller.model

    async def ask(self, shape: type[Shape], messages: Sequence[BaseMessage], *, asking: Asking, module: str) -> Shape:
        """Ask for an answer of a shape; the call is recorded under ``asking``, as one of the module.

        Raises:
            ModelUnavailable: the model cannot be had now.
            ModelRefused: its server refuses the request.
            BadAnswer: it answers in another shape.
        """

        async def attempt() -> AIMessage:
            return await invoke(self._model, shape, messages)

        try:
            answer = await self._caller.call(attempt, context=asking, module=module, messages=list(messages))
        finally:
            await asking.records.flush(self._database)
        return read(shape, answer)


async def invoke(model: BaseChatModel, shape: type[BaseModel], messages: Sequence[BaseMessage]) -> AIMessage:
    """One call of the model that asks for a shape by its JSON schema; ``read`` reads its answer."""
    # As a schema, not as a class: the clients then leave the reading to us and agree in what they do.
    asked: Any = model.with_structured_output(shape.model_json_schema(), include_raw=True)
    answer = (await asked.ainvoke(list(messages)))["raw"]
    return answer if isinstance(answer, AIMessage) else AIMessage(answer.text)


def read(shape: type[Shape], answer: AIMessage) -> Shape:
    """What the model answered: the arguments of its call, or the JSON object in its text.

    Raises:
        BadAnswer: it has another shape.
    """
    try:
        if answer.tool_calls:
            return shape.model_validate(answer.tool_calls[0]["args"])
        start = answer.text.index("{")
        return shape.model_validate(json.JSONDecoder().raw_decode(answer.text, start)[0])
    except (ValueError, ValidationError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadAnswer(f"The model's answer is no {shape.__name__}: {reason}") from error
