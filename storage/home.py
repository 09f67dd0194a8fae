"""What a person's home shows: only what they may read in their own direct messages with Ratchet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from storage import db
from storage.access import VISIBLE, WORKSPACE_WIDE, Viewer
from storage.channel_switches import MANAGED
from storage.db import Connection

# What people asked, by whatever way; not what Ratchet did by itself.
ASKED = ["mention", "dm", "command", "followup", "retry", "private"]
EXCERPT = 300
LOOKED_AT = 50  # of the newest questions, to find some that are still to be shown


@dataclass(frozen=True)
class WatchedChannel:
    """A channel that Ratchet reads; ``since`` is the oldest message it knows, ``is_managed`` whether by the viewer."""

    channel_id: str
    name: str
    kind: Literal["public", "private"]
    onboarding_status: Literal["started", "finished", "failed"]
    since: datetime | None
    is_managed: bool


@dataclass(frozen=True)
class OpenApproval:
    """A request that waits; ``may_decide`` says whether for the viewer, who otherwise asked for it."""

    tool: str
    requester_id: str
    channel_id: str
    channel_kind: str
    post_ts: str
    thread_ts: str | None
    expires_at: datetime
    may_decide: bool


@dataclass(frozen=True)
class Asked:
    """A question of the viewer; ``question`` is its beginning."""

    channel_id: str
    channel_kind: str
    message_ts: str
    thread_ts: str
    question: str
    status: str
    created_at: datetime


async def list_watched(
    conn: Connection, viewer: Viewer, *, among: Sequence[str] | None = None, limit: int, offset: int = 0
) -> list[WatchedChannel]:
    """The channels that Ratchet reads and the viewer may read, those first that the viewer manages, then by name.

    ``among`` are the ids of the channels that Ratchet is in, where that is known.
    """
    return await db.fetch_all(
        conn,
        WatchedChannel,
        f"""select c.channel_id, c.name, c.kind, c.onboarding_status,
                   (select m.posted_at from messages m
                    where m.team_id = c.team_id and m.channel_id = c.channel_id and m.deleted_at is null
                    order by m.posted_at limit 1) as since,
                   {MANAGED} as is_managed
            from channels c
            where {VISIBLE} and c.kind in ('public', 'private') and c.name <> '' and c.attrs -> 'state' is null
              and (%(among)s::text[] is null or c.channel_id = any(%(among)s))
            order by is_managed desc, c.name, c.channel_id limit %(limit)s offset %(offset)s""",
        {**viewer.params(), "among": None if among is None else list(among), "limit": limit, "offset": offset},
    )


async def list_open_approvals(conn: Connection, viewer: Viewer, *, limit: int) -> list[OpenApproval]:
    """The requests that the viewer may decide or asked for, in channels that they may read; the most urgent first."""
    return await db.fetch_all(
        conn,
        OpenApproval,
        f"""select * from (
                select a.tool, a.requester_id, a.channel_id, c.kind as channel_kind, p.ts as post_ts, a.thread_ts,
                       a.expires_at,
                       %(requester_id)s = any(a.approvers)
                           and (a.self_approval or a.requester_id <> %(requester_id)s) as may_decide
                from approvals a
                join channels c on c.team_id = a.team_id and c.channel_id = a.channel_id
                join posts p on p.post_id = a.turn_id || '/' || a.part
                where a.status = 'pending' and a.expires_at > now() and p.ts is not null and {VISIBLE}) as waiting
            where may_decide or requester_id = %(requester_id)s
            order by expires_at, post_ts limit %(limit)s""",
        {**viewer.params(), "limit": limit},
    )


async def list_asked(conn: Connection, viewer: Viewer, *, limit: int) -> list[Asked]:
    """The viewer's last questions, in channels that they may still read; the newest first."""
    return await db.fetch_all(
        conn,
        Asked,
        f"""select t.channel_id, c.kind as channel_kind, t.message_ts, t.thread_ts,
                   left(t.question, {EXCERPT}) as question, t.status, t.created_at
            from (select * from turns
                  where team_id = %(team_id)s and requester_id = %(requester_id)s and source = any(%(asked)s)
                    and message_ts is not null and thread_ts is not null and question <> ''
                  order by created_at desc limit {LOOKED_AT}) as t
            join channels c on c.team_id = t.team_id and c.channel_id = t.channel_id
            where {VISIBLE}
              and not exists (select 1 from messages m where m.team_id = t.team_id and m.channel_id = t.channel_id
                              and m.ts = t.message_ts and m.deleted_at is not null)
            order by t.created_at desc limit %(limit)s""",
        {**viewer.params(), "asked": ASKED, "limit": limit},
    )


async def find_asker(conn: Connection, team_id: str, channel_id: str, ts: str) -> str | None:
    """Whose home lists a message as their question; None where it is none."""
    found: str | None = await db.fetch_value(
        conn,
        "select requester_id from turns "
        "where team_id = %s and channel_id = %s and message_ts = %s and source = any(%s) limit 1",
        (team_id, channel_id, ts, ASKED),
    )
    return found


async def busiest_alert_channel(conn: Connection, viewer: Viewer, *, days: int = 7) -> str | None:
    """The name of the channel with most alerts lately, of those that the viewer may read; None where there are none."""
    found: str | None = await db.fetch_value(
        conn,
        f"""select c.name from channels c
            join (select channel_id, count(*) as alerts from alerts
                  where team_id = %(team_id)s and action = 'open_incident'
                    and at > now() - make_interval(days => %(days)s)
                  group by channel_id) as counted on counted.channel_id = c.channel_id
            where {VISIBLE} and c.kind in ('public', 'private') and c.name <> '' and c.attrs -> 'state' is null
            order by counted.alerts desc, c.name limit 1""",
        {**viewer.params(), "days": days},
    )
    return found


async def has_documents(conn: Connection, viewer: Viewer) -> bool:
    """Whether any documentation is stored that the viewer may read here."""
    return bool(
        await db.fetch_value(conn, f"select {WORKSPACE_WIDE} and exists (select 1 from documents)", viewer.params())
    )


async def find_dm(conn: Connection, team_id: str, user_id: str) -> str | None:
    """The direct messages of a person with Ratchet; None where there are none yet."""
    found: str | None = await db.fetch_value(
        conn,
        "select channel_id from channels where team_id = %s and kind = 'im' and user_id = %s "
        "order by created_at limit 1",
        (team_id, user_id),
    )
    return found
