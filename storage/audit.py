"""The audit log: who did what. It holds no message text."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from storage.db import Connection


async def record(
    conn: Connection, *, who: str, action: str, details: dict[str, Any], incident_id: int | None = None
) -> None:
    """Append one row; ``details`` names things (tool, turn, digest), never what people wrote."""
    await conn.execute(
        "insert into audit_logs (who, action, details, incident_id) values (%s, %s, %s, %s)",
        (who, action, Jsonb(details), incident_id),
    )
