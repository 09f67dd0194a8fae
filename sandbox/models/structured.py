"""Fills a JSON schema from a text, as far as the text says something; the rest gets the emptiest valid value."""

import re
from typing import Any

from sandbox.models.chat import JSON

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?)?")
_LONGEST = 500


def fill_schema(schema: JSON, text: str) -> Any:
    """A value that fits the schema.

    Args:
        schema: A JSON schema; `$ref`, `$defs`, `anyOf`, `enum`, `const` and the plain types are understood.
        text: Where values are looked for: `field: value`, numbers, dates, list items and the words of enums.
    """
    return _fill(
        schema or {"type": "object"}, text, name="", defs=schema.get("$defs") or schema.get("definitions") or {}
    )


def _fill(schema: JSON, text: str, *, name: str, defs: JSON) -> Any:
    if "$ref" in schema:
        schema = {**defs.get(str(schema["$ref"]).rsplit("/", 1)[-1], {}), **schema}
        schema.pop("$ref")
    for key in ("anyOf", "oneOf", "allOf"):
        if options := schema.get(key):
            chosen = next((option for option in options if option.get("type") != "null"), options[0])
            nullable = any(option.get("type") == "null" for option in options)
            if nullable and not _mentions(name, text):
                return None
            return _fill(chosen, text, name=name, defs=defs)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _fill_enum(schema["enum"], text, name)
    return _fill_type(schema, text, name, defs)


def _fill_type(schema: JSON, text: str, name: str, defs: JSON) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((option for option in kind if option != "null"), "null")
    match kind:
        case "object":
            properties: JSON = schema.get("properties", {})
            return {key: _fill(part, text, name=key, defs=defs) for key, part in properties.items()}
        case "array":
            found = _items(text, name)
            least, most = schema.get("minItems", 0), schema.get("maxItems", 20)
            found = (found or [text] * least)[:most]
            return [_fill(schema.get("items", {}), item, name="", defs=defs) for item in found]
        case "integer" | "number":
            return _fill_number(schema, text, name, whole=kind == "integer")
        case "boolean":
            said = _said(text, name).lower()
            return said.startswith(("yes", "true", "1")) if said else _mentions(name, text)
        case "null":
            return None
        case _:
            if schema.get("format") in {"date", "date-time"} and (date := _DATE.search(text)):
                return date[0]
            return (_said(text, name) or " ".join(text.split()))[: schema.get("maxLength", _LONGEST)]


def _fill_enum(options: list[Any], text: str, name: str) -> Any:
    said = _said(text, name) or text
    places = [
        (match.start(), position)
        for position, option in enumerate(options)
        if (match := re.search(rf"\b{re.escape(str(option))}\b", said, re.IGNORECASE))
    ]
    return options[min(places)[1]] if places else options[0]


def _fill_number(schema: JSON, text: str, name: str, *, whole: bool) -> float | int:
    match = _NUMBER.search(_said(text, name)) or (_NUMBER.search(text) if not name or name in {"value"} else None)
    number = float(match[0]) if match else float(schema.get("minimum") or schema.get("default") or 0)
    number = min(max(number, schema.get("minimum", number)), schema.get("maximum", number))
    return int(number) if whole else number


def _said(text: str, name: str) -> str:
    """What stands after `name:`, `name =` or `name is` in the text, up to the line's end."""
    if not name:
        return ""
    words = r"[\s_-]*".join(re.escape(word) for word in re.split(r"[_\s]+", name) if word)
    match = re.search(rf"\b{words}\b[\"'*]*\s*(?:[:=]|\bis\b|\bof\b)\s*[\"'*]*([^\n]+)", text, re.IGNORECASE)
    return re.split(r"[,;]\s|\.\s", match[1])[0].strip(" \"'*.,;") if match else ""


def _mentions(name: str, text: str) -> bool:
    words = [word for word in re.split(r"[_\s]+", name.lower()) if len(word) > 2]
    return bool(words) and all(word in text.lower() for word in words)


def _items(text: str, name: str) -> list[str]:
    listed = [match[1] for match in re.finditer(r"^\s*(?:[-*•]|\d+[.)])\s+(.+)$", text, re.MULTILINE)]
    if listed:
        return listed
    match = re.search(rf"\b{re.escape(name)}\s*[:=]\s*([^\n]+)", text, re.IGNORECASE) if name else None
    return [part.strip() for part in re.split(r",|;|\band\b", match[1]) if part.strip()] if match else []
