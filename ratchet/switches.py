"""What channel managers switched on and off, in this process's memory: read at start, and again every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from storage import channel_switches
from storage.db import Database

log = structlog.get_logger()
FRESH_SECONDS = 5.0


class Switches:
    """``states`` says whether a feature of a channel is on, by (channel id, feature), where somebody switched it."""

    def __init__(self, database: Database, team_id: str) -> None:
        self._database = database
        self._team_id = team_id
        self.states: dict[tuple[str, str], bool] = {}

    async def refresh(self) -> None:
        """Read them anew."""
        async with self._database.connection() as conn:
            states = await channel_switches.load(conn, self._team_id)
        self.states.clear()  # the policies hold this very dictionary
        self.states.update(states)

    async def keep_fresh(self, seconds: float = FRESH_SECONDS) -> None:
        """Follow what other processes store, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.refresh()
            except Exception as error:  # the database may be away; the next round will tell
                log.warning("switches not read", error=str(error))


@asynccontextmanager
async def open_switches(database: Database, team_id: str) -> AsyncIterator[Switches]:
    """The switches of a workspace, kept up to date until the block ends."""
    switches = Switches(database, team_id)
    await switches.refresh()
    task = asyncio.create_task(switches.keep_fresh())
    try:
        yield switches
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
