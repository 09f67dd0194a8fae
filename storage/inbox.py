"""Events that Slack delivered, each stored once."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from storage import db
from storage.db import Connection


async def insert(
    conn: Connection,
    event_id: str,
    team_id: str,
    kind: str,
    payload: dict[str, Any],
    subject: str | None = None,
) -> bool:
    """Store an event; False when this ``event_id`` was stored before.

    ``subject`` names the message that it tells of, as ``channel:ts``.
    """
    return bool(
        await db.execute(
            conn,
            "insert into inbox_events (event_id, team_id, kind, subject, payload) values (%s, %s, %s, %s, %s) "
            "on conflict (event_id) do nothing",
            (event_id, team_id, kind, subject, Jsonb(payload)),
        )
    )


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
