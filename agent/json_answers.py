"""Answers in JSON: asked for in the provider's own way where it has one, and checked against the schema always."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

import prompts
from agent.errors import ModelRefused
from agent.models import Provider
from agent.records import Records
from agent.redaction import Redactor
from agent.retries import ModelCaller
from storage.access import Viewer
from storage.budgets import Budget
from storage.db import Database
from tools.json_schema import Schema

LONGEST_ANSWER = 256 * 1024
FENCED = re.compile(r"\A```\w*\n(.*)\n```\Z", re.DOTALL)


@dataclass(frozen=True)
class JSONAnswer:
    """What a model answered; ``value`` counts only where there is no ``problem``."""

    text: str
    value: Any
    problem: str | None


@dataclass(frozen=True)
class Errand:
    """What calls outside of the agent's graph are made for; implements ``agent.retries.Asking``."""

    turn_id: UUID
    viewer: Viewer
    budget: Budget = field(default=Budget())
    records: Records = field(default_factory=Records, repr=False)


class JSONModel:
    """A chat model that answers in JSON."""

    def __init__(
        self, model: BaseChatModel, caller: ModelCaller, database: Database, redactor: Redactor, provider: Provider
    ) -> None:
        self._model = model
        self._caller = caller
        self._database = database
        self._redactor = redactor
        self._provider = provider
        self._refused: set[str] = set()

    @property
    def name(self) -> str:
        """The model that answers."""
        return self._caller.model

    async def ask(self, instructions: str, request: str, schema: Schema, *, errand: Errand, module: str) -> JSONAnswer:
        """Ask once, and once more where the answer does not fit.

        Args:
            instructions: the system prompt; it names the schema.
            request: what is asked; secrets are taken out of it.
            schema: what the answer must fit.
            errand: what it is for; its calls are recorded.
            module: which part of Ratchet asks.

        Raises:
            ModelError: there was no answer.
        """
        messages: list[BaseMessage] = [SystemMessage(instructions), HumanMessage(self._redactor.clean(request))]
        answer = _read(await self._call(messages, schema, errand, module), schema)
        if answer.problem is None:
            return answer
        repair = prompts.render("json_repair", problem=answer.problem)
        messages += [AIMessage(answer.text[:LONGEST_ANSWER]), HumanMessage(repair)]
        return _read(await self._call(messages, schema, errand, module), schema)

    async def _call(self, messages: list[BaseMessage], schema: Schema, errand: Errand, module: str) -> str:
        options = {} if schema.text in self._refused else self._options(schema)
        try:
            return await self._attempt(messages, options, errand, module)
        except ModelRefused:
            if not options:
                raise
        # Many compatible servers know no schemas, and no server knows all of them: then the prompt has to do.
        text = await self._attempt(messages, {}, errand, module)
        self._refused.add(schema.text)
        return text

    async def _attempt(self, messages: list[BaseMessage], options: dict[str, Any], errand: Errand, module: str) -> str:
        async def ask() -> AIMessage:
            answer = await self._model.ainvoke(messages, **options)
            return answer if isinstance(answer, AIMessage) else AIMessage(answer.text)

        try:
            answer = await self._caller.call(ask, context=errand, module=module, messages=messages)
        finally:
            await errand.records.flush(self._database)
        return answer.text

    def _options(self, schema: Schema) -> dict[str, Any]:
        """How the provider is told the schema; both take objects only."""
        if not schema.is_object:
            return {}
        if self._provider == "ollama":
            return {"format": schema.definition}
        named = {"name": "answer", "schema": schema.definition}
        return {"response_format": {"type": "json_schema", "json_schema": named}}


def _read(text: str, schema: Schema) -> JSONAnswer:
    stripped = text.strip()
    fenced = FENCED.match(stripped)
    if len(text) > LONGEST_ANSWER:
        return JSONAnswer(text, None, f"it is longer than {LONGEST_ANSWER:,} characters")
    try:
        value = json.loads(fenced[1] if fenced else stripped, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        return JSONAnswer(text, None, f"it is not JSON: {error or 'nested too deeply'}")
    return JSONAnswer(text, value, schema.problem(value))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is too large a number")
    return number
