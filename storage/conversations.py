"""A thread's conversation: an append-only list of messages, and the summary of what was compacted.

Messages are stored as LangChain's JSON form. A turn's messages are appended once, when the turn ends,
so that a broken turn leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from storage import db
from storage.db import Connection
from storage.leases import HELD, Lease, hold, require


@dataclass(frozen=True)
class Conversation:
    """What a thread's conversation has become.

    ``summary`` stands for the messages up to ``summarised_upto``; ``seen_upto_ts`` is Slack's timestamp of
    the newest thread message that was read into the conversation.
    """

    thread_key: str
    summary: str
    summarised_upto: int
    seen_upto_ts: str


@dataclass(frozen=True)
class ConversationMessage:
    """One message with its place and turn."""

    seq: int
    turn_id: UUID
    message: dict[str, Any]


async def get(conn: Connection, thread_key: str) -> Conversation | None:
    """The thread's conversation, if it has begun."""
    return await db.fetch_one(
        conn,
        Conversation,
        "select thread_key, summary, summarised_upto, seen_upto_ts from conversations where thread_key = %s",
        (thread_key,),
    )


async def list_messages(conn: Connection, thread_key: str, *, after_seq: int) -> list[ConversationMessage]:
    """The messages after ``after_seq``, oldest first."""
    return await db.fetch_all(
        conn,
        ConversationMessage,
        "select seq, turn_id, message from conversation_messages where thread_key = %s and seq > %s order by seq",
        (thread_key, after_seq),
    )


async def append(
    conn: Connection, lease: Lease, turn_id: UUID, messages: list[dict[str, Any]], *, seen_upto_ts: str
) -> None:
    """Inside a transaction: append a finished turn's messages; a turn that is there already changes nothing.

    Raises:
        LeaseLost: another worker has the thread.
    """
    held = await db.fetch_value(
        conn,
        f"""with fence as materialized ({HELD}), conversation as (
               insert into conversations (thread_key, seen_upto_ts) select %(thread_key)s, %(ts)s from fence
               on conflict (thread_key) do update set seen_upto_ts = greatest(
                   conversations.seen_upto_ts::numeric, excluded.seen_upto_ts::numeric)::text
           ), appended as (
               insert into conversation_messages (thread_key, seq, turn_id, message)
               select %(thread_key)s,
                      coalesce((select max(seq) from conversation_messages where thread_key = %(thread_key)s), 0) + n,
                      %(turn_id)s, message
               from fence, jsonb_array_elements(%(messages)s) with ordinality as new (message, n)
               where not exists (
                   select 1 from conversation_messages where thread_key = %(thread_key)s and turn_id = %(turn_id)s)
               on conflict do nothing
           )
           select 1 from fence""",
        {**lease.params(), "turn_id": turn_id, "ts": seen_upto_ts, "messages": Jsonb(messages)},
    )
    require(held, lease)


async def set_summary(conn: Connection, lease: Lease, summary: str, summarised_upto: int) -> None:
    """Replace everything up to ``summarised_upto`` by ``summary`` in what the model is shown.

    Raises:
        LeaseLost: another worker has the thread.
    """
    async with conn.transaction():
        await hold(conn, lease)
        await conn.execute(
            "update conversations set summary = %s, summarised_upto = %s where thread_key = %s",
            (summary, summarised_upto, lease.thread_key),
        )


async def last_result(conn: Connection, turn_id: UUID, tool: str) -> str | None:
    """What a tool returned when a turn called it successfully for the last time."""
    found: str | None = await db.fetch_value(
        conn,
        """select message -> 'data' ->> 'content' from conversation_messages
           where turn_id = %s and message ->> 'type' = 'tool' and message -> 'data' ->> 'name' = %s
             and message -> 'data' ->> 'status' = 'success'
           order by seq desc limit 1""",
        (turn_id, tool),
    )
    return found
