"""Posts the runbook of an alert into its thread (behaviour A10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from agent.errors import ModelError
from agent.runbooks import MODULE, Distiller
from ratchet.policies import Policies
from ratchet.steps import Poster, turn_of
from slack_app.mrkdwn import unmention
from slack_app.parts import LONGEST_PART
from storage.access import Viewer
from storage.db import Database
from storage.leases import Lease
from storage.messages import NewMessage
from storage.runbooks import Runbook, RunbookLine
from storage.steps import NewArrival
from storage.triage import AlertName, opened_by

log = structlog.get_logger()
MOST_RUNBOOKS = 3  # in one reply, where a message tells of several alerts
HEADINGS = (
    ("overview", "Overview", "No overview found"),
    ("root_cause", "Historical root causes", "No historical root causes found"),
    ("step", "Resolution steps", "No resolution steps available"),
)  # fmt: skip


class RunbookStep:
    """Where a channel turned it on: replies to an alert with the runbooks of what it opens, if there are any."""

    name = MODULE

    def __init__(self, database: Database, distiller: Distiller, policies: Policies, poster: Poster) -> None:
        self._database = database
        self._distiller = distiller
        self._policies = policies
        self._poster = poster

    def may_want(self, message: NewMessage) -> bool:
        """An alert, if any channel turned it on."""
        return message.alert_action == "open_incident" and self._policies.does_unasked_somewhere("runbook")

    def wants(self, arrival: NewArrival) -> bool:
        """An alert in a channel that turned it on."""
        on = self._policies.does_unasked("runbook", arrival.channel_id, arrival.channel_name)
        return arrival.alert_action == "open_incident" and on

    async def run(self, arrival: NewArrival, lease: Lease) -> None:
        """Post it. Where several alerts have one and the model fails for some, the others are posted.

        Raises:
            ModelError: no runbook could be had.
        """
        async with self._database.connection() as conn:
            names = await opened_by(conn, arrival.team_id, arrival.channel_id, arrival.ts)
        found: list[Runbook] = []
        problem: ModelError | None = None
        for name in names:
            try:
                runbook = await self._current(arrival, name)
            except ModelError as error:
                log.warning("no runbook", alert=str(name), error=str(error))
                problem = error
                continue
            if runbook:
                found.append(runbook)
            if len(found) == MOST_RUNBOOKS:
                break
        if found:
            text, blocks = show_runbooks(found)
            await self._poster.reply(arrival, lease, self.name, text, model=found[0].version.model, blocks=blocks)
        elif problem:
            raise problem

    async def _current(self, arrival: NewArrival, name: AlertName) -> Runbook | None:
        audience = self._policies.audience(arrival.channel_id, arrival.channel_name)
        viewer = Viewer.everyone_in(arrival.team_id, arrival.channel_id, audience)
        turn_id = turn_of(arrival, self.name)
        return await self._distiller.current(
            viewer,
            name,
            before_ts=arrival.thread_ts or arrival.ts,
            turn_id=turn_id,
            budget=self._policies.budget(arrival.channel_id, arrival.channel_name),
        )


def show_runbooks(found: Sequence[Runbook]) -> tuple[str, list[dict[str, Any]]]:
    """Runbooks as Markdown that fits one message, and the buttons to vote on them."""
    text = "\n\n".join(show_runbook(runbook, longest=LONGEST_PART // len(found) - 2) for runbook in found)
    blocks: list[dict[str, Any]] = []
    for runbook in found:
        if len(found) > 1:
            label = str(_name(runbook))[:150]
            blocks.append({"type": "context", "elements": [{"type": "plain_text", "text": label}]})
        blocks.append(_buttons(runbook.version.runbook_id))
    return text, blocks


def show_runbook(runbook: Runbook, *, longest: int) -> str:
    """A runbook as Markdown of at most so many characters; the lines that do not fit are counted.

    It notifies nobody whom a message that it quotes mentions.
    """
    head, foot = f"**Runbook: {_plain(str(_name(runbook)))}**", _foot(runbook)
    room = longest - len(head) - len(foot) - 100
    parts, left_out = [head], 0
    for section, heading, nothing in HEADINGS:
        lines = [unmention(_show_line(line)) for line in runbook.lines if line.section == section]
        room -= len(heading) + 10
        shown = []
        for line in lines:
            room -= len(line) + 1
            if room > 0:
                shown.append(line)
        left_out += len(lines) - len(shown)
        parts.append(f"**{heading}**\n" + "\n".join(shown or [nothing]))
    if left_out:
        parts.append(f"_{left_out} more lines: ask me to look this runbook up._")
    return "\n\n".join([*parts, foot])


def _show_line(line: RunbookLine) -> str:
    source = f"[{_plain(line.author)}, {line.posted_at:%d %b %Y}]({line.permalink})"
    doubt = " ⚠️ did not work last time" if line.doubted else ""
    text = f"{_show_text(line.text)} " if line.text else ""
    if line.command is None:
        return f"- {text}({source}){doubt}"
    command = "\n".join(line.command.splitlines())  # also a carriage return ends a paragraph, and code with it
    if not any(sign in command for sign in ("\n", "`", "](")):
        return f"- {text}`{command}` ({source}){doubt}"
    fence = "`" * max(3, 1 + max(map(len, _ticks(command)), default=0))
    return f"- {text}({source}){doubt}\n{fence}\n{command}\n{fence}"


def _show_text(text: str) -> str:
    """A line's text without links; its backticks pair with none outside of it."""
    text = " ".join(text.split()).replace("](", "] (")
    runs = _ticks(text)
    return text if len(runs) % 2 == 0 and all(run == "`" for run in runs) else text.replace("`", "'")


def _ticks(text: str) -> list[str]:
    return "".join(letter if letter == "`" else " " for letter in text).split()


def _foot(runbook: Runbook) -> str:
    version = runbook.version
    votes = f" {version.worked} said that it worked, {version.failed} that it did not."
    return (
        f"_Version {version.version}, by {_plain(version.model)} out of {version.messages} "
        f"{'message' if version.messages == 1 else 'messages'} of earlier threads, {version.created_at:%d %b %Y}."
        f"{votes if version.worked or version.failed else ''}_"
    )


def _name(runbook: Runbook) -> AlertName:
    return AlertName(runbook.version.service, runbook.version.alert)


def _plain(text: str) -> str:
    """A name without what Markdown would read something into."""
    return "".join(" " if letter in "[]()`*<>\n" else letter for letter in text).strip()[:150]


def _buttons(runbook_id: int) -> dict[str, Any]:
    def button(label: str, action_id: str) -> dict[str, Any]:
        text = {"type": "plain_text", "text": label}
        return {"type": "button", "text": text, "action_id": action_id, "value": str(runbook_id)}

    elements = [button("Worked", "runbook_worked"), button("Didn't work", "runbook_failed")]
    return {"type": "actions", "block_id": f"runbook-{runbook_id}", "elements": elements}
