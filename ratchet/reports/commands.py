"""``ratchet report`` and ``ratchet usage``: what an operator sees is what public channels hold."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from langchain_core.tools import ToolException
from rich.console import Console

from ratchet.bootstrap import open_storage
from ratchet.chat import LOCAL_CHANNEL, LOCAL_USER
from ratchet.policies import policies_of
from ratchet.reports import chart
from ratchet.reports.terminal import print_report, print_usage
from ratchet.settings import Settings, SettingsError
from storage import channels
from storage.access import Viewer
from storage.db import Database
from tools.channel_report import ChannelReport, read_report
from tools.context import ChannelRules, ToolContext, find_channel
from tools.registry import load_catalogue
from tools.report_usage import UsageReport, read_usage

PIPE_WIDTH = 120


async def run_report(
    settings: Settings, channel: str, *, days: int, as_json: bool, picture: Path | None, demo: bool
) -> None:
    """Print a channel's report, and draw its picture into a file.

    Raises:
        SettingsError, StorageError: what is wrong, in one line.
    """
    if picture and (picture.suffix.lower() != ".png" or not picture.absolute().parent.is_dir()):  # noqa: ASYNC240
        raise SettingsError(f"cannot write {picture}: name a .png file in a folder that exists")
    if picture and not chart.can_draw():
        raise SettingsError("a chart needs matplotlib, which is not installed: install the extra `charts`")
    console = _console()
    async with _database(settings, console, demo=demo) as database:
        report = await _read_report(database, _rules(settings), channel, days)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        print_report(console, report)
    if picture:
        drawn = await asyncio.to_thread(chart.draw, report)
        try:
            await asyncio.to_thread(picture.write_bytes, drawn)
        except OSError as error:
            raise SettingsError(f"cannot write {picture}: {error.strerror}") from None
        _notes().print(f"chart written to {picture}", style="dim", markup=False)


async def run_usage(settings: Settings, *, days: int, as_json: bool) -> None:
    """Print how Ratchet was used.

    Raises:
        SettingsError, StorageError: what is wrong, in one line.
    """
    console = _console()
    async with _database(settings, console, demo=False) as database:
        usage: UsageReport = await read_usage(await _context(database, _rules(settings)), days)
    if as_json:
        sys.stdout.write(json.dumps(usage, indent=2) + "\n")
    else:
        print_usage(console, usage)


@asynccontextmanager
async def _database(settings: Settings, console: Console, *, demo: bool) -> AsyncIterator[Database]:
    if not demo:
        async with open_storage(settings) as database:
            yield database
        return
    from ratchet.demo import open_demo

    async with open_demo(settings, _notes()) as services:
        yield services.database


async def _read_report(database: Database, rules: ChannelRules, channel: str, days: int) -> ChannelReport:
    context = await _context(database, rules)
    try:
        place = await find_channel(context, channel)
    except ToolException:
        place = None
    if place is None:
        async with database.connection() as conn:
            known = [f"#{row.name}" for row in await channels.list_visible(conn, context.viewer)]
        there = f"there are {', '.join(known)}" if known else "none was read yet"
        raise SettingsError(f"no public channel {channel!r}: {there}")
    budget = rules.budget(place.channel_id, place.name)
    async with database.connection() as conn:
        since = context.now - timedelta(days=days)
        return await read_report(conn, context.viewer, place, since, context.now, budget)


def _rules(settings: Settings) -> ChannelRules:
    return policies_of(settings.policies, load_catalogue(), mcp_servers=settings.mcp.names)


async def _context(database: Database, rules: ChannelRules) -> ToolContext:
    """As somebody at a terminal, who is a member of nothing."""
    async with database.connection() as conn:
        team_id = await channels.first_team(conn) or "local"
    return ToolContext(
        turn_id=uuid4(),
        viewer=Viewer(team_id, LOCAL_USER, LOCAL_CHANNEL, audience="workspace"),
        thread_ts=None,
        database=database,
        now=datetime.now(UTC),
        workspace_url="",
        rules=rules,
    )


def _console() -> Console:
    width = None if sys.stdout.isatty() else max(PIPE_WIDTH, shutil.get_terminal_size((PIPE_WIDTH, 24)).columns)
    return Console(highlight=False, width=width)


def _notes() -> Console:
    """For what is not the report, so that its output can be read by a program."""
    return Console(stderr=True, highlight=False, soft_wrap=True)
