"""How far the reading of each channel's past has come.

A row is a piece of work: a channel's newest messages (``onboard``), what was missed while Ratchet was away (``gap``),
or one thread. Whoever takes a row holds it until the transaction ends, so that what was stored of a page and how far
the row has come are committed together, and nobody else reads that page meanwhile. A process that dies lets go of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.types.json import Json

from storage import db
from storage.db import Connection

Kind = Literal["onboard", "gap", "thread"]
Status = Literal["pending", "finished", "failed"]


@dataclass(frozen=True)
class Backfill:
    """A row, as the one who took it reads it; the migration says what the columns hold."""

    team_id: str
    channel_id: str
    kind: Kind
    thread_ts: str
    wanted: int | None
    since: str | None
    reached: str | None
    cursor: str | None
    read: int
    failures: int


@dataclass(frozen=True)
class Progress:
    """How far a channel's onboarding is; ``error`` says why it failed or what it waits for."""

    channel_id: str
    status: Status
    wanted: int | None
    read: int
    stored: int
    threads: int
    threads_done: int
    error: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to read."""
        return self.status == "failed" or (self.status == "finished" and self.threads_done == self.threads)


KEY = "team_id = %(team_id)s and channel_id = %(channel_id)s and kind = %(kind)s and thread_ts = %(thread_ts)s"
COLUMNS = "team_id, channel_id, kind, thread_ts, wanted, since, reached, cursor, read, failures"
# What was missed comes first, then a channel's newest messages, then threads, the newest first.
ORDER = "array_position(array['gap', 'onboard'], kind), thread_ts desc"


async def open_onboarding(conn: Connection, team_id: str, channel_id: str, *, wanted: int) -> None:
    """Have a channel's newest ``wanted`` messages read, or go on where that stopped.

    Where fewer were wanted before, reading goes on from there; where they were read already, nothing is left to do.
    """
    await conn.execute(
        """with opened as (
               insert into backfills as b (team_id, channel_id, kind, wanted)
               values (%(team_id)s, %(channel_id)s, 'onboard', %(wanted)s)
               on conflict (team_id, channel_id, kind, thread_ts) do update
               set wanted = greatest(b.wanted, excluded.wanted), failures = 0, error = null,
                   status = case when b.status = 'finished' and excluded.wanted <= b.wanted
                            then b.status else 'pending' end
               returning status
           )
           update channels set onboarding_status = 'started' from opened
           where team_id = %(team_id)s and channel_id = %(channel_id)s and opened.status = 'pending'""",
        {"team_id": team_id, "channel_id": channel_id, "wanted": wanted},
    )


async def open_gaps(conn: Connection, team_id: str, *, away_seconds: float = 0, channel_id: str | None = None) -> int:
    """Have what was missed read, in every channel whose past was begun to be read; returns how many those are.

    A gap that was not read to its end keeps its beginning, and is read again from now.

    Args:
        conn: the database.
        team_id: the workspace.
        away_seconds: how long nothing was recorded until now; 0 where that is still so.
        channel_id: the one channel where something was missed, as while Ratchet was not in it; default all.
    """
    return await db.execute(
        conn,
        """insert into backfills as b (team_id, channel_id, kind, since)
           select c.team_id, c.channel_id, 'gap', coalesce(
               (select m.ts from messages m
                where m.team_id = c.team_id and m.channel_id = c.channel_id
                  and m.posted_at <= now() - make_interval(secs => %(away)s)
                order by m.posted_at desc limit 1),
               to_char(extract(epoch from c.created_at), 'FM0000000000.000000'))
           from channels c
           where c.team_id = %(team_id)s and (%(channel_id)s::text is null or c.channel_id = %(channel_id)s)
             and coalesce(c.attrs ->> 'state', '') not in ('archived', 'deleted')
             and exists (select 1 from backfills o where o.team_id = c.team_id and o.channel_id = c.channel_id
                           and o.kind = 'onboard' and o.status <> 'failed')
           on conflict (team_id, channel_id, kind, thread_ts) do update
           set since = case when b.status = 'pending' then least(b.since, excluded.since) else excluded.since end,
               status = 'pending', reached = null, failures = 0, error = null, finished_at = null""",
        {"away": away_seconds, "team_id": team_id, "channel_id": channel_id},
    )


async def open_thread(conn: Connection, team_id: str, channel_id: str, thread_ts: str) -> bool:
    """Have a thread read that never was; never waits for anybody. False where there is a row for it already."""
    return bool(
        await db.execute(
            conn,
            """insert into backfills (team_id, channel_id, kind, thread_ts)
               select team_id, channel_id, 'thread', %s from channels where team_id = %s and channel_id = %s
               on conflict do nothing""",
            (thread_ts, team_id, channel_id),
        )
    )


async def open_threads(
    conn: Connection,
    team_id: str,
    channel_id: str,
    threads: Mapping[str, str | None],
    *,
    since: str | None = None,
) -> int:
    """Have threads read; returns how many of them were not waiting already.

    Args:
        conn: the database.
        team_id: the workspace.
        channel_id: where they are.
        threads: the ts after which each is to be read, None for all of it, by its first message's ts.
        since: the last message seen before an outage, where one led here.
    """
    if not threads:
        return 0
    rows = [{"thread_ts": thread_ts, "reached": threads[thread_ts]} for thread_ts in sorted(threads)]
    return await db.execute(
        conn,
        """insert into backfills as b (team_id, channel_id, kind, thread_ts, reached, since)
           select %s, %s, 'thread', thread_ts, reached, %s from json_populate_recordset(null::backfills, %s)
           on conflict (team_id, channel_id, kind, thread_ts) do update
           set since = excluded.since, status = 'pending', cursor = null, failures = 0, error = null,
               reached = case when b.status = 'finished' then excluded.reached end, finished_at = null
           where b.status <> 'pending' or (b.since is null and excluded.since is not null)""",
        (team_id, channel_id, since, Json(rows)),
    )


async def lively_threads(
    conn: Connection, work: Backfill, *, before: str | None, days: int, limit: int
) -> dict[str, str | None]:
    """The threads of a gap's channel that somebody may have gone on with meanwhile, as ``open_threads`` takes them.

    Args:
        conn: the database.
        work: a gap.
        before: only threads whose first message is older; None for all.
        days: how long before the gap the last reply or turn may have been.
        limit: how many at most, the liveliest first.
    """
    cur = await conn.execute(
        """select thread_ts from (
               select thread_ts, posted_at as at from messages
               where team_id = %(team_id)s and channel_id = %(channel_id)s and thread_ts <> ts
                 and deleted_at is null
                 and posted_at > to_timestamp(%(since)s::float8) - make_interval(days => %(days)s)
               union all
               select thread_ts, created_at from turns
               where team_id = %(team_id)s and channel_id = %(channel_id)s and source <> 'step'
                 and created_at > to_timestamp(%(since)s::float8) - make_interval(days => %(days)s)
           ) as said
           where thread_ts is not null and (%(before)s::text is null or thread_ts::numeric < %(before)s::numeric)
           group by thread_ts order by max(at) desc limit %(limit)s""",
        {**work.__dict__, "before": before, "days": days, "limit": limit},
    )
    return {thread_ts: work.since for (thread_ts,) in await cur.fetchall()}


async def take(conn: Connection, team_id: str, channel_id: str) -> Backfill | None:
    """Inside a transaction: take the channel's most urgent piece of work that nobody else has, until it ends."""
    return await db.fetch_one(
        conn,
        Backfill,
        f"""select {COLUMNS} from backfills where team_id = %s and channel_id = %s and status = 'pending'
            order by {ORDER} limit 1 for update skip locked""",
        (team_id, channel_id),
    )


async def advance(
    conn: Connection,
    work: Backfill,
    *,
    reached: str | None,
    cursor: str | None,
    read: int,
    stored: int,
    is_end: bool,
) -> None:
    """A page was read and stored; at the end of the work nothing is left."""
    await conn.execute(
        f"""update backfills set reached = %(reached)s, cursor = %(cursor)s, read = read + %(new_read)s,
               stored = stored + %(new_stored)s, failures = 0, error = null, updated_at = now(),
               status = case when %(is_end)s then 'finished' else status end,
               finished_at = case when %(is_end)s then now() end
            where {KEY}""",
        {
            **work.__dict__,
            "reached": reached,
            "cursor": cursor,
            "new_read": read,
            "new_stored": stored,
            "is_end": is_end,
        },
    )


async def trouble(
    conn: Connection, work: Backfill, error: str, *, status: Status, counts: bool = True, keeps_cursor: bool = True
) -> None:
    """A page could not be read, and why.

    Args:
        conn: the database, inside a transaction.
        work: what was taken.
        error: the reason, for operators.
        status: ``pending`` where it will be tried again.
        counts: whether it is a failure, and not a wait that Slack asked for.
        keeps_cursor: whether the next page is still where it was.
    """
    await conn.execute(
        f"""update backfills set error = %(error)s, status = %(status)s, updated_at = now(),
               failures = failures + %(counts)s::integer, cursor = case when %(keeps_cursor)s then cursor end,
               finished_at = case when %(status)s <> 'pending' then now() end
            where {KEY}""",
        {**work.__dict__, "error": error, "status": status, "counts": counts, "keeps_cursor": keeps_cursor},
    )


async def fail_channel(conn: Connection, team_id: str, channel_id: str, error: str) -> None:
    """Nothing more can be read of a channel."""
    await conn.execute(
        """update backfills set status = 'failed', error = %s, updated_at = now(), finished_at = now()
           where team_id = %s and channel_id = %s and status = 'pending'""",
        (error, team_id, channel_id),
    )
    await conn.execute(
        """update channels set onboarding_status = 'failed'
           where team_id = %s and channel_id = %s and onboarding_status = 'started'""",
        (team_id, channel_id),
    )


async def settle(conn: Connection, team_id: str, channel_id: str) -> tuple[int, bool]:
    """How many pieces are left and whether only threads are; where none is, the onboarding is finished."""
    cur = await conn.execute(
        """select count(*), coalesce(bool_and(kind = 'thread'), false) from backfills
           where team_id = %s and channel_id = %s and status = 'pending'""",
        (team_id, channel_id),
    )
    left, only_threads = (await cur.fetchall())[0]
    if not left:
        await conn.execute(
            """update channels c set onboarding_status = 'finished'
               where team_id = %s and channel_id = %s and onboarding_status <> 'finished'
                 and exists (select 1 from backfills b where b.team_id = c.team_id and b.channel_id = c.channel_id
                               and b.kind = 'onboard' and b.status = 'finished')""",
            (team_id, channel_id),
        )
    return left, only_threads


async def channels_with_work(conn: Connection, team_id: str) -> set[str]:
    """The channels of which something is left to read."""
    cur = await conn.execute(
        "select distinct channel_id from backfills where team_id = %s and status = 'pending'", (team_id,)
    )
    return {channel_id for (channel_id,) in await cur.fetchall()}


async def progress(conn: Connection, team_id: str, channel_id: str) -> Progress | None:
    """How far a channel's onboarding is, its threads included; None where it was never begun."""
    return await db.fetch_one(
        conn,
        Progress,
        """select o.channel_id, o.status, o.wanted, o.read, o.stored + coalesce(t.stored, 0)::int as stored,
                  coalesce(t.threads, 0)::int as threads, coalesce(t.done, 0)::int as threads_done,
                  coalesce(o.error, t.error) as error, o.created_at,
                  greatest(o.updated_at, t.updated_at) as updated_at,
                  greatest(o.finished_at, t.finished_at) as finished_at
           from backfills o cross join lateral (
               select count(*) as threads, count(*) filter (where status <> 'pending') as done, sum(stored) as stored,
                      max(error) filter (where status = 'pending') as error,
                      max(updated_at) as updated_at, max(finished_at) as finished_at
               from backfills where team_id = o.team_id and channel_id = o.channel_id and kind = 'thread') t
           where o.team_id = %s and o.channel_id = %s and o.kind = 'onboard'""",
        (team_id, channel_id),
    )
