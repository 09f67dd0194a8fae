"""Who may read what: the one rule, as SQL, so that no query can forget to filter afterwards.

A message may reach an answer when the requester may read it *and* everyone who can read the answer may:

- public channels: always;
- a private channel or group DM: when the requester is a member, and the question was asked in that same
  channel or in the requester's own DM with Ratchet;
- a DM with Ratchet: only its own person, only there.

Membership counts for 60 seconds after Slack confirmed it; without a fresh row nothing private is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FRESH_SECONDS = 60

# Needs an alias ``c`` for channels, and Viewer.params().
VISIBLE = f"""(
    c.team_id = %(team_id)s and (
        c.kind = 'public'
        or (c.kind = 'im' and c.user_id = %(requester_id)s and c.channel_id = %(asked_in)s)
        or (
            c.kind in ('private', 'mpim')
            and exists (
                select 1 from memberships m
                where m.team_id = c.team_id and m.channel_id = c.channel_id and m.user_id = %(requester_id)s
                  and m.seen_at > now() - interval '{FRESH_SECONDS} seconds')
            and (
                c.channel_id = %(asked_in)s
                or exists (
                    select 1 from channels dm
                    where dm.team_id = c.team_id and dm.channel_id = %(asked_in)s
                      and dm.kind = 'im' and dm.user_id = %(requester_id)s)))))"""


@dataclass(frozen=True)
class Viewer:
    """Who asks, and where the answer will stand."""

    team_id: str
    requester_id: str
    asked_in: str

    def params(self) -> dict[str, Any]:
        """The values that ``VISIBLE`` binds."""
        return {"team_id": self.team_id, "requester_id": self.requester_id, "asked_in": self.asked_in}
