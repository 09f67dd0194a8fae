"""Slack's rate limits: a token bucket per method, per channel for posts.

Tiers are requests a minute (https://docs.slack.dev/apis/web-api/rate-limits). Slack tolerates short bursts; here a
bucket starts full and holds one minute's worth.
"""

import math
import time
from dataclasses import dataclass

_TIER_2, _TIER_3, _TIER_4 = 20.0, 50.0, 100.0
_PER_MINUTE = {
    "agents.sessions.setStatus": _TIER_4,
    "apps.connections.open": _TIER_2,  # documented as tier 1, yet ten sockets may connect at once
    "assistant.threads.setStatus": 600.0,
    "assistant.threads.setSuggestedPrompts": _TIER_4,
    "assistant.threads.setTitle": _TIER_4,
    "bots.info": _TIER_3,
    "chat.appendStream": _TIER_4,
    "chat.delete": _TIER_3,
    "chat.postEphemeral": _TIER_4,
    "chat.startStream": _TIER_2,
    "chat.stopStream": _TIER_2,
    "chat.update": _TIER_3,
    "conversations.history": _TIER_3,
    "conversations.info": _TIER_3,
    "conversations.join": _TIER_3,
    "conversations.list": _TIER_2,
    "conversations.members": _TIER_4,
    "conversations.open": _TIER_3,
    "conversations.replies": _TIER_3,
    "files.completeUploadExternal": _TIER_4,
    "files.getUploadURLExternal": _TIER_4,
    "files.info": _TIER_4,
    "reactions.add": _TIER_3,
    "reactions.get": _TIER_3,
    "reactions.remove": _TIER_2,
    "team.info": _TIER_3,
    "usergroups.list": _TIER_2,
    "usergroups.users.list": _TIER_2,
    "users.conversations": _TIER_3,
    "users.info": _TIER_4,
    "users.list": _TIER_2,
    "users.lookupByEmail": _TIER_3,
    "views.open": _TIER_4,
    "views.publish": _TIER_4,
    "views.push": _TIER_4,
    "views.update": _TIER_4,
}
_POSTS_PER_SECOND = 1.0
_POST_BURST = 5.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimits:
    """Counts calls; `enabled` may change at any time."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def seconds_to_wait(self, method: str, channel_id: str) -> int:
        """Take a token: 0 lets the call pass, else the value of `Retry-After` in whole seconds."""
        if not self.enabled:
            return 0
        if method == "chat.postMessage":
            return self._take((method, channel_id), _POSTS_PER_SECOND, _POST_BURST)
        per_minute = _PER_MINUTE.get(method)
        return self._take((method, ""), per_minute / 60, per_minute) if per_minute else 0

    def _take(self, key: tuple[str, str], per_second: float, burst: float) -> int:
        now = time.monotonic()
        bucket = self._buckets.setdefault(key, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * per_second)
        bucket.at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0
        return max(1, math.ceil((1 - bucket.tokens) / per_second))
