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
from storage.steering import TurnStopped


@dataclass(frozen=True)
class Effect:
    """What is known of one call."""

    tool_call_id: str
    tool: str
    state: Literal["intent", "done", "unknown"]
    result: str | None


async def intend(conn: Connection, lease: Lease, turn_id: UUID, tool_call_id: str, tool: str) -> Effect | None:
    """Note the intent, and return None: the call may run. Otherwise what is known of an earlier run.

    Raises:
        LeaseLost: another worker has the thread.
        TurnStopped: somebody stopped the turn, and the call was not made before.
    """
    async with conn.transaction():
        await hold(conn, lease)
        inserted = await db.execute(
            conn,
            """insert into effects (turn_id, tool_call_id, tool) select %(turn_id)s, %(call_id)s, %(tool)s
               where not exists (select 1 from turns where turn_id = %(turn_id)s and stopped_by is not null)
               on conflict do nothing""",
            {"turn_id": turn_id, "call_id": tool_call_id, "tool": tool},
        )
        if inserted:
            return None
        known = await db.fetch_one(
            conn,
            Effect,
            """update effects
               set state = case when state = 'intent' then 'unknown' else state end, settled_at = now()
               where turn_id = %s and tool_call_id = %s returning tool_call_id, tool, state, result""",
            (turn_id, tool_call_id),
        )
        if known is None:
            raise TurnStopped(f"turn {turn_id} was stopped")
        return known


async def close(conn: Connection, turn_id: UUID) -> list[Effect]:
    """Inside a transaction: a turn ends without its answer. What is known of its calls, in their order."""
    await conn.execute(
        "update effects set state = 'unknown', settled_at = now() where turn_id = %s and state = 'intent'", (turn_id,)
    )
    return await db.fetch_all(
        conn,
        Effect,
        """select tool_call_id, tool, state, result from effects where turn_id = %s
           order by created_at, tool_call_id""",
        (turn_id,),
    )


async def find(conn: Connection, turn_id: UUID, tool_call_id: str) -> Effect | None:
    """What is known of a call, and leave it at that."""
    return await db.fetch_one(
        conn,
        Effect,
        "select tool_call_id, tool, state, result from effects where turn_id = %s and tool_call_id = %s",
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
