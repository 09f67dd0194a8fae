"""What MCP servers said of their tools when they were first seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage import db
from storage.db import Connection


@dataclass(frozen=True)
class Pin:
    """A tool's definition at first sight (JSON), and the SHA-256 (hex) by which a change of it is noticed."""

    server: str
    tool: str
    sha256: str
    definition: str
    seen_at: datetime


async def remember(conn: Connection, server: str, seen: Sequence[tuple[str, str, str]]) -> None:
    """Keep tools (name, SHA-256, definition) that were never seen before; what is known stays as it is."""
    cur = conn.cursor()
    await cur.executemany(
        """insert into mcp_tools (server, tool, sha256, definition) values (%s, %s, %s, %s)
           on conflict (server, tool) do nothing""",
        [(server, tool, sha256, definition) for tool, sha256, definition in seen],
    )


async def load(conn: Connection) -> list[Pin]:
    """All of them, by server and tool."""
    return await db.fetch_all(
        conn, Pin, "select server, tool, sha256, definition, seen_at from mcp_tools order by server, tool"
    )


async def forget(conn: Connection, server: str, tool: str | None = None) -> int:
    """Drop a server's pins, or one tool's; what is seen next is pinned. Returns how many there were."""
    cur = await conn.execute(
        "delete from mcp_tools where server = %s and (%s::text is null or tool = %s)", (server, tool, tool)
    )
    return cur.rowcount
