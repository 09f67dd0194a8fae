"""The ledger of side effects: a tool call with an effect runs at most once.

Before the call a row says ``intent``; after it, ``done`` with the result. A call found at ``intent``
was cut off: nobody knows whether it happened, so it becomes ``unknown`` and is not run again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from storage import db
from storage.db import Connection
from storage.leases import Lease, hold


@dataclass(frozen=True)
class Effect:
    """What is known of one call."""

    state: Literal["intent", "done", "unknown"]
    result: str | None


async def intend(conn: Connection, lease: Lease, turn_id: UUID, tool_call_id: str, tool: str) -> Effect | None:
    """Note the intent, and return None: the call may run. Otherwise what is known of an earlier run.

    Raises:
        LeaseLost: another worker has the thread.
    """
    async with conn.transaction():
        await hold(conn, lease)
        inserted = await db.execute(
            conn,
            "insert into effects (turn_id, tool_call_id, tool) values (%s, %s, %s) on conflict do nothing",
            (turn_id, tool_call_id, tool),
        )
        if inserted:
            return None
        return await db.fetch_one(
            conn,
            Effect,
            """update effects
               set state = case when state = 'intent' then 'unknown' else state end, settled_at = now()
               where turn_id = %s and tool_call_id = %s returning state, result""",
            (turn_id, tool_call_id),
        )


async def find(conn: Connection, turn_id: UUID, tool_call_id: str) -> Effect | None:
    """What is known of a call, and leave it at that."""
    return await db.fetch_one(
        conn,
        Effect,
        "select state, result from effects where turn_id = %s and tool_call_id = %s",
        (turn_id, tool_call_id),
    )


async def settle(conn: Connection, turn_id: UUID, tool_call_id: str, result: str) -> None:
    """The call returned: keep its result for a repetition. Needs no lease: it is a fact now."""
    await conn.execute(
        "update effects set state = 'done', result = %s, settled_at = now() where turn_id = %s and tool_call_id = %s",
        (result, turn_id, tool_call_id),
    )


async def withdraw(conn: Connection, turn_id: UUID, tool_call_id: str) -> None:
    """The tool refused before doing anything: the call may be made again."""
    await conn.execute(
        "delete from effects where turn_id = %s and tool_call_id = %s and state = 'intent'",
        (turn_id, tool_call_id),
    )
