"""What is wrong with a setting, in words that name what it may be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

BOUNDS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
NO_NUMBER = frozenset({"float_parsing", "float_type", "int_parsing", "int_type", "int_from_float"})

KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "keys and values",
    NoneType: "nothing",
}


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
    if error["loc"] and isinstance(error["loc"][-1], int):
        place = f"{place}: each entry"
    if kind == "extra_forbidden":
        return _unknown(root, error["loc"])
    if kind in {"model_type", "dict_type"}:
        fields = f"; it may have {_either(names)}" if (names := _fields(annotation)) else ""
        return f"{place} must hold keys and values, not {_kind(given)}{fields}"
    if kind == "list_type":
        such = f", such as [{given!r}]" if isinstance(given, str) else ""
        return f"{place} must be a list{such}, not {_kind(given)}"
    if kind == "string_type":
        quoted = f": write {str(given)!r}" if type(given) in {int, float} else ""
        return f"{place} must be a text, not {_kind(given)}{quoted}"
    if kind in {"bool_type", "bool_parsing"}:
        return f"{place} must be true or false, not {_kind(given)}"
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


def _unknown(root: type[BaseModel], path: Sequence[int | str]) -> str | None:
    """What to write instead of a key that is none, inside of a section."""
    names = _fields(_find(root, path[:-1])[0])
    if len(path) == 1 or not names:
        return None
    *sections, key = (str(part) for part in path)
    place = ".".join(sections)
    if key in root.model_fields:
        return f"unknown setting {place}.{key}; {key} is a setting of its own: write it beside {sections[0]}"
    if near := difflib.get_close_matches(key, names, n=1, cutoff=0.6):
        return f"unknown setting {place}.{key}; did you mean {place}.{near[0]}?"
    return f"unknown setting {place}.{key}; {place} may have {_either(names)}"


def _fields(annotation: Any) -> list[str]:
    """The keys that a section may have."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return []
    return [info.alias or name for name, info in annotation.model_fields.items()]


def _kind(value: Any) -> str:
    """What stands there, without its words: they may be a secret."""
    return KINDS.get(type(value), f"a {type(value).__name__}")


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
