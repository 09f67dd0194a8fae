"""Who may read what: the one rule, as SQL, so that no query can forget to filter afterwards.

A message may reach an answer when the requester may read it *and* everyone who can read the answer may:

- public channels: always, with two exceptions. Where people of other organizations read along (Slack Connect), or
  the channel's policy says ``audience: channel``, only what stands in that very channel. A guest, or somebody of
  another organization, sees those that they are members of, and the one that they ask in;
- a private channel or group DM: when the requester is a member, and the question was asked in that same
  channel or in the requester's own DM with Ratchet;
- a DM with Ratchet: only its own person, only there;
- what Ratchet posts unasked is for everyone there: public channels, and the channel or group DM that it posts in;
- what is the whole workspace's (documentation, totals of usage): where every public channel may be shown, to members
  of the workspace.

Of a channel that is not known, only ``audience: workspace`` says that it may show any of this.

Membership counts for 60 seconds after Slack confirmed it; without a fresh row nothing private is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FRESH_SECONDS = 60
EVERYONE = "*"  # no user has this id

# Whose messages a channel's answers may show: by whether others share it, every public channel's, or only its own.
Audience = Literal["auto", "workspace", "channel"]

_MEMBER = f"""exists (
    select 1 from memberships m
    where m.team_id = c.team_id and m.channel_id = c.channel_id and m.user_id = %(requester_id)s
      and m.seen_at > now() - interval '{FRESH_SECONDS} seconds')"""
_OWN_DM = """exists (
    select 1 from channels dm
    where dm.team_id = %(team_id)s and dm.channel_id = %(asked_in)s
      and dm.kind = 'im' and dm.user_id = %(requester_id)s)"""
# Whether an answer here may show more than what stands here: not where nothing is known of who reads it. Of a DM the
# requester is the only reader.
_OPEN = """(%(viewer_audience)s = 'workspace' or exists (
    select 1 from channels here
    where here.team_id = %(team_id)s and here.channel_id = %(asked_in)s
      and (here.kind = 'im' or not (here.shared or %(viewer_audience)s = 'channel'))))"""
_PUBLIC = f"(not %(viewer_is_outsider)s or {_MEMBER})"

# Needs an alias ``c`` for channels, and Viewer.params().
VISIBLE = f"""(
    c.team_id = %(team_id)s and (
        (c.kind = 'public' and (c.channel_id = %(asked_in)s or ({_OPEN} and {_PUBLIC})))
        or (%(requester_id)s = '{EVERYONE}' and c.kind in ('private', 'mpim') and c.channel_id = %(asked_in)s)
        or (c.kind = 'im' and c.user_id = %(requester_id)s and c.channel_id = %(asked_in)s)
        or (c.kind in ('private', 'mpim') and {_MEMBER} and (c.channel_id = %(asked_in)s or {_OWN_DM}))))"""

# What the requester would see in their own DM with Ratchet, and does not see here since others read along.
HIDDEN = f"""(
    c.team_id = %(team_id)s
    and ((c.kind = 'public' and {_PUBLIC}) or (c.kind in ('private', 'mpim') and {_MEMBER}))
    and not {VISIBLE})"""

# Whether what is the whole workspace's may be shown. Needs Viewer.params() alone.
WORKSPACE_WIDE = f"(not %(viewer_is_outsider)s and {_OPEN})"


@dataclass(frozen=True)
class Viewer:
    """Who asks, and where the answer will stand.

    Attributes:
        team_id: the workspace.
        requester_id: who asks.
        asked_in: the channel of the answer.
        outsider: whether that is a guest, or somebody of another organization.
        audience: whose messages answers there may show, by the channel's policy.
    """

    team_id: str
    requester_id: str
    asked_in: str
    outsider: bool = False
    audience: Audience = "auto"

    @classmethod
    def everyone_in(cls, team_id: str, channel_id: str, audience: Audience = "auto") -> Viewer:
        """All who read a channel: what is posted there unasked shows only what each of them may read."""
        return cls(team_id, EVERYONE, channel_id, audience=audience)

    def params(self) -> dict[str, Any]:
        """The values that ``VISIBLE``, ``HIDDEN`` and ``WORKSPACE_WIDE`` bind."""
        return {
            "team_id": self.team_id,
            "requester_id": self.requester_id,
            "asked_in": self.asked_in,
            "viewer_is_outsider": self.outsider,
            "viewer_audience": self.audience,
        }


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
