"""``ratchet onboard``: read channels' past now, with a progress bar, whether ``ratchet serve`` runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from rich.console import Console
from slack_sdk.errors import SlackApiError

from ratchet.bootstrap import open_storage
from ratchet.factories import TOKENLESS, backfill_limit, build_backfill
from ratchet.jobs.queue import Enqueuer, open_queue
from ratchet.progress import ReadingBar, reading_progress
from ratchet.settings import Settings, SettingsError
from slack_app.app import SlackError, build_client, identify
from slack_app.backfill import Backfill, explain
from slack_app.directory import Directory
from slack_app.errors import UNREACHABLE
from slack_app.jobs import Enqueue, backfill_job
from storage import backfills, channels
from storage.backfills import Progress
from storage.channels import Channel
from storage.db import Database

LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Reader:
    """What reading needs."""

    database: Database
    directory: Directory
    backfill: Backfill
    enqueue: Enqueue
    limit: int


async def run_onboard(settings: Settings, names: list[str], *, everything: bool, limit: int | None) -> int:
    """Read the given channels, or all that Ratchet is in; returns the exit code.

    Whatever ends it, what was read stays, and this command or a running Ratchet goes on from there.

    Raises:
        SettingsError, StorageError, SlackError: what is wrong, in one line.
    """
    console = Console(highlight=False, soft_wrap=True)
    async with _open_reader(settings, limit) as reader:
        wanted = await _find(reader, names, everything=everything)
        failed = 0
        with reading_progress() as bar:
            for channel in wanted:
                label = f"#{channel.name}" if channel.name else channel.channel_id
                try:
                    progress = await _read(reader, channel.channel_id, label, bar)
                except asyncio.CancelledError:
                    bar.stop()
                    console.print(
                        f"Stopped in {label}. What was read is kept: `ratchet onboard` goes on from there, "
                        "and so does `ratchet serve` where it runs.",
                        markup=False,
                    )
                    raise
                if progress.status == "failed":
                    failed += 1
                    console.print(f"error: {label}: {progress.error}", markup=False)
                else:
                    console.print(f"{label}: {_summary(progress)}", markup=False)
        return 1 if failed else 0


@asynccontextmanager
async def _open_reader(settings: Settings, limit: int | None) -> AsyncIterator[Reader]:
    if settings.slack.bot_token is None:
        raise SettingsError(TOKENLESS)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_storage(settings))
        queue = await stack.enter_async_context(open_queue(database))
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        client = build_client(settings.slack.bot_token.get_secret_value(), settings.slack.api_url, session)
        identity = await identify(client)
        enqueue = Enqueuer(queue)
        yield Reader(
            database,
            Directory(client, database, identity),
            build_backfill(settings, session, database, identity, enqueue),
            enqueue,
            limit or backfill_limit(settings),
        )


async def _find(reader: Reader, names: list[str], *, everything: bool) -> list[Channel]:
    """The channels of these names or ids.

    Raises:
        SlackError: one is not among those that Ratchet is in.
    """
    try:
        own = set(await reader.directory.load_own_channels())
    except UNREACHABLE as error:
        why = explain(error) if isinstance(error, SlackApiError) else f"Slack cannot be reached: {error}"
        raise SlackError(f"the channels cannot be listed: {why}") from error
    async with reader.database.connection() as conn:
        known = [c for c in await channels.list_all(conn, reader.directory.team_id) if c.channel_id in own]
    if everything:
        return known
    found = []
    for name in names:
        plain = name.lstrip("#")
        match = next((c for c in known if plain == c.channel_id or (c.name and plain.lower() == c.name)), None)
        if match is None:
            raise SlackError(
                f"Ratchet is in no channel {name}: check the name, or type `/invite @Ratchet` there. "
                "`ratchet onboard --all` reads every channel that it is in."
            )
        found.append(match)
    return found


async def _read(reader: Reader, channel_id: str, label: str, bar: ReadingBar) -> Progress:
    await reader.backfill.begin(channel_id, limit=reader.limit)
    async with reader.database.connection() as conn, conn.transaction():
        # Should this process be stopped, or die, a running Ratchet goes on.
        await reader.enqueue(conn, [backfill_job(channel_id)])
    while True:
        step = await reader.backfill.step(channel_id)
        progress = await _show(reader, channel_id, label, bar)
        if not step.is_left:
            return progress
        until = asyncio.get_running_loop().time() + step.wait_seconds
        while (left := until - asyncio.get_running_loop().time()) > 0 and not progress.is_over:
            await asyncio.sleep(min(left, LOOK_SECONDS))
            progress = await _show(reader, channel_id, label, bar)


async def _show(reader: Reader, channel_id: str, label: str, bar: ReadingBar) -> Progress:
    async with reader.database.connection() as conn:
        progress = await backfills.progress(conn, reader.directory.team_id, channel_id)
    if progress is None:
        raise SlackError(f"{label} was removed meanwhile")
    # A channel may have fewer messages than are wanted: then its end shows the total.
    wanted = progress.wanted or progress.read
    total = (wanted if progress.status == "pending" else progress.read) + progress.threads
    note = f"{progress.read:,} messages, {progress.threads_done:,}/{progress.threads:,} threads"
    bar.show(
        label, f"{note}; {progress.error}" if progress.error else note, progress.read + progress.threads_done, total
    )
    return progress


def _summary(progress: Progress) -> str:
    return f"{progress.read:,} messages and {progress.threads:,} threads read, {progress.stored:,} messages stored"
