"""Tool: the runbook of an alert, or what people wrote when it fired before (behaviour A10)."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Sequence
from typing import Literal, TypedDict

from langchain_core.tools import ToolException, tool

from storage import runbooks
from storage.db import Connection
from storage.runbooks import Runbook, RunbookLine
from storage.triage import AlertName, TriageMessage, list_names, load_triage
from tools.context import Runtime, ToolContext

SHOWN = 30
EXCERPT = 1200
NEAR = 0.6  # likeness of names, 0 to 1
LONGEST_NAME = 200  # characters of a name that are compared


class Line(TypedDict):
    """A line of a runbook; ``command`` is verbatim. ``doubted``: it stood in a version that did not work."""

    text: str
    command: str | None
    author: str
    time: str
    permalink: str
    doubted: bool


class Reply(TypedDict):
    """What a person wrote in the thread of the alert, cut at 1,200 characters."""

    author: str
    time: str
    text: str
    permalink: str


class RunbookResult(TypedDict):
    """``found`` says what this is: a stored runbook, only the messages of earlier threads, or nothing.

    ``messages`` are, with a runbook, those written after it; without one, all, newest thread first.
    """

    found: Literal["runbook", "messages", "nothing"]
    service: str | None
    alert: str
    matched: Literal["exactly", "nearest"]
    other_names: list[str]
    version: int | None
    created: str | None
    worked: int
    did_not_work: int
    stale: str | None
    overview: list[Line]
    root_causes: list[Line]
    steps: list[Line]
    messages: list[Reply]


@tool(
    parse_docstring=True,
    extras={
        "effect": "read",
        "doing": "Looking up the runbook of {alert}[ on {service}]",
        "outcome": "{found} found",
        "topic": "Runbooks",
        "example": "how did we fix this alert the last time?",
    },
)
async def lookup_runbook(alert: str, runtime: Runtime, service: str | None = None) -> RunbookResult:
    """Look up how an alert was dealt with before: overview, root causes, resolution steps with verbatim commands.

    Use it for "what do we do about this alert", "how was it fixed last time", before you search. Returns the stored
    runbook; where there is none, the messages that people wrote below earlier firings, to be summed up by you with
    their links. Names need not be exact: when the nearest one was taken, say which. Cite each line's permalink. Say
    so when it is stale, or when people say that it did not work.

    Args:
        alert: The alert's name, as far as it is known.
        service: The service that it is about. Empty: any.
    """
    context = runtime.context
    if not alert.strip():
        raise ToolException("Which alert? Give its name, or part of it.")
    async with context.database.connection() as conn:
        names = await list_names(conn, context.viewer)
    candidates = await asyncio.to_thread(match, names, alert.strip(), (service or "").strip())
    if not candidates:
        raise ToolException(
            f"No alert named {alert[:LONGEST_NAME]!r} was seen in the channels that the requester may read from here. "
            "search_messages with group_by alert lists those that fired."
        )
    exact = _plain(candidates[0].alert) == _plain(alert)
    exact = exact and (not service or _plain(candidates[0].service) == _plain(service))
    async with context.database.connection() as conn:
        name, runbook, triage = await _load(conn, context, candidates)
        outdated = await runbooks.is_outdated(conn, context.viewer.team_id, runbook.version) if runbook else False
    if runbook:
        triage = [message for message in triage if message.posted_at > runbook.version.created_at]
    version = runbook.version if runbook else None
    return RunbookResult(
        found="runbook" if runbook else "messages" if triage else "nothing",
        service=name.service or None,
        alert=name.alert,
        matched="exactly" if exact else "nearest",
        other_names=[str(other) for other in candidates if other != name][:5],
        version=version.version if version else None,
        created=version.created_at.strftime("%Y-%m-%dT%H:%M:%SZ") if version else None,
        worked=version.worked if version else 0,
        did_not_work=version.failed if version else 0,
        stale=_stale(runbook, outdated=outdated),
        overview=_lines(runbook, "overview"),
        root_causes=_lines(runbook, "root_cause"),
        steps=_lines(runbook, "step"),
        messages=[_show(message) for message in triage[:SHOWN]],
    )


async def _load(
    conn: Connection, context: ToolContext, candidates: Sequence[AlertName]
) -> tuple[AlertName, Runbook | None, list[TriageMessage]]:
    """The first of the best names of which anything is known; they differ in the service only."""
    best = [name for name in candidates if _plain(name.alert) == _plain(candidates[0].alert)][:5]
    for name in best:
        runbook = await runbooks.latest(conn, context.viewer, name)
        triage = await load_triage(conn, context.viewer, name)
        if runbook or triage:
            return name, runbook, triage
    return candidates[0], None, []


def match(names: Sequence[AlertName], alert: str, service: str) -> list[AlertName]:
    """The names that may be meant, best first: those that are the same but for case and signs, else the nearest."""
    wanted = AlertName(service, alert)
    if wanted in names:
        return [wanted]

    alert, service = _plain(alert), _plain(service)

    def likeness(name: AlertName) -> float:
        plain = _plain(name.alert)
        ours = difflib.SequenceMatcher(None, alert, plain).ratio()
        within = 0.9 if alert and alert in plain else 0.0
        theirs = difflib.SequenceMatcher(None, service, _plain(name.service)).ratio() if service else 1.0
        return max(ours, within) * (0.8 + 0.2 * theirs)

    scored = [(likeness(name), name) for name in names]
    near = sorted((pair for pair in scored if pair[0] >= NEAR), key=lambda pair: pair[0], reverse=True)
    same = [name for score, name in near if score == 1.0]
    return same or [name for _, name in near[:6]]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name[:LONGEST_NAME]).casefold()


def _stale(runbook: Runbook | None, *, outdated: bool) -> str | None:
    if runbook is None:
        return None
    if runbook.version.rejected:
        return "more people say that it did not work than that it worked"
    return "what it was distilled from has changed, or people wrote about the alert since" if outdated else None


def _lines(runbook: Runbook | None, section: runbooks.Section) -> list[Line]:
    return [_line(line) for line in (runbook.section(section) if runbook else [])]


def _line(line: RunbookLine) -> Line:
    return Line(
        text=line.text,
        command=line.command,
        author=line.author,
        time=line.posted_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        permalink=line.permalink,
        doubted=line.doubted,
    )


def _show(message: TriageMessage) -> Reply:
    return Reply(
        author=message.author,
        time=message.posted_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        text=message.text if len(message.text) <= EXCERPT else message.text[:EXCERPT] + " […]",
        permalink=message.permalink,
    )
