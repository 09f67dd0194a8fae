"""Which messages a turn was shown: what must go with a message is found by it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple
from uuid import UUID

from psycopg.types.json import Json

from storage.access import VISIBLE, Viewer
from storage.db import Connection

INSERT = """
    insert into turn_sources (turn_id, team_id, channel_id, ts)
    select turn_id, team_id, channel_id, ts from json_populate_recordset(null::turn_sources, %(sources)s)
    on conflict do nothing"""


class Source(NamedTuple):
    """A turn was shown a message."""

    turn_id: UUID
    team_id: str
    channel_id: str
    ts: str


def as_json(sources: Iterable[Source]) -> Json:
    """What ``INSERT`` binds as ``sources``; in one order, so that two writers never wait for each other."""
    return Json([{**source._asdict(), "turn_id": str(source.turn_id)} for source in sorted(set(sources))])


async def record(conn: Connection, sources: Iterable[Source]) -> None:
    """Note what turns were shown."""
    await conn.execute(INSERT, {"sources": as_json(sources)})


async def shown_in_thread(
    conn: Connection, viewer: Viewer, thread_ts: str | None, messages: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Those messages, as (channel id, ts), that are there and that some turn of the viewer's thread was shown."""
    asked = Json([{"channel_id": channel_id, "ts": ts} for channel_id, ts in sorted(messages)])
    cur = await conn.execute(
        f"""select distinct m.channel_id, m.ts
            from json_to_recordset(%(messages)s) as asked (channel_id text, ts text)
            join messages m on m.team_id = %(team_id)s and m.channel_id = asked.channel_id and m.ts = asked.ts
                and m.deleted_at is null
            join channels c on c.team_id = m.team_id and c.channel_id = m.channel_id
            join turn_sources s on s.team_id = m.team_id and s.channel_id = m.channel_id and s.ts = m.ts
            join turns t on t.turn_id = s.turn_id and t.channel_id = %(asked_in)s and t.thread_ts = %(thread_ts)s
            where {VISIBLE}""",
        {**viewer.params(), "messages": asked, "thread_ts": thread_ts},
    )
    return {(channel_id, ts) for channel_id, ts in await cur.fetchall()}
