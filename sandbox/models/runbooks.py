"""Drafts a runbook without a language model: picks sentences of the given messages that tell causes and fixes."""

import json
import re
from typing import Any

from sandbox.models.answers import show_error
from sandbox.models.chat import JSON, ChatRequest, ToolResult
from sandbox.models.results import commands, link, read_result, rows, show_message

_FIELDS = {"overview", "root_causes", "steps"}
_CAUSE = re.compile(
    r"root cause|caused by|cause was|because|due to|turned out|was triggered by|culprit|the reason|\bleak(?:ed|ing)?\b",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"\b(?:fix(?:ed|es)?|solved|resolved|mitigated|rolled back|rolling back|rollback|"
    r"restart(?:ed|ing)?|revert(?:ed|ing)?|"
    r"scaled|increased|raised|deleted|drained|cleared|patched|disabled|enabled|applied|deployed|bumped|rotated|renewed|"
    r"upgraded|recreated|cordoned|killed|failed over|switched|merged|removed|added)\b",
    re.IGNORECASE,
)
_ASKED = re.compile(r"\?\s*$")
# Lines that go on in lower case are wrapped text.
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*<])|\n\s*\n|\n(?=\s*(?:[-*•\d`<]|[A-Z]))")
_PROGRAMS = "kubectl|helm|terraform|aws|gcloud|docker|systemctl|sudo|psql|curl"
_PROMPT = re.compile(rf"^\s*(?:[-*]\s+)?(?:\$ )?((?<=\$ )\S.+|(?:{_PROGRAMS}) .+)$")
_LONGEST = 300
_STEPS = 20


def is_runbook(schema: JSON) -> bool:
    """Whether a schema asks for a runbook."""
    return set(schema.get("properties") or {}) >= _FIELDS


def draft_runbook(request: ChatRequest) -> JSON:
    """Overview, root causes and steps, each with the id of the message that it is copied from."""
    messages = _messages(request.humans[-1] if request.humans else "")
    causes: list[JSON] = []
    steps: list[JSON] = []
    for message in messages:
        text, source = str(message["text"]), str(message["id"])
        told = [sentence for sentence in _sentences(text) if not _ASKED.search(sentence)]
        causes += [{"text": sentence, "source": source} for sentence in told if _CAUSE.search(sentence)]
        steps += _steps(text, source, told)
    overview = [
        {"text": sentences[0], "source": str(message["id"])}
        for message in messages[:1]
        if (sentences := _sentences(str(message["text"])))
    ]
    kept = sorted(range(len(steps)), key=lambda at: (steps[at]["command"] is None, at))[:_STEPS]
    return {"overview": overview, "root_causes": causes[:5], "steps": [steps[at] for at in sorted(kept)]}


def answer_runbook(result: ToolResult) -> str:
    """A runbook that was looked up, or the messages that there are instead."""
    value = read_result(result)
    if value is None:
        return show_error(result)
    name = "/".join(str(part) for part in (value.get("service"), value.get("alert")) if part)
    if value.get("found") == "nothing":
        return f"Nobody wrote anything below **{name}** yet, so there is no runbook."
    if value.get("found") == "messages":
        told = [f"- {show_message(message, 600)}" for message in rows(value, "messages")[:10]]
        return "\n".join([f"There is no runbook for **{name}** yet. What people wrote when it fired:", *told])
    lines = [f"## Runbook {name}, version {value.get('version')}"]
    if value.get("stale"):
        lines.append(f"_Stale: {value['stale']}._")
    for key, heading in (("overview", "Overview"), ("root_causes", "Root causes"), ("steps", "Steps")):
        found = rows(value, key)
        lines += [f"\n{heading}:"] if found else []
        for row in found:
            command = f" `{row['command']}`" if row.get("command") else ""
            lines.append(f"- {row.get('text') or ''}{command} {link(row, 'source')}")
    return "\n".join(lines)


def _steps(text: str, source: str, told: list[str]) -> list[JSON]:
    done = [sentence for sentence in told if _DONE.search(sentence) and not _CAUSE.search(sentence)]
    run = commands(text)
    run += [match[1] for line in text.splitlines() if (match := _PROMPT.match(line)) and not _within(match[1], run)]
    lead = (done or told or [""])[0]
    steps: list[JSON] = [
        {"text": "" if number or command in lead else lead, "source": source, "command": command}
        for number, command in enumerate(run)
    ]
    said = {step["text"] for step in steps}
    return steps + [{"text": sentence, "source": source, "command": None} for sentence in done if sentence not in said]


def _within(command: str, known: list[str]) -> bool:
    return any(command in other for other in known)


def _sentences(text: str) -> list[str]:
    prose = re.sub(r"```.*?```", "\n", text, flags=re.DOTALL)
    found = (" ".join(part.split()).strip("-*• ") for part in _SENTENCE.split(prose))
    return [part for part in found if 2 < len(part) <= _LONGEST]


def _messages(text: str) -> list[Any]:
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "id" in value and "text" in value:
            found.append(value)
    return found
