"""Reads what tools returned: JSON mostly, cut off sometimes, an error's text at other times."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from sandbox.models.chat import JSON, ToolResult

_CODE = re.compile(r"```(?:\w+\n)?\s*(.+?)\s*```|`([^`\n]+)`", re.DOTALL)
_COMMAND = re.compile(r"\S+\s+\S")
_EXCERPT = 280


def read_result(result: ToolResult) -> JSON | None:
    """The result as an object; None if it is an error's text. Of a cut-off text, the messages and alerts in it."""
    try:
        value = json.loads(result.text)
    except ValueError:
        return _salvage(result.text)
    if isinstance(value, dict):
        return None if "error" in value and set(value) <= {"error", "status", "detail"} else value
    return {"messages": [item for item in value if isinstance(item, dict)]} if isinstance(value, list) else None


def _salvage(text: str) -> JSON | None:
    decoder, at = json.JSONDecoder(), text.find("{")
    found: dict[str, list[JSON]] = {"messages": [], "alerts": []}
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            found["alerts" if "alert" in value else "messages"].append(value)
        at = text.find("{", end)
    found["messages"] = [message for message in found["messages"] if "text" in message]
    return dict(found) if any(found.values()) else None


def rows(value: JSON | None, key: str) -> list[JSON]:
    """The objects of a list in a result; empty if there is none."""
    found = (value or {}).get(key)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def show_time(value: Any) -> str:
    """An RFC 3339 time for people: `21 Nov 2026 10:42 UTC`; what is no time stays as it is."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value or "an unknown time")
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return moment.strftime("%d %b %Y %H:%M UTC").lstrip("0")


def show_window(value: JSON) -> str:
    """The span that a result covers; empty if it names none."""
    since, until = value.get("since"), value.get("until")
    if since and until:
        return f" between {show_time(since)} and {show_time(until)}"
    return f" since {show_time(since)}" if since else f" until {show_time(until)}" if until else ""


def link(row: JSON, label: str = "message") -> str:
    """A markdown link to a message; empty without a permalink."""
    url = row.get("permalink")
    return f"[{label}]({url})" if url else ""


def excerpt(text: Any, length: int = _EXCERPT) -> str:
    """A text in one line, cut at `length` characters."""
    line = " ".join(str(text or "").replace("```", "`").split())
    return line if len(line) <= length else line[:length].rsplit(" ", 1)[0] + " …"


def show_message(row: JSON, length: int = _EXCERPT) -> str:
    """A message in one line: who, where, when, what, and the link."""
    place = f" in {row['channel']}" if row.get("channel") else ""
    head = f"**{row.get('author') or 'someone'}**{place}, {show_time(row.get('time'))}"
    return f"{head}: {excerpt(row.get('text'), length)} {link(row)}".rstrip()


def commands(text: Any) -> list[str]:
    """What a message quotes as code and looks like a command or several, word for word."""
    found = [(match[1] or match[2]).strip("\n") for match in _CODE.finditer(str(text or ""))]
    return [code for code in found if _COMMAND.search(code)]
