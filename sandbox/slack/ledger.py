"""What happened: calls of the Web API, deliveries of events, statuses; and the feed of what people see."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.slack.records import JSON

_KEPT = 200_000
_WATCHER_BACKLOG = 20_000


@dataclass(slots=True)
class ApiCall:
    """One request to the Web API; `at` in seconds since 1970, `fault` names what was done to it on request."""

    method: str
    args: JSON
    at: float
    ok: bool = False
    error: str | None = None
    fault: str | None = None
    ms: float = 0.0


@dataclass(slots=True)
class Delivery:
    """One attempt to hand over an event, command or click; `acked_at` stays empty when nobody acked.

    `event_id` is the event's id, or the trigger id of a command or click. `event_type` is for example
    `app_mention`, `slash_commands` or `block_actions`.
    """

    event_id: str
    event_type: str
    attempt: int
    via: str
    sent_at: float
    acked_at: float | None = None
    ms: float | None = None
    status: int | None = None
    failure: str | None = None


@dataclass(slots=True)
class Status:
    """What the app showed beside a thread; `kind` is `assistant` (typing line) or `session` (agent session)."""

    channel: str
    thread_ts: str | None
    status: str
    at: float
    kind: str = "assistant"
    details: JSON = field(default_factory=dict)


class Ledger:
    """The last 200,000 of each kind, oldest first."""

    def __init__(self) -> None:
        self.calls: deque[ApiCall] = deque(maxlen=_KEPT)
        self.deliveries: deque[Delivery] = deque(maxlen=_KEPT)
        self.statuses: deque[Status] = deque(maxlen=_KEPT)

    def clear(self) -> None:
        """Forget everything."""
        self.calls.clear()
        self.deliveries.clear()
        self.statuses.clear()

    def as_json(self) -> JSON:
        """`{calls, deliveries, statuses}` for the control API."""
        return {
            "calls": [asdict(call) for call in self.calls],
            "deliveries": [asdict(delivery) for delivery in self.deliveries],
            "statuses": [asdict(status) for status in self.statuses],
        }


class Feed:
    """Everything that a person looking at the workspace would see, as it happens."""

    def __init__(self) -> None:
        self._watchers: set[asyncio.Queue[JSON | None]] = set()

    @property
    def is_watched(self) -> bool:
        """Whether it is worth composing an item."""
        return bool(self._watchers)

    def publish(self, kind: str, **fields: Any) -> None:
        """Show an item to every watcher; one that has fallen 20,000 items behind is cut off."""
        if not self._watchers:
            return
        item = {"type": kind, **fields}
        for queue in list(self._watchers):
            if queue.qsize() >= _WATCHER_BACKLOG:
                self._watchers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(item)

    @contextmanager
    def watch(self) -> Iterator[AsyncIterator[JSON]]:
        """Yield an async iterator over the items from now on."""
        queue: asyncio.Queue[JSON | None] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            yield self._items(queue)
        finally:
            self._watchers.discard(queue)

    def close(self) -> None:
        """End every watcher's iteration."""
        for queue in self._watchers:
            queue.put_nowait(None)
        self._watchers.clear()

    @staticmethod
    async def _items(queue: asyncio.Queue[JSON | None]) -> AsyncIterator[JSON]:
        while (item := await queue.get()) is not None:
            yield item
