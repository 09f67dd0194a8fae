"""The audit log: who did what. It holds no message text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Json

from storage.db import Connection

INSERT = """
    insert into audit_logs (who, action, details, incident_id)
    select who, action, details, incident_id from json_populate_recordset(null::audit_logs, %(entries)s)"""


@dataclass(frozen=True)
class Entry:
    """One act; ``details`` names things (tool, turn, digest), never what people wrote."""

    who: str
    action: str
    details: dict[str, Any]
    incident_id: int | None = None


def as_json(entries: Sequence[Entry]) -> Json:
    """What ``INSERT`` binds as ``entries``."""
    return Json([entry.__dict__ for entry in entries])


async def record(
    conn: Connection, *, who: str, action: str, details: dict[str, Any], incident_id: int | None = None
) -> None:
    """Append one row."""
    await conn.execute(INSERT, {"entries": as_json([Entry(who, action, details, incident_id)])})
