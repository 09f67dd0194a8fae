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
from storage.leases import Lease, hold


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
    await hold(conn, lease)
    await conn.execute(
        """insert into conversations (thread_key, seen_upto_ts) values (%(key)s, %(ts)s)
           on conflict (thread_key) do update set seen_upto_ts = greatest(
               conversations.seen_upto_ts::numeric, excluded.seen_upto_ts::numeric)::text""",
        {"key": lease.thread_key, "ts": seen_upto_ts},
    )
    await conn.execute(
        """insert into conversation_messages (thread_key, seq, turn_id, message)
           select %(key)s, coalesce((select max(seq) from conversation_messages where thread_key = %(key)s), 0) + n,
                  %(turn_id)s, message
           from unnest(%(messages)s::jsonb[]) with ordinality as new (message, n)
           where not exists (select 1 from conversation_messages where thread_key = %(key)s and turn_id = %(turn_id)s)
           on conflict do nothing""",
        {"key": lease.thread_key, "turn_id": turn_id, "messages": [Jsonb(message) for message in messages]},
    )


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
