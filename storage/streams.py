"""The messages in which answers grow while people read, from before Slack is asked for one to the answer in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from storage import db
from storage.db import Connection
from storage.leases import HELD, Lease, require


@dataclass(frozen=True)
class Stream:
    """A message that grows.

    ``ts`` is None where Slack was asked for it and nobody knows what became of that. ``is_native``: Slack streams it;
    else it is a post that is edited.
    """

    stream_id: int
    turn_id: UUID
    channel_id: str
    thread_ts: str
    ts: str | None
    is_native: bool
    created_at: datetime


COLUMNS = "stream_id, turn_id, channel_id, thread_ts, ts, is_native, created_at"


async def intend(
    conn: Connection, lease: Lease, turn_id: UUID, channel_id: str, thread_ts: str, *, native: bool
) -> Stream | None:
    """About to ask Slack for a turn's message; None when the turn has one already.

    Raises:
        LeaseLost: another worker has the thread.
    """
    params = {
        **lease.params(),
        "turn_id": turn_id,
        "channel_id": channel_id,
        "thread_ts": thread_ts,
        "native": native,
    }
    made = await db.fetch_one(
        conn,
        Stream,
        f"""with fence as materialized ({HELD})
            insert into streams (turn_id, channel_id, thread_ts, is_native)
            select %(turn_id)s, %(channel_id)s, %(thread_ts)s, %(native)s from fence
            on conflict do nothing returning {COLUMNS}""",
        params,
    )
    if made is None:
        require(await db.fetch_value(conn, HELD, lease.params()), lease)
    return made


async def get_open(conn: Connection, turn_id: UUID) -> Stream | None:
    """The message that a turn has and has not ended."""
    return await db.fetch_one(conn, Stream, f"select {COLUMNS} from streams where turn_id = %s and is_open", (turn_id,))


async def may_write(conn: Connection, lease: Lease, stream_id: int) -> bool:
    """Whether a message still grows, and is this worker's."""
    return bool(
        await db.fetch_value(
            conn,
            f"with fence as materialized ({HELD}) "
            "select 1 from streams, fence where stream_id = %(stream_id)s and is_open",
            {**lease.params(), "stream_id": stream_id},
        )
    )


async def seconds_since_asked(conn: Connection, stream_id: int) -> float:
    """How long ago Slack was asked for a message."""
    seconds: float | None = await db.fetch_value(
        conn,
        "select extract(epoch from clock_timestamp() - created_at)::float8 from streams where stream_id = %s",
        (stream_id,),
    )
    return seconds or 0.0


async def set_ts(conn: Connection, stream_id: int, ts: str) -> bool:
    """Slack has it, at ``ts``; False when somebody gave it up meanwhile."""
    found = await db.fetch_value(
        conn, "update streams set ts = %s where stream_id = %s and is_open returning 1", (ts, stream_id)
    )
    return found is not None


async def set_edited(conn: Connection, stream_id: int) -> None:
    """Slack streams it no more, or would not: from here on it is edited."""
    await conn.execute("update streams set is_native = false where stream_id = %s", (stream_id,))


async def close(conn: Connection, stream_id: int) -> None:
    """It grows no more: the answer stands in it, or elsewhere."""
    await conn.execute("update streams set is_open = false where stream_id = %s", (stream_id,))


async def known_messages(conn: Connection, channel_id: str, thread_ts: str) -> set[str]:
    """Which messages of a thread are accounted for: those of posts and of streams."""
    cur = await conn.execute(
        """select ts from posts where channel_id = %(channel)s and thread_ts = %(thread)s and ts is not null
           union select ts from streams where channel_id = %(channel)s and thread_ts = %(thread)s and ts is not null""",
        {"channel": channel_id, "thread": thread_ts},
    )
    return {ts for (ts,) in await cur.fetchall()}
