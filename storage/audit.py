"""The audit log: who did what. It holds no message text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Json

from storage.db import Connection


@dataclass(frozen=True)
class Entry:
    """One act; ``details`` names things (tool, turn, digest), never what people wrote."""

    who: str
    action: str
    details: dict[str, Any]
    incident_id: int | None = None


async def insert(conn: Connection, *entries: Entry) -> None:
    """Append rows."""
    await conn.execute(
        """insert into audit_logs (who, action, details, incident_id)
           select who, action, details, incident_id from json_populate_recordset(null::audit_logs, %s)""",
        (Json([entry.__dict__ for entry in entries]),),
    )


async def record(
    conn: Connection, *, who: str, action: str, details: dict[str, Any], incident_id: int | None = None
) -> None:
    """Append one row."""
    await insert(conn, Entry(who, action, details, incident_id))
