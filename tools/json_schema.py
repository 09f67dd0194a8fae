"""JSON Schemas from outside: checked before they are used, without fetching anything, in bounded time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema.exceptions import SchemaError as InvalidSchema
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing import Registry, Resource, Specification
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

REFERENCES = {"$ref", "$dynamicRef", "$recursiveRef"}
MOST_STEPS = 100_000  # keywords that are looked at to judge one value; a third of a second
BY_PATTERNS = {"pattern", "patternProperties", "unevaluatedProperties"}
Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class SchemaError(Exception):
    """Something is no JSON Schema that can be used; the message says why."""


class _TooManySteps(Exception):
    """References within a schema multiply, or a value is very large."""


class Schema:
    """A JSON Schema: of the draft that it names, else 2020-12. It refers to nothing outside of itself.

    One that is not ``trusted`` costs no more than a moment, whatever it says: none of its regular expressions is run,
    so that what only these could tell counts as fitting, and a value that takes too many steps does not fit.
    """

    def __init__(self, definition: Any, *, trusted: bool = True) -> None:
        """Check the schema itself.

        Raises:
            SchemaError: it is none.
        """
        try:
            self.text = json.dumps(definition, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise SchemaError(f"it is not JSON: {error}") from None
        self.definition = json.loads(self.text)
        try:
            self._kind = _check(self.definition, trusted=trusted)
        except RecursionError:
            raise SchemaError("it is nested too deeply") from None
        self._trusted = trusted

    @property
    def is_object(self) -> bool:
        """Whether only objects fit."""
        return isinstance(self.definition, dict) and self.definition.get("type") == "object"

    def problem(self, value: Any) -> str | None:
        """Why a value does not fit; None when it does."""
        kind, definition = self._kind, self.definition
        if not self._trusted:
            kind, definition = _bounded(kind), _without_drafts(definition)
        try:
            found = best_match(kind(definition, registry=Registry()).iter_errors(value))
        except Unresolvable as error:
            return f"the schema's reference cannot be resolved: {error}"
        except RecursionError:
            return "it is nested too deeply"
        except _TooManySteps:
            return "it takes too long to be checked"
        return f"{found.json_path}: {found.message[:300]}" if found else None


def _check(definition: Any, *, trusted: bool) -> type[Validator]:
    """What judges by a schema.

    Raises:
        SchemaError: it is none.
    """
    if not isinstance(definition, dict | bool):
        raise SchemaError("it must be an object, such as {type: object}")
    outside = next((ref for ref in _references(definition) if not ref.startswith("#")), None)
    if outside is not None:
        raise SchemaError(f"it refers to {outside!r}, outside of itself")
    kind: Any = validator_for(definition, default=Draft202012Validator)
    try:
        # The checker of formats refuses what only other languages' regular expressions know.
        kind.check_schema(definition, **({} if trusted else {"format_checker": None}))
    except InvalidSchema as error:
        raise SchemaError(f"{error.json_path}: {error.message[:300]}") from None
    specification = specification_with(kind.META_SCHEMA["$schema"], default=DRAFT202012)
    root = specification.create_resource(definition)
    _resolve(specification, root, Registry().resolver_with_root(root), set())
    checked: type[Validator] = kind
    return checked


def _bounded(kind: Any) -> type[Validator]:
    """The same without regular expressions, and with so many steps only: for one value."""
    steps = itertools.count()

    def count(keyword: Keyword) -> Keyword:
        def judge(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
            if next(steps) >= MOST_STEPS:
                raise _TooManySteps
            return keyword(validator, value, instance, schema)

        return judge

    def additional(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        if "patternProperties" in schema:
            return None
        found: Iterator[ValidationError] = kind.VALIDATORS["additionalProperties"](validator, value, instance, schema)
        return found

    judged = {name: count(keyword) for name, keyword in kind.VALIDATORS.items() if name not in BY_PATTERNS}
    skipped = dict.fromkeys(BY_PATTERNS, _skip)
    bounded: type[Validator] = extend(kind, {**judged, **skipped, "additionalProperties": count(additional)})
    return bounded


def _skip(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    """Judge nothing."""


def _without_drafts(definition: Any) -> Any:
    """A schema whose parts name no draft: one that does would be judged by that draft's own validator."""
    if isinstance(definition, dict):
        return {
            key: _without_drafts(value)
            for key, value in definition.items()
            if key != "$schema" or not isinstance(value, str)
        }
    return [_without_drafts(value) for value in definition] if isinstance(definition, list) else definition


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
