"""A circuit breaker: what fails again and again is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Opens after some failures in a row; when its time is over, one call may try."""

    def __init__(
        self,
        *,
        failures: int,
        open_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0

    def seconds_left(self) -> float:
        """How long nothing may be tried; 0 when something may. The first one to try keeps it open for the others."""
        if self._failures < self._most:
            return 0.0
        left = self._opened_at + self._open_seconds - self._clock()
        if left > 0:
            return left
        self._opened_at = self._clock()
        return 0.0

    def succeeded(self) -> bool:
        """Close it, and say whether it was open."""
        was_open = self._failures >= self._most
        self._failures = 0
        return was_open

    def failed(self) -> int:
        """Count a failure. Returns how many there were in a row if it is open now, else 0."""
        self._failures += 1
        if self._failures < self._most:
            return 0
        self._opened_at = self._clock()
        return self._failures
