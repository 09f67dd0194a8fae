"""Who may read what: the one rule, as SQL, so that no query can forget to filter afterwards.

A message may reach an answer when the requester may read it *and* everyone who can read the answer may:

- public channels: always;
- a private channel or group DM: when the requester is a member, and the question was asked in that same
  channel or in the requester's own DM with Ratchet;
- a DM with Ratchet: only its own person, only there;
- what Ratchet posts unasked is for everyone there: public channels, and the channel or group DM that it posts in.

Membership counts for 60 seconds after Slack confirmed it; without a fresh row nothing private is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FRESH_SECONDS = 60
EVERYONE = "*"  # no user has this id

# Needs an alias ``c`` for channels, and Viewer.params().
VISIBLE = f"""(
    c.team_id = %(team_id)s and (
        c.kind = 'public'
        or (%(requester_id)s = '{EVERYONE}' and c.kind in ('private', 'mpim') and c.channel_id = %(asked_in)s)
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

    @classmethod
    def everyone_in(cls, team_id: str, channel_id: str) -> Viewer:
        """All who read a channel: what is posted there unasked shows only what each of them may read."""
        return cls(team_id, EVERYONE, channel_id)

    def params(self) -> dict[str, Any]:
        """The values that ``VISIBLE`` binds."""
        return {"team_id": self.team_id, "requester_id": self.requester_id, "asked_in": self.asked_in}


def barred(team_id: str, *ids: str, ts: str) -> str:
    """SQL: whether a channel or person was forgotten, and with them what was said at ``ts``.

    All arguments are SQL expressions; those of ``ids`` and ``ts`` may be null. See storage/forgetting.py.
    """
    digests = ", ".join(digest(team_id, expression) for expression in ids)
    return f"""exists (select 1 from forgotten f where f.digest in ({digests})
        and (f.everything or ({ts})::numeric <= extract(epoch from f.forgotten_at)))"""


def digest(team_id: str, expression: str) -> str:
    """SQL: under which hash a channel or person is kept in ``forgotten``."""
    return f"sha256(convert_to({team_id} || ':' || {expression}, 'UTF8'))"
