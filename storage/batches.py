"""Group commit: writes that arrive while others are under way go to the database together, in one statement.

Each caller waits until its own write is committed, so that nothing anyone relies on is in memory only. What is
saved are round trips and commits: many turns at once pay for few.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import psycopg
from psycopg_pool import PoolTimeout

Item = TypeVar("Item")
LANES = 2
MOST = 64


class GroupCommit(Generic[Item]):
    """Collects what is to be written and writes it in groups, several groups at once at most.

    Args:
        write: commits a group in one statement, or raises and commits none of it.
        lanes: how many groups are under way at once.
    """

    def __init__(self, write: Callable[[list[Item]], Awaitable[None]], *, lanes: int = LANES) -> None:
        self._write = write
        self._lanes = lanes
        self._waiting: list[tuple[Item, asyncio.Future[None]]] = []
        self._busy = 0
        self.idle = asyncio.Event()  # set while nothing is being written
        self.idle.set()
        self._writers: set[asyncio.Task[None]] = set()  # asyncio itself keeps no strong reference

    async def add(self, item: Item) -> None:
        """Return once ``item`` is committed.

        Raises:
            Exception: what ``write`` raised for it, alone.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._busy < self._lanes:
            self._busy += 1
            self.idle.clear()
            writer = asyncio.create_task(self._drain())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        await done

    async def _drain(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                try:
                    await self._commit(group)
                finally:  # also when the loop is being closed: nobody may wait for ever
                    for _, done in group:
                        if not done.done():
                            done.cancel()
        finally:
            # In the same step as the look at an empty list: whoever adds from now on starts a writer.
            self._busy -= 1
            if not self._busy:
                self.idle.set()

    async def _commit(self, group: list[tuple[Item, asyncio.Future[None]]]) -> None:
        try:
            await self._write([item for item, _ in group])
        except Exception as error:
            if len(group) == 1 or _is_outage(error):
                for _, done in group:
                    _settle(done, error)
                return
            for member in group:  # one of them is to blame: the others shall not suffer for it
                await self._commit([member])
        else:
            for _, done in group:
                _settle(done, None)


def _is_outage(error: Exception) -> bool:
    """Whether the database is away: then each member alone would only wait in vain, one after the other."""
    conflict = isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)
    return isinstance(error, PoolTimeout | psycopg.OperationalError) and not conflict


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():  # its caller was cancelled
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
