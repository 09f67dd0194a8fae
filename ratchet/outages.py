"""Times in which no event could be recorded. What was missed then is read from Slack's history."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import structlog

from ratchet.jobs import onboarding
from slack_app.jobs import Enqueue
from storage import backfills, db
from storage.db import Database

log = structlog.get_logger()
CHECK_SECONDS = 3.0
# Slack tries again at once, after one and after five minutes, and promises that for HTTP only.
AWAY_SECONDS = 60.0
MARGIN_SECONDS = 30.0


class Connections(Protocol):
    """The ways by which Slack delivers."""

    async def connected(self) -> int:
        """How many are up."""


class Outages:
    """Has gaps read.

    Args:
        database: the pool.
        team_id: the workspace.
        enqueue: for the jobs that read.
        away_seconds: outages that are longer than this leave a gap.
    """

    def __init__(
        self, database: Database, team_id: str, enqueue: Enqueue, *, away_seconds: float = AWAY_SECONDS
    ) -> None:
        self._database = database
        self._team_id = team_id
        self._enqueue = enqueue
        self._away_seconds = away_seconds

    async def mark(self) -> int:
        """At the start, before any event is recorded: note for every channel that what is not stored was missed.

        The job that loads people and channels then has it read. At the very first start there is nothing to note.
        """
        async with self._database.connection() as conn:
            return await backfills.open_gaps(conn, self._team_id)

    async def watch(self, connections: Connections | None, *, check_seconds: float = CHECK_SECONDS) -> None:
        """For ever: look whether events can come in and be stored, and after an outage have the gap read."""
        last_good = time.monotonic()
        while True:
            await asyncio.sleep(check_seconds)
            if connections is not None and not await connections.connected():
                continue
            away = time.monotonic() - last_good
            try:
                async with self._database.connection() as conn, conn.transaction():
                    await db.fetch_value(conn, "select 1")
                    if away > self._away_seconds:
                        gaps = await backfills.open_gaps(conn, self._team_id, away_seconds=away + MARGIN_SECONDS)
                        await onboarding.enqueue_missing(conn, self._enqueue, self._team_id)
                        log.warning("events may have been missed", seconds=round(away), channels=gaps)
            except Exception as error:  # the database is away: that is an outage, and the next check sees how long
                log.warning("the database does not answer", error=str(error))
                continue
            last_good = time.monotonic()
