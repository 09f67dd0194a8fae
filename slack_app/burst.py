"""Notices when many deliveries come at once: they are stored before jobs begin, since Slack waits for its acks."""

from __future__ import annotations

import asyncio
import time
from collections import deque

MANY = 50  # deliveries …
SECONDS = 0.25  # … in so short a time are a burst
LULL_SECONDS = 0.05  # it is over when nothing came for so long
PAUSES = 10  # half a second: a stream without end is not to keep jobs from beginning


class Burst:
    """What Slack delivered to this process lately."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque(maxlen=MANY)

    def count(self) -> None:
        """One more delivery came."""
        self._arrivals.append(time.monotonic())

    async def over(self) -> None:
        """Return at once where there is no burst, else when it is over, or after half a second."""
        for _ in range(PAUSES):
            pause = self._lull()
            if not pause:
                return
            await asyncio.sleep(pause)

    def _lull(self) -> float:
        """How many seconds of silence end the burst; 0 where there is none."""
        if len(self._arrivals) < MANY or self._arrivals[-1] - self._arrivals[0] > SECONDS:
            return 0.0
        return max(0.0, self._arrivals[-1] + LULL_SECONDS - time.monotonic())
