"""What is wrong with a setting, in words that name what it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

BOUNDS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
NO_NUMBER = frozenset({"float_parsing", "float_type", "int_parsing", "int_type", "int_from_float"})


def describe(error: Mapping[str, Any], root: type[BaseModel]) -> str | None:
    """A mistake that pydantic found, by what the setting may be; None where its own words do.

    Args:
        error: one of ``ValidationError.errors()``, with its input.
        root: the model of all settings.
    """
    kind, given = error["type"], error.get("input")
    last = len(error["loc"]) - 1
    place = ".".join(str(part) for at, part in enumerate(error["loc"]) if at < last or not isinstance(part, int))
    annotation, info = _find(root, error["loc"])
    if kind == "literal_error" and (allowed := _choices(annotation)):
        return f"{place}: {given!r} is not known; it may be {_either(allowed)}"
    if kind == "list_type" and (allowed := _choices(annotation)):
        return f"{place} must be a list, such as [{allowed[0]}], of {_either(allowed)}"
    if kind in BOUNDS | NO_NUMBER and info is not None and isinstance(given, str | int | float):
        whole = "a whole number" if annotation is int else "a number"
        return f"{place} must be {whole}{_range(info)}, not {given!r}"
    return None


def _find(root: type[BaseModel], path: Sequence[int | str]) -> tuple[Any, FieldInfo | None]:
    """What stands at a path: its type, and the field that it belongs to."""
    place: Any = root
    info: FieldInfo | None = None
    for part in path:
        if isinstance(place, type) and issubclass(place, BaseModel):
            fields = place.model_fields
            info = fields.get(str(part)) or next((f for f in fields.values() if f.alias == part), None)
            if info is None:
                return None, None
            place = info.annotation
        elif get_origin(place) is dict:
            place = get_args(place)[1]
        elif get_origin(place) is list:
            place = get_args(place)[0]
        if get_origin(place) is Annotated:
            place = get_args(place)[0]
    return place, info


def _choices(annotation: Any) -> list[str]:
    """The words that a type allows, itself or in a list."""
    if get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    return [str(word) for word in get_args(annotation)] if get_origin(annotation) is Literal else []


def _either(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _range(info: FieldInfo) -> str:
    low = high = ""
    for bound in info.metadata:
        match bound:
            case annotated_types.Ge(ge=least):
                low = f"from {least}"
            case annotated_types.Gt(gt=least):
                low = f"above {least}"
            case annotated_types.Le(le=most):
                high = f"to {most}" if low.startswith("from") else f"up to {most}"
            case annotated_types.Lt(lt=most):
                high = f"below {most}"
            case _:
                pass
    return "".join(
        f" {words}" for words in (low, "and" if low and high.startswith(("up", "below")) else "", high) if words
    )
