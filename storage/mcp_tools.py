"""What MCP servers said of their tools when they were first seen, and which servers fail."""

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


@dataclass(frozen=True)
class Failing:
    """A server that failed again and again: how often in a row, how the last time, and until when it is left alone.

    ``resting`` is whether that time is still to come.
    """

    server: str
    failures: int
    problem: str
    until: datetime
    resting: bool


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


async def list_hashes(conn: Connection) -> set[tuple[str, str, str]]:
    """Server, tool and SHA-256 of all of them."""
    cur = await conn.execute("select server, tool, sha256 from mcp_tools")
    return {(server, tool, sha256) for server, tool, sha256 in await cur.fetchall()}


async def forget(conn: Connection, server: str, tool: str | None = None) -> int:
    """Drop a server's pins, or one tool's; what is seen next is pinned. Returns how many there were."""
    cur = await conn.execute(
        "delete from mcp_tools where server = %s and (%s::text is null or tool = %s)", (server, tool, tool)
    )
    return cur.rowcount


async def note_failing(conn: Connection, server: str, failures: int, problem: str, *, seconds: float) -> None:
    """Keep that a server failed so often in a row and is left alone for some seconds."""
    await conn.execute(
        """insert into mcp_failures (server, failures, problem, until)
           values (%s, %s, %s, now() + make_interval(secs => %s))
           on conflict (server) do update
           set failures = excluded.failures, problem = excluded.problem, until = excluded.until""",
        (server, failures, problem, seconds),
    )


async def note_working(conn: Connection, server: str) -> None:
    """Keep that it works again."""
    await conn.execute("delete from mcp_failures where server = %s", (server,))


async def list_failing(conn: Connection) -> list[Failing]:
    """The servers that fail, by name."""
    return await db.fetch_all(
        conn,
        Failing,
        "select server, failures, problem, until, until > now() as resting from mcp_failures order by server",
    )
