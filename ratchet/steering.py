"""Tells running turns what people do to them: who stops them, and what there is for them to take in.

One look every moment for all turns of the process, and none while nothing runs. What is stored in the same database by
another process is seen alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from agent.signals import Signals
from storage import steering
from storage.db import Database
from storage.turns import Turn

log = structlog.get_logger()
LOOK_SECONDS = 0.3


class Steering:
    """Watches the turns that run in this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: dict[UUID, Signals] = {}
        self._watcher: asyncio.Task[None] | None = None

    @contextmanager
    def watch(self, turn: Turn) -> Iterator[Signals]:
        """The signals of a turn, kept up to date inside the block."""
        # What an earlier attempt took in is not in its steps for sure.
        signals = Signals(turn.turn_id, stopped_by=turn.stopped_by, has_news=turn.attempts > 1)
        self._running[turn.turn_id] = signals
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._look())
        try:
            yield signals
        finally:
            if self._running.get(turn.turn_id) is signals:
                del self._running[turn.turn_id]

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._running:
                return
            try:
                async with self._database.connection() as conn:
                    found = await steering.look(conn, list(self._running))
            except Exception as error:  # the database may be away; the next look will tell
                log.warning("running turns were not looked at", error=str(error))
                continue
            for seen in found:
                if signals := self._running.get(seen.turn_id):
                    signals.tell(seen)
