"""How a turn's progress looks in Slack: pure builders, for a stream and for a message that is edited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from slack_app.mrkdwn import neutralise, quiet
from slack_app.parts import LONGEST_PART, shorten

LONGEST_NOTE = 100
LONGEST_STREAM = 11_000  # characters; Slack takes 12,000
MOST_STEPS = 20  # in a message that is edited; a stream shows all
MARKS = {"in_progress": "⏳", "complete": "✓", "error": "✗"}
SPECIAL = re.compile(r"([\\`*_\[\]~|#!])")
ASKED = "→"  # the mark of a step that people are asked about
PAUSED = "_Asked for approval: see below._"


@dataclass(frozen=True)
class Step:
    """One tool call; ``title`` and ``note`` are plain words."""

    call_id: str
    title: str
    state: Literal["in_progress", "complete", "error"] = "in_progress"
    note: str = ""


@dataclass(frozen=True)
class View:
    """What is to be seen of a turn: its steps, and the text of its newest model call.

    ``take`` counts how often the text began anew.
    """

    steps: tuple[Step, ...] = ()
    text: str = ""
    take: int = 0


@dataclass(frozen=True)
class Streamed:
    """What stands in a stream: its steps by their ids, and its text.

    ``text`` is what was added since ``take`` began, when there were ``steps_before`` steps; ``length`` counts all.
    """

    steps: Mapping[str, Step] = field(default_factory=dict)
    text: str = ""
    take: int = 0
    steps_before: int = 0
    length: int = 0


def add(streamed: Streamed, view: View) -> tuple[list[dict[str, Any]], Streamed] | None:
    """The chunks that bring a stream to a view, and what then stands in it; None where something would have to go.

    Words before a step may stay: they read as what they were.
    """
    chunks = [_task(step) for step in view.steps if streamed.steps.get(step.call_id) != step]
    after = replace(streamed, steps={**streamed.steps, **{step.call_id: step for step in view.steps}})
    text, shown, apart = neutralise(view.text)[:LONGEST_PART], streamed.text, ""
    if not text:
        return chunks, after
    if view.take != streamed.take:
        if shown and len(view.steps) == streamed.steps_before:
            return None
        shown, apart = "", "\n\n" if shown else ""
    if not text.startswith(shown):
        return None
    added = apart + text[len(shown) :]
    length = streamed.length + len(added)
    if not added.strip() or length > LONGEST_STREAM:
        return chunks, after
    after = replace(after, text=text, take=view.take, steps_before=len(view.steps), length=length)
    return [*chunks, {"type": "markdown_text", "text": added}], after


def plain(words: str) -> str:
    """Words that mention nobody and are no markup, as they stand in a task."""
    return neutralise(quiet(words.replace("<", "‹").replace(">", "›")))


def _task(step: Step) -> dict[str, Any]:
    chunk: dict[str, Any] = {
        "type": "task_update",
        "id": step.call_id,
        "title": plain(step.title),
        "status": step.state,
    }
    return chunk | ({"output": plain(step.note[:LONGEST_NOTE])} if step.note else {})


def status(step: Step) -> str:
    """A step as the status line: it follows the bot's name."""
    if step.state == "in_progress":
        return f"is {step.title[:1].lower()}{step.title[1:]}…"
    return f"has finished {step.title[:1].lower()}{step.title[1:]}" + (
        f": {step.note[:LONGEST_NOTE]}" if step.note else ""
    )


def page(view: View, *, paused: bool = False) -> str:
    """All of it as Markdown, for a message that is edited in place.

    Args:
        view: what is to be seen.
        paused: it is left at that where people are asked: it says nothing that their decision, or a stop, makes untrue.
    """
    steps = [_line(step, ASKED if paused else MARKS["in_progress"]) for step in view.steps[-MOST_STEPS:]]
    hidden = len(view.steps) - len(steps)
    if hidden > 0:
        steps.insert(0, f"… {hidden} steps before")
    lines = "  \n".join(steps)
    text = "" if paused else shorten(view.text, max(LONGEST_PART - len(lines), 0))
    parts = [lines, text, PAUSED if paused else ""]
    return "\n\n".join(part for part in parts if part) or "…"


def _line(step: Step, under_way: str) -> str:
    words = f"{step.title} — {step.note[:LONGEST_NOTE]}" if step.note else step.title
    escaped = SPECIAL.sub(r"\\\1", plain(words))
    return f"{under_way if step.state == 'in_progress' else MARKS[step.state]} {escaped}"
