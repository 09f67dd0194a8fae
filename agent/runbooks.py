"""Distils runbooks out of what people wrote when an alert fired before (behaviour A10).

The model proposes lines; code decides. A line stays when the message that it cites was among those given, and when
it keeps to the words of that message (agent/grounding.py); a command when it stands in the message word for word.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from uuid import UUID

import structlog
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field

import prompts
from agent.context import Errand
from agent.grounding import find_verbatim, is_grounded, squeeze
from agent.redaction import Redactor
from agent.structured import StructuredModel
from storage import runbooks
from storage.access import Viewer
from storage.budgets import Budget
from storage.db import Database
from storage.runbooks import NewRunbook, Runbook, RunbookLine, Section
from storage.triage import AlertName, TriageMessage, audience_of, digest_of, load_triage

log = structlog.get_logger()
MODULE = "runbook"
NO_BUDGET = Budget()
MESSAGE_CHARS = 2000  # of one message that the model is shown
INPUT_CHARS = 24_000  # of all of them
TEXT_CHARS = 400  # of a line; a longer one is dropped
COMMAND_CHARS = 2000
MOST_LINES: dict[Section, int] = {"overview": 3, "root_cause": 5, "step": 20}


class DraftLine(BaseModel):
    """A line as the model proposes it."""

    text: str = Field(description="one sentence in the words of the message")
    source: str = Field(description="id of the message that it comes from")


class DraftStep(DraftLine):
    """A step as the model proposes it."""

    command: str | None = Field(None, description="the command, character for character, or null")


class RunbookDraft(BaseModel):
    """A runbook as the model proposes it."""

    overview: list[DraftLine]
    root_causes: list[DraftLine]
    steps: list[DraftStep]

    def proposed(self) -> list[tuple[Section, DraftLine]]:
        """All lines with their sections, in their order."""
        return [
            *(("overview", line) for line in self.overview),
            *(("root_cause", line) for line in self.root_causes),
            *(("step", step) for step in self.steps),
        ]


Ask = Callable[[list[BaseMessage]], Awaitable[RunbookDraft]]


@dataclass(frozen=True)
class Distilled:
    """What is left of a draft; ``proposed`` and ``commands`` count its lines and commands before they were checked."""

    lines: list[RunbookLine]
    proposed: int
    commands: int


class Distiller:
    """Keeps the runbooks of alerts up to date."""

    def __init__(self, database: Database, model: StructuredModel, redactor: Redactor) -> None:
        self._database = database
        self._model = model
        self._redactor = redactor

    async def current(
        self, viewer: Viewer, name: AlertName, *, before_ts: str, turn_id: UUID, budget: Budget = NO_BUDGET
    ) -> Runbook | None:
        """The runbook of an alert; a new version where people wrote since, or say that the last one did not work.

        Args:
            viewer: who reads it.
            name: the alert.
            before_ts: the message that asks for it; threads that began later do not count.
            turn_id: under which the model's calls are recorded.
            budget: what they may cost.

        Returns:
            None where nobody ever wrote below that alert.

        Raises:
            BudgetSpent: another call may cost more than is left.
            ModelError: the model gave no usable answer.
        """
        async with self._database.connection() as conn:
            triage = await load_triage(conn, viewer, name, before_ts=before_ts)
            audience = audience_of(triage)
            stored = await runbooks.latest(conn, viewer, name, audience=audience)
        if not triage:
            return None
        digest = digest_of(triage)
        if stored and stored.version.digest == digest and not stored.version.rejected:
            return stored

        errand = Errand(turn_id, Viewer(viewer.team_id, "", viewer.asked_in), budget)

        async def ask(messages: list[BaseMessage]) -> RunbookDraft:
            return await self._model.ask(RunbookDraft, messages, asking=errand, module=MODULE)

        distilled = await distil(name, triage, ask, redactor=self._redactor, former=stored)
        log.info("runbook distilled", alert=str(name), proposed=distilled.proposed, kept=len(distilled.lines))
        new = NewRunbook(
            service=name.service,
            alert=name.alert,
            audience=audience,
            digest=digest,
            channels=sorted({message.channel_id for message in triage}),
            messages=len(triage),
            model=self._model.name,
            lines=distilled.lines,
        )
        async with self._database.connection() as conn:
            await runbooks.add_version(conn, viewer.team_id, new)
            return await runbooks.latest(conn, viewer, name, audience=audience)


async def distil(
    name: AlertName,
    triage: Sequence[TriageMessage],
    ask: Ask,
    *,
    redactor: Redactor,
    former: Runbook | None = None,
) -> Distilled:
    """A runbook out of messages, checked line by line.

    Args:
        name: the alert.
        triage: what people wrote, thread by thread, the newest thread first.
        ask: puts messages before the model and returns its draft.
        redactor: takes secrets out of the messages before the model sees them.
        former: the version before, for its lines and votes.

    Raises:
        ModelError: what ``ask`` raises.
    """
    shown = choose([replace(message, text=redactor.clean(message.text)) for message in triage])
    data = [json.dumps({"alert": name.alert, "service": name.service or None}, ensure_ascii=False)]
    if former and (former.version.worked or former.version.failed):
        data.append(_show_former(former))
    data += [_show_message(source, message) for source, message in shown.items()]
    draft = await ask([SystemMessage(prompts.render("runbook")), HumanMessage("\n".join(data))])
    commands = sum(bool(step.command) for step in draft.steps)
    return Distilled(check(draft, shown, name), len(draft.proposed()), commands)


def choose(triage: Sequence[TriageMessage]) -> dict[str, TriageMessage]:
    """The messages that the model is shown, by the ids that it may cite.

    The newest threads come first. Of a thread that does not fit, the last messages are shown: they tell what helped.
    """
    chosen: list[TriageMessage] = []
    room = INPUT_CHARS
    for _, thread in groupby(triage, key=lambda message: (message.channel_id, message.thread_ts)):
        kept: list[TriageMessage] = []
        for message in reversed(list(thread)):
            text = message.text if len(message.text) <= MESSAGE_CHARS else message.text[:MESSAGE_CHARS] + " […]"
            room -= len(text)
            if room < 0:
                break
            kept.append(replace(message, text=text))
        chosen += reversed(kept)
        if room < 0:
            break
    return {f"m{number}": message for number, message in enumerate(chosen, 1)}


def check(draft: RunbookDraft, shown: dict[str, TriageMessage], name: AlertName) -> list[RunbookLine]:
    """The lines of a draft that keep to the messages that they cite."""
    kept: list[RunbookLine] = []
    for section, proposed in draft.proposed():
        source = shown.get(proposed.source.strip().strip("[]"))
        if source is None or sum(line.section == section for line in kept) >= MOST_LINES[section]:
            continue
        command = _check_command(proposed, source)
        text = squeeze(proposed.text)
        if len(text) > TEXT_CHARS or not is_grounded(text, source.text, known=(name.alert, name.service)):
            text = ""
        line = RunbookLine(
            section=section,
            text=text,
            command=command,
            channel_id=source.channel_id,
            ts=source.ts,
            permalink=source.permalink,
            author=source.author,
            posted_at=source.posted_at,
        )
        if (text or command) and line.content not in {other.content for other in kept}:
            kept.append(line)
    return kept


def _check_command(proposed: DraftLine, source: TriageMessage) -> str | None:
    if not isinstance(proposed, DraftStep) or not proposed.command or len(proposed.command) > COMMAND_CHARS:
        return None
    # Models copy the marks along that they saw around it.
    return find_verbatim(proposed.command.strip().strip("`").removeprefix("$ "), source.text)


def _show_message(source: str, message: TriageMessage) -> str:
    return json.dumps(
        {
            "id": source,
            "thread": message.thread_ts,
            "time": message.posted_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "author": message.author,
            "text": message.text,
        },
        ensure_ascii=False,
    )


def _show_former(former: Runbook) -> str:
    version = former.version
    lines = [{"section": line.section, "text": line.text, "command": line.command} for line in former.lines]
    return json.dumps(
        {
            "former_version": version.version,
            "worked": version.worked,
            "did_not_work": version.failed,
            "lines": lines,
        },
        ensure_ascii=False,
    )
