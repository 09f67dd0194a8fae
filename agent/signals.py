"""What people do to a turn while it runs, as its own process knows it.

Whoever watches the turn tells (ratchet/steering.py). Of stops each checkpoint that is written tells, too
(agent/checkpoints.py): a step that begins after a checkpoint knows of every stop that was stored before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from storage.steering import Added, Seen


class Stopped(Exception):
    """Somebody stopped the turn: it makes no further call."""


class Signals:
    """One turn's. ``turn_id`` is None where nobody watches.

    Attributes:
        stopped_by: who stopped it.
        has_news: whether there may be messages for it to take in.
        taken: the messages that it took in, oldest first.
    """

    def __init__(self, turn_id: UUID | None = None, *, stopped_by: str | None = None, has_news: bool = False) -> None:
        self.turn_id = turn_id
        self.stopped_by = stopped_by
        self.has_news = has_news
        self.taken: list[Added] = []
        self._calls: set[asyncio.Timeout] = set()

    def tell(self, seen: Seen) -> None:
        """Take in what was seen of the turn; a stop ends the calls that are under way."""
        self.has_news = self.has_news or seen.has_news
        if seen.stopped_by and not self.stopped_by:
            self.stopped_by = seen.stopped_by
            for call in self._calls:
                call.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def until_stopped(self) -> AsyncIterator[None]:
        """A call that a stop cancels.

        Raises:
            Stopped: it was not made, or not to its end.
        """
        if self.stopped_by:
            raise Stopped
        call = asyncio.timeout(None)
        try:
            async with call:
                self._calls.add(call)
                try:
                    yield
                finally:
                    self._calls.discard(call)
        except TimeoutError:
            if call.expired():
                raise Stopped from None
            raise
