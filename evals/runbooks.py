"""How well runbooks keep to the threads that they are distilled from.

A thread's first message stands for the alert; a runbook is distilled from all others.

Definitions:
    grounded: the share of a runbook's lines that cite a message of their thread, keep to its words
        (agent/grounding.py) and hold no command that it does not hold word for word.
    wording: the mean share of the words of a line's text that stand in the message that it cites.
    commands_kept: of the commands in the messages (code of two words or more; in code blocks and elsewhere, lines
        after ``$`` or of a well-known program), the share that stand in the runbook word for word.
    dropped: the share of the lines which the model proposed that code took out.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.errors import ModelError
from agent.grounding import find_verbatim, is_grounded, squeeze, wording
from agent.redaction import Redactor
from agent.runbooks import Ask, distil
from storage.runbooks import RunbookLine
from storage.triage import AlertName, TriageMessage

AT_ONCE = 4
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
CODE = re.compile(r"```(?:\w+\n)?(.*?)```|`([^`\n]+)`", re.DOTALL)
PROGRAMS = "kubectl|helm|terraform|docker|systemctl|sudo|psql|curl|aws|gcloud|az|git|ssh|eksctl|oc"
PROMPTED = re.compile(rf"^[ \t>*-]*(?:\$ (?P<prompted>\S.*)|(?P<known>(?:{PROGRAMS}) \S.*))$", re.MULTILINE)


class DataError(Exception):
    """The data cannot be read; the message names the file and the line."""


@dataclass(frozen=True)
class Thread:
    """A thread of an alert: what people wrote, without its first message."""

    thread_id: str
    name: AlertName
    triage: list[TriageMessage]


@dataclass(frozen=True)
class ThreadScore:
    """What became of a thread; ``error`` where the model gave no runbook."""

    thread_id: str
    lines: list[RunbookLine]
    proposed: int
    grounded: int
    wording: float
    commands: int
    commands_kept: int
    error: str | None = None


@dataclass(frozen=True)
class Report:
    """All threads together."""

    threads: list[ThreadScore]

    def as_dict(self) -> dict[str, Any]:
        """The figures, as they are printed."""
        lines = sum(len(score.lines) for score in self.threads)
        proposed = sum(score.proposed for score in self.threads)
        commands = sum(score.commands for score in self.threads)
        return {
            "threads": len(self.threads),
            "failed": sum(score.error is not None for score in self.threads),
            "empty": sum(not score.lines for score in self.threads),
            "lines": lines,
            "dropped": _share(proposed - lines, proposed, 0.0),
            "grounded": _share(sum(score.grounded for score in self.threads), lines),
            "wording": _share(sum(score.wording for score in self.threads), lines),
            "commands": commands,
            "commands_kept": _share(sum(score.commands_kept for score in self.threads), commands),
        }


def load_threads(path: Path) -> list[Thread]:
    """Threads of a file: a JSON object a line, with ``id``, ``alert``, ``service`` and ``messages[{user, text}]``.

    Raises:
        DataError: it cannot be read.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    threads = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            threads.append(_thread(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}, line {number}: not a thread of an incident ({why})") from error
    if not threads:
        raise DataError(f"{path} holds no threads")
    return threads


def _thread(row: dict[str, Any]) -> Thread:
    thread_id = str(row["id"])
    return Thread(
        thread_id,
        AlertName(str(row.get("service") or ""), str(row["alert"])),
        [
            TriageMessage(
                channel_id="C1",
                channel_kind="public",
                ts=f"{number}.000000",
                thread_ts="0.000000",
                author=str(message.get("user") or "somebody"),
                text=str(message["text"]),
                permalink=f"{thread_id}#{number}",
                posted_at=EPOCH + timedelta(minutes=number),
            )
            for number, message in enumerate(row["messages"][1:], 1)
        ],
    )


async def evaluate(threads: Sequence[Thread], ask: Ask, *, redactor: Redactor | None = None) -> Report:
    """Distil a runbook from each thread, and judge it."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(thread: Thread) -> ThreadScore:
        async with places:
            return await _judge(thread, ask, redactor or Redactor())

    return Report(list(await asyncio.gather(*(one(thread) for thread in threads))))


async def _judge(thread: Thread, ask: Ask, redactor: Redactor) -> ThreadScore:
    commands = sorted({code for message in thread.triage for code in commands_in(message.text)})
    try:
        distilled = await distil(thread.name, thread.triage, ask, redactor=redactor)
    except ModelError as error:
        return ThreadScore(thread.thread_id, [], 0, 0, 0.0, len(commands), 0, str(error))
    sources = {message.ts: message.text for message in thread.triage}
    known = (thread.name.alert, thread.name.service)
    said = [squeeze(part) for line in distilled.lines for part in (line.text, line.command or "")]
    return ThreadScore(
        thread.thread_id,
        distilled.lines,
        distilled.proposed,
        sum(_keeps_to(line, sources.get(line.ts), known) for line in distilled.lines),
        sum(wording(line.text, sources.get(line.ts, "")) for line in distilled.lines),
        len(commands),
        sum(any(squeeze(command) in part for part in said) for command in commands),
    )


def _keeps_to(line: RunbookLine, source: str | None, known: tuple[str, str]) -> bool:
    if source is None:
        return False
    verbatim = line.command is None or find_verbatim(line.command, source) is not None
    return verbatim and is_grounded(line.text, source, known=known)


def commands_in(text: str) -> list[str]:
    """The commands that a message holds."""
    found = []
    for match in CODE.finditer(text):
        code = (match[1] or match[2] or "").strip()
        run = [line["prompted"] or line["known"] for line in PROMPTED.finditer(code)]
        found += run or ([code] if len(code.split()) > 1 else [])
    found += [line["prompted"] or line["known"] for line in PROMPTED.finditer(CODE.sub("", text))]
    return [command.strip() for command in found]


def _share(part: float, whole: int, of_nothing: float = 1.0) -> float:
    return round(part / whole, 4) if whole else of_nothing
