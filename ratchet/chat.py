"""Talks to the agent in a terminal, without Slack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.markdown import Markdown

from agent.context import Requester
from agent.question import Question
from agent.runner import Runner
from ratchet.bootstrap import open_storage
from ratchet.embedders import open_embedder
from ratchet.factories import build_monitors, build_policies, build_runner, choose_model, prepare_models
from ratchet.mcp_servers import open_mcp
from ratchet.policies import Policies
from ratchet.progress import pull_progress
from ratchet.settings import Settings
from storage import channels, db, leases, turns
from storage.db import Connection, Database
from storage.turns import NewTurn, Outcome

LOCAL_USER = "local"
LOCAL_CHANNEL = "terminal"


class TerminalReply:
    """Implements ``agent.context.Reply`` and ``agent.context.Members`` for a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._titles: dict[str, str] = {}

    def started(self) -> None:
        """Nothing to show: the prompt is gone."""

    def tool_started(self, call_id: str, name: str, args: Mapping[str, Any], *, title: str) -> None:
        """Show what is done."""
        self._titles[call_id] = title
        self._console.print(f"  … {title}", style="dim", markup=False, highlight=False)

    def tool_finished(self, call_id: str, name: str, *, ok: bool, note: str) -> None:
        """Show what came of it."""
        title = self._titles.pop(call_id, name)
        shown = f"  {'✓' if ok else '✗'} {title}{' — ' if note else ''}{note}"
        self._console.print(shown, style="dim" if ok else "red", markup=False, highlight=False)

    def text(self, delta: str) -> None:
        """Nothing to show: the answer is printed whole, as Markdown."""

    def restarted(self) -> None:
        """Nothing was shown."""

    def steered(self, text: str) -> None:
        """Nothing to show: nobody writes while the terminal waits."""

    async def record(self, conn: Connection, outcome: Outcome) -> None:
        """Nothing to post."""

    async def refresh(self, team_id: str, user_id: str) -> bool:
        """Nobody is known here, so nothing private is seen."""
        return True


async def run_chat(settings: Settings, question: str, *, only: frozenset[str] | None = None) -> None:
    """Answer one question, or talk until an empty line or end of file.

    Args:
        settings: where everything is.
        question: asked once; an empty one begins a talk.
        only: the tools that may be used, of those that the policy allows; default all of them.

    Raises:
        SettingsError, StorageError, ModelError: what is wrong, in one line.
    """
    console = Console(soft_wrap=True, highlight=False)
    choice = await choose_model(settings)
    with pull_progress() as progress:
        await prepare_models(settings, choice, progress)
    async with (
        open_storage(settings) as database,
        open_embedder(settings, database) as embedder,
        open_mcp(settings, database) as mcp,
    ):
        runner = build_runner(settings, database, choice, embedder, build_monitors(settings, database, choice), mcp)
        policies = build_policies(settings, runner)
        team_id = await _team(database)
        thread_ts = f"{time.time():.6f}"
        if question:
            await _ask(console, database, runner, policies, team_id, thread_ts, question, only)
            return
        console.print(f"Ratchet with {choice}. An empty line ends.", style="dim", markup=False)
        while line := (await asyncio.to_thread(_read)).strip():
            await _ask(console, database, runner, policies, team_id, thread_ts, line, only)


async def _ask(
    console: Console,
    database: Database,
    runner: Runner,
    policies: Policies,
    team_id: str,
    thread_ts: str,
    text: str,
    only: frozenset[str] | None,
) -> None:
    allowed = policies.allowed_tools(LOCAL_CHANNEL, LOCAL_CHANNEL)
    turn_id = uuid4()
    async with database.connection() as conn:
        asked_at = f"{time.time():.6f}"
        new = NewTurn(turn_id, team_id, LOCAL_CHANNEL, thread_ts, asked_at, LOCAL_USER, "chat", text)
        await turns.insert(conn, new)
        turn = await turns.begin(conn, turn_id)
        if turn is None:
            raise db.StorageError("the question could not be stored")
        lease = await leases.take(conn, turn.thread_key)
    reply = TerminalReply(console)
    asked = Question(
        turn=turn,
        lease=lease,
        requester=Requester(LOCAL_USER, "an operator at a terminal"),
        channel_label="a terminal",
        workspace_url="",
        allowed_tools=allowed if only is None else allowed & only,
        budget=policies.budget(LOCAL_CHANNEL, LOCAL_CHANNEL),
        rules=policies,
        model=policies.model(LOCAL_CHANNEL, LOCAL_CHANNEL),
        language=policies.language(LOCAL_CHANNEL, LOCAL_CHANNEL),
        audience="workspace",
    )
    answer = await runner.answer(asked, reply, reply)
    if console.is_terminal:
        console.print(Markdown(answer, hyperlinks=False), soft_wrap=False)
    else:
        console.print(answer, markup=False)


async def _team(database: Database) -> str:
    async with database.connection() as conn:
        return await channels.first_team(conn) or "local"


def _read() -> str:
    try:
        return input("> ")
    except EOFError:
        return ""
