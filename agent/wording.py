"""What a tool call is called while people wait for it, and what came of it, in plain words.

A tool says how it is to be called with ``extras={"doing": "Searching {channel|messages}[ for {query}]"}``: names in
braces are its arguments, a word after ``|`` stands in for one that is missing, and what stands in brackets is left out
with its argument. With ``extras={"outcome": "{messages} messages"}`` it says what of its result counts; a list stands
for how many it holds.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from tools.registry import CatalogueEntry

TITLE = "title"  # in the additional_kwargs of a tool's result: what its call was shown as
LONGEST_VALUE = 60
LONGEST_TITLE = 140
LONGEST_RESULT = 1_000_000  # characters that are worth reading for a number
OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
PLACEHOLDER = re.compile(r"\{(\w+)(?:\|([^{}]*))?\}")
CHANNEL_ID = re.compile(r"<?#?([CDG][A-Z0-9]{8,})(?:\|[^>]*)?>?")
# What a result calls the things that it found, where nothing better is known; the first that is there counts.
COUNTS = ("total", "total_hits", "count")


def name_call(entry: CatalogueEntry | None, name: str, args: Mapping[str, Any]) -> str:
    """A call in a few words; ``args`` are cleaned of secrets. A tool that is not known, or says nothing, is named."""
    template = _template(entry, "doing")
    return _short(_fill(template, args) if template else _generic(name, args), LONGEST_TITLE)


def arguments_shown(entry: CatalogueEntry | None) -> frozenset[str]:
    """The names of the arguments that a call's title shows."""
    return frozenset(match[1] for match in PLACEHOLDER.finditer(_template(entry, "doing")))


def name_outcome(entry: CatalogueEntry | None, result: str) -> str:
    """What a call found, in a few words; empty where the result does not say.

    Args:
        entry: the tool.
        result: its result as the model reads it, whole.
    """
    if len(result) > LONGEST_RESULT:
        return ""
    try:
        found = json.loads(result)
    except (ValueError, RecursionError):
        return ""
    template = _template(entry, "outcome")
    if template and isinstance(found, dict):
        counted = {name: len(value) if isinstance(value, list) else value for name, value in found.items()}
        return _short(_fill(template, counted), LONGEST_TITLE)
    return _short(_count(found), LONGEST_TITLE)


def _generic(name: str, args: Mapping[str, Any]) -> str:
    given = ", ".join(f"{key}: {shown}" for key, value in args.items() if (shown := _value(value)))
    return f"Running {name}({given})" if given else f"Running {name}"


def _template(entry: CatalogueEntry | None, key: str) -> str:
    found = (entry.tool.extras or {}).get(key) if entry else None
    return found if isinstance(found, str) else ""


def _fill(template: str, values: Mapping[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        return _value(values.get(match[1])) or match[2] or ""

    def optional(match: re.Match[str]) -> str:
        missing = any(not value(found) for found in PLACEHOLDER.finditer(match[1]))
        return "" if missing else match[1]

    return PLACEHOLDER.sub(value, OPTIONAL.sub(optional, template))


def _value(value: Any) -> str:
    """An argument in a few words; empty for none, and for what has no short form."""
    if value is None or isinstance(value, dict | list | bool):
        return ""
    return _short(str(value), LONGEST_VALUE)


def _short(text: str, longest: int) -> str:
    """One line without anything that cannot be seen."""
    line = " ".join("".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def _count(found: Any) -> str:
    if isinstance(found, list):
        return _number(len(found), "result")
    if not isinstance(found, dict):
        return ""
    lists = {key: value for key, value in found.items() if isinstance(value, list)}
    for key in COUNTS:
        total = found.get(key)
        if not isinstance(total, int) or isinstance(total, bool):
            continue
        if total or not any(lists.values()):  # a search that falls back to what is near counts no hits
            return _number(total, "hit")
    if not lists:
        return ""
    key = max(lists, key=lambda name: len(lists[name]))
    return _number(len(lists[key]), key.replace("_", " ").removesuffix("s"))


def _number(count: int, thing: str) -> str:
    if count == 0:
        return "nothing found"
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
