"""Keeps our calls within Slack's rates, so that Slack need not refuse them.

Slack's tiers are requests a minute for a method, and about one post a second for a channel
(https://docs.slack.dev/apis/web-api/rate-limits). It tolerates bursts; ours are smaller than what it was seen to take.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """So many calls a second in the long run, and ``burst`` at once; ``by_channel``: for each channel."""

    a_second: float
    burst: int
    by_channel: bool = False


RATES = {
    "chat.postMessage": Rate(1.0, 4, by_channel=True),
    "chat.startStream": Rate(18 / 60, 15),
    "chat.stopStream": Rate(18 / 60, 15),
    "chat.appendStream": Rate(90 / 60, 60),
    "chat.update": Rate(45 / 60, 30),
}


ROUNDING = 1e-6  # seconds


class Pacer:
    """Gives calls their turns: first come, first served, for each method and channel.

    It remembers one time for each (the generic cell rate algorithm, ITU-T I.371): when the next call would be due
    if there were no bursts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[tuple[str, str], float] = {}

    async def wait(self, method: str, channel_id: str) -> None:
        """Come back when the call may be made."""
        rate = RATES[method]
        key = self._key(method, channel_id)
        now = self._clock()
        due = max(now, self._due.get(key, 0.0))
        self._due[key] = due + 1 / rate.a_second
        pause = due - (rate.burst - 1) / rate.a_second - now
        if pause > 0:
            await asyncio.sleep(pause)

    def try_take(self, method: str, channel_id: str, *, keep: int = 0) -> bool:
        """Whether the call may be made at once, with ``keep`` more left to those who wait; if so, it counts."""
        rate = RATES[method]
        key = self._key(method, channel_id)
        now = self._clock()
        due = max(now, self._due.get(key, 0.0))
        if due - (rate.burst - 1 - keep) / rate.a_second > now + ROUNDING:
            return False
        self._due[key] = due + 1 / rate.a_second
        return True

    def hold_off(self, method: str, channel_id: str, seconds: float) -> None:
        """Slack wants a pause: nothing of the kind goes out before."""
        rate = RATES[method]
        key = self._key(method, channel_id)
        later = self._clock() + seconds + (rate.burst - 1) / rate.a_second
        self._due[key] = max(self._due.get(key, 0.0), later)

    def _key(self, method: str, channel_id: str) -> tuple[str, str]:
        return method, channel_id if RATES[method].by_channel else ""
