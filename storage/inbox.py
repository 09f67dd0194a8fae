"""Events that Slack delivered, each stored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Json

from storage import db
from storage.db import Connection


@dataclass(frozen=True)
class NewEvent:
    """An event to store; ``subject`` names the message that it tells of, as ``channel:ts``."""

    event_id: str
    team_id: str
    kind: str
    subject: str | None
    payload: dict[str, Any]


async def insert(conn: Connection, events: Sequence[NewEvent]) -> set[str]:
    """Store events, and return the ids of those that were not stored before."""
    rows = sorted((event.__dict__ for event in events), key=lambda row: str(row["event_id"]))
    cur = await conn.execute(
        """insert into inbox_events (event_id, team_id, kind, subject, payload)
           select event_id, team_id, kind, subject, payload from json_populate_recordset(null::inbox_events, %s)
           on conflict (event_id) do nothing returning event_id""",
        (Json(rows),),
    )
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
