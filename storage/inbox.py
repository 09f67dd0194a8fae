"""Events that Slack delivered, each stored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Json

from storage import db
from storage.access import barred
from storage.db import Connection

SUBJECT_TS = "nullif(split_part(subject, ':', 2), '')"
INSERT = f"""
with judged as materialized (
    select new.*, {barred("team_id", "channel_id", "user_id", ts=SUBJECT_TS)} as is_barred,
           exists (
               select 1 from messages m
               where m.team_id = new.team_id and m.channel_id = split_part(new.subject, ':', 1)
                 and m.ts = split_part(new.subject, ':', 2)
                 and (m.deleted_at is not null or m.edited_ts is not null)) as is_outdated
    from json_to_recordset(%s) as new (event_id text, team_id text, kind text, subject text, payload jsonb,
                                       channel_id text, user_id text)
), stored as (
    insert into inbox_events (event_id, team_id, kind, subject, payload)
    select event_id, team_id, kind, case when not is_barred then subject end,
           case when is_barred or is_outdated then '{{}}' else payload end
    from judged on conflict (event_id) do nothing returning event_id
)
select event_id from stored join judged using (event_id) where not is_barred"""


@dataclass(frozen=True)
class NewEvent:
    """An event to store; ``subject`` names the message that it tells of, as ``channel:ts``.

    ``channel_id`` and ``user_id`` are given where the event must not count when these were forgotten.
    """

    event_id: str
    team_id: str
    kind: str
    subject: str | None
    payload: dict[str, Any]
    channel_id: str | None = None
    user_id: str | None = None


async def insert(conn: Connection, events: Sequence[NewEvent]) -> set[str]:
    """Store events, and return the ids of those that were not stored before and count.

    Those of channels and people that were forgotten do not count. What they say is not kept, nor is what a message
    said that was deleted or edited since.
    """
    rows = sorted((event.__dict__ for event in events), key=lambda row: str(row["event_id"]))
    cur = await conn.execute(INSERT, (Json(rows),))
    return {event_id for (event_id,) in await cur.fetchall()}


async def forget(conn: Connection, team_id: str, subject: str) -> int:
    """Empty every event that tells of a message; returns how many those were."""
    return await db.execute(
        conn, "update inbox_events set payload = '{}' where team_id = %s and subject = %s", (team_id, subject)
    )


async def prune(conn: Connection, *, older_than_days: int) -> int:
    """Delete old events and return how many went."""
    return await db.execute(
        conn,
        "delete from inbox_events where received_at < now() - make_interval(days => %s)",
        (older_than_days,),
    )
