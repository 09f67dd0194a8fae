"""A thread's conversation: an append-only list of messages, and the summary of what was compacted.

Messages are stored as LangChain's JSON form. A turn's messages are appended once, when the turn ends,
so that a broken turn leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from storage import db
from storage.access import VISIBLE, WORKSPACE_WIDE, Viewer
from storage.db import Connection
from storage.leases import HELD, Lease, hold, require


@dataclass(frozen=True)
class Conversation:
    """What a thread's conversation has become.

    ``summary`` stands for the messages up to ``summarised_upto``; ``seen_upto_ts`` is Slack's timestamp of
    the newest thread message that was read into the conversation. What was said up to ``reset_ts`` is no part of it
    any more.
    """

    thread_key: str
    summary: str
    summarised_upto: int
    seen_upto_ts: str
    reset_ts: str

    @property
    def is_reset(self) -> bool:
        """Whether people had it begin afresh."""
        return self.reset_ts != "0"


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
        """select thread_key, summary, summarised_upto, reset_ts,
                  greatest(seen_upto_ts::numeric, reset_ts::numeric)::text as seen_upto_ts
           from conversations where thread_key = %s""",
        (thread_key,),
    )


async def list_messages(conn: Connection, thread_key: str, *, after_seq: int) -> list[ConversationMessage]:
    """The messages after ``after_seq``, oldest first, of turns that were asked after the last reset."""
    return await db.fetch_all(
        conn,
        ConversationMessage,
        """select m.seq, m.turn_id, m.message
           from conversation_messages m join conversations c using (thread_key) left join turns t using (turn_id)
           where m.thread_key = %s and m.seq > %s and (c.reset_ts = '0' or c.reset_ts::numeric
               < coalesce(t.message_ts::numeric, extract(epoch from t.created_at), 0))
           order by m.seq""",
        (thread_key, after_seq),
    )


async def last_reference(conn: Connection, thread_key: str) -> int:
    """The highest number that a result of the thread has, whether it is shown or not; 0 where there is none."""
    return int(
        await db.fetch_value(
            conn,
            """select coalesce(max(substring(
                   message -> 'data' -> 'additional_kwargs' ->> 'reference' from '^[eE]([0-9]{1,6})$')::int), 0)
               from conversation_messages where thread_key = %s and message ->> 'type' = 'tool'""",
            (thread_key,),
        )
    )


async def reset(conn: Connection, thread_key: str, ts: str) -> bool:
    """Have a conversation begin afresh after ``ts``, Slack's timestamp; False where it did already.

    Its messages stay, but no longer count. A turn that runs meanwhile keeps nothing of the past: its summary is
    refused, its messages are from before.
    """
    return bool(
        await db.execute(
            conn,
            """insert into conversations (thread_key, reset_ts) values (%(thread_key)s, %(ts)s)
               on conflict (thread_key) do update
               set summary = '', summarised_upto = 0, reset_ts = excluded.reset_ts
               where conversations.reset_ts::numeric < excluded.reset_ts::numeric""",
            {"thread_key": thread_key, "ts": ts},
        )
    )


async def closed_turns(conn: Connection, thread_key: str, viewer: Viewer) -> dict[UUID, int]:
    """The turns of a thread whose tools showed what this viewer may not see here, with their last ``seq``.

    Who asked then may have read more, a membership may have ended, or others may read along by now.
    """
    cur = await conn.execute(
        f"""select called.turn_id, (select max(seq) from conversation_messages l
                                    where l.thread_key = %(thread_key)s and l.turn_id = called.turn_id)
            from (select distinct turn_id from conversation_messages
                  where thread_key = %(thread_key)s and message ->> 'type' = 'tool') as called
            where not {WORKSPACE_WIDE} or exists (
                select 1 from turn_sources s
                where s.turn_id = called.turn_id and not exists (
                    select 1 from channels c
                    where c.team_id = s.team_id and c.channel_id = s.channel_id and {VISIBLE}))""",
        {**viewer.params(), "thread_key": thread_key},
    )
    return dict(await cur.fetchall())


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


async def set_summary(
    conn: Connection, lease: Lease, summary: str, summarised_upto: int, *, reset_ts: str = "0"
) -> None:
    """Replace everything up to ``summarised_upto`` by ``summary`` in what the model is shown.

    Nothing happens when the conversation was reset since ``reset_ts``.

    Raises:
        LeaseLost: another worker has the thread.
    """
    async with conn.transaction():
        await hold(conn, lease)
        await conn.execute(
            "update conversations set summary = %s, summarised_upto = %s where thread_key = %s and reset_ts = %s",
            (summary, summarised_upto, lease.thread_key, reset_ts),
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


async def tool_calls(conn: Connection, turn_id: UUID, names: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
    """The calls of some tools that a turn made, as (name, arguments)."""
    cur = await conn.execute(
        """select call ->> 'name', call -> 'args'
           from conversation_messages, jsonb_array_elements(
               case when jsonb_typeof(message -> 'data' -> 'tool_calls') = 'array'
                    then message -> 'data' -> 'tool_calls' else '[]' end) with ordinality as made (call, position)
           where turn_id = %s and message ->> 'type' = 'ai' and call ->> 'name' = any(%s)
           order by seq, position""",
        (turn_id, list(names)),
    )
    return [(name, args) for name, args in await cur.fetchall() if isinstance(args, dict)]
