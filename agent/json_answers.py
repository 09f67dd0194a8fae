"""Answers in JSON: asked for in the provider's own way where it has one, and checked against the schema always."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from jsonschema.exceptions import SchemaError as InvalidSchema
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from referencing import Registry, Resource, Specification
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

import prompts
from agent.errors import ModelRefused
from agent.models import Provider
from agent.records import Records
from agent.redaction import Redactor
from agent.retries import ModelCaller
from storage.access import Viewer
from storage.budgets import Budget
from storage.db import Database

REFERENCES = {"$ref", "$dynamicRef", "$recursiveRef"}
LONGEST_ANSWER = 256 * 1024
FENCED = re.compile(r"\A```\w*\n(.*)\n```\Z", re.DOTALL)


class SchemaError(Exception):
    """Something is no JSON Schema that can be used; the message says why."""


class Schema:
    """A JSON Schema: of the draft that it names, else 2020-12. It refers to nothing outside of itself."""

    def __init__(self, definition: Any) -> None:
        """Check the schema itself.

        Raises:
            SchemaError: it is none.
        """
        try:
            self.text = json.dumps(definition, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise SchemaError(f"it is not JSON: {error}") from None
        self.definition = json.loads(self.text)
        if not isinstance(self.definition, dict | bool):
            raise SchemaError("it must be an object, such as {type: object}")
        outside = next((ref for ref in _references(self.definition) if not ref.startswith("#")), None)
        if outside is not None:
            raise SchemaError(f"it refers to {outside!r}, outside of itself")
        kind = validator_for(self.definition, default=Draft202012Validator)
        try:
            kind.check_schema(self.definition)
        except InvalidSchema as error:
            raise SchemaError(f"{error.json_path}: {error.message[:300]}") from None
        specification = specification_with(kind.META_SCHEMA["$schema"], default=DRAFT202012)
        root = specification.create_resource(self.definition)
        _resolve(specification, root, Registry().resolver_with_root(root), set())
        self._validator: Validator = kind(self.definition, registry=Registry())

    @property
    def is_object(self) -> bool:
        """Whether only objects fit."""
        return isinstance(self.definition, dict) and self.definition.get("type") == "object"

    def problem(self, value: Any) -> str | None:
        """Why a value does not fit; None when it does."""
        try:
            found = best_match(self._validator.iter_errors(value))
        except Unresolvable as error:
            return f"the schema's reference cannot be resolved: {error}"
        except RecursionError:
            return "it is nested too deeply"
        return f"{found.json_path}: {found.message[:300]}" if found else None


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


def _resolve(specification: Specification[Any], resource: Resource[Any], resolver: Any, seen: set[int]) -> None:
    """Follow every reference of a schema and of its parts, each from where it stands.

    Raises:
        SchemaError: one leads nowhere, or to something that is no schema.
    """
    if id(resource.contents) in seen or not isinstance(resource.contents, dict):
        return
    seen.add(id(resource.contents))
    for key in REFERENCES & resource.contents.keys():
        reference = resource.contents[key]
        try:
            found = resolver.lookup(reference)
        except Unresolvable:
            raise SchemaError(f"its reference {reference!r} cannot be resolved") from None
        if not isinstance(found.contents, dict | bool):
            raise SchemaError(f"its reference {reference!r} leads to no schema")
        _resolve(specification, specification.create_resource(found.contents), found.resolver, seen)
    for part in resource.subresources():
        _resolve(specification, part, resolver.in_subresource(part), seen)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is too large a number")
    return number


def _references(definition: Any) -> Iterator[str]:
    """Whatever ``$ref`` and ``$dynamicRef`` name."""
    if isinstance(definition, dict):
        for key, value in definition.items():
            if key in REFERENCES and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(definition, list):
        for value in definition:
            yield from _references(value)
