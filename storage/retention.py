"""How long things are kept. What is too old goes in batches, each a transaction of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Json

from storage import db, holdings, purges
from storage.db import Connection, Database
from storage.purges import BUSY, DEAD, KEYS, THREAD_KEY, MessageKey

BATCH = 500
TOMBSTONE_DAYS = 30  # Slack's late deliveries come within hours
MEMBERSHIP_DAYS = 1  # they are trusted for a minute
LIMITS = """
limits as (
    select c.team_id, c.channel_id, now() - make_interval(days => coalesce(
        (select days from json_to_recordset(%(channels)s) as asked (name text, days int)
         where asked.name in (c.channel_id, c.name) order by asked.name = c.channel_id desc limit 1),
        %(days)s)) as since
    from channels c)"""
OLD_MESSAGES = f"""
with {LIMITS}
select m.team_id, m.channel_id, m.ts from limits l cross join lateral (
    select * from messages m
    where m.team_id = l.team_id and m.channel_id = l.channel_id and m.posted_at < l.since
    order by m.posted_at limit {BATCH}) as m
limit {BATCH}"""
SEEN = f"""
select team_id, channel_id, ts from {KEYS}
where exists (select 1 from turn_sources s where (s.team_id, s.channel_id, s.ts) = (k.team_id, k.channel_id, k.ts))
   or exists (select 1 from turns t where (t.team_id, t.channel_id, t.message_ts) = (k.team_id, k.channel_id, k.ts))"""
OLD_TURNS = f"""
with {LIMITS}
select t.turn_id from turns t left join limits l using (team_id, channel_id)
where coalesce(t.ended_at, t.created_at) < greatest(
        coalesce(l.since, now() - make_interval(days => %(days)s)), now() - make_interval(days => %(turn_days)s))
  and not {BUSY}
limit {BATCH}"""
OLD_ROWS = "delete from {table} where {column} < now() - make_interval(days => %s)"
# Rows without a message never go with one.
ORPHANS = """
delete from {table} x
where x.ts::numeric < extract(epoch from now() - make_interval(days => %s)) and not exists (
    select 1 from messages m where m.team_id = x.team_id and m.channel_id = x.channel_id and m.ts = x.ts)"""
EMPTY_CONVERSATIONS = """
delete from conversations c
where not exists (select 1 from conversation_messages m where m.thread_key = c.thread_key)
  and c.created_at < now() - interval '1 day'
  and (c.reset_ts = '0' or not exists (
      select 1 from turns t where t.team_id || ':' || t.channel_id || ':' || t.thread_ts = c.thread_key))"""
# A step's lease bears the message's timestamp; a step takes minutes at most. A channel's reports keep theirs.
IDLE_LEASES = f"""
delete from thread_leases l
where l.thread_key not like 'report:%'
  and case when l.thread_key like 'steps:%'
           then split_part(l.thread_key, ':', 4)::numeric < extract(epoch from now() - {DEAD})
           else not exists (select 1 from turns t where l.thread_key = {THREAD_KEY}) end"""


@dataclass(frozen=True)
class Retention:
    """Days that things are kept.

    Attributes:
        days: messages, and what rests on them.
        channels: the same for channels, by name or id.
        turn_days: questions, answers and conversations, where the channel's days are not fewer.
        usage_days: records of model calls.
        audit_days: the audit log.
    """

    days: int = 730
    channels: Mapping[str, int] = field(default_factory=dict)
    turn_days: int = 730
    usage_days: int = 400
    audit_days: int = 1825

    @property
    def shortest(self) -> int:
        """The fewest days that any message is kept."""
        return min(self.days, *self.channels.values()) if self.channels else self.days

    def params(self) -> dict[str, Any]:
        """The values that the statements bind."""
        named = [{"name": name.removeprefix("#").strip(), "days": days} for name, days in self.channels.items()]
        return {"days": self.days, "turn_days": self.turn_days, "channels": Json(named)}


async def expire(database: Database, retention: Retention) -> dict[str, int]:
    """Delete everything that is too old; returns how many rows of what went."""
    gone = {"messages": 0, "turns": 0}
    while count := await _expire_messages(database, retention):
        gone["messages"] += count
    while count := await _expire_turns(database, retention):
        gone["turns"] += count
    gone["reduced turns"] = (await purges.run(database)).turns
    async with database.connection() as conn:
        for table in await holdings.of_messages(conn):
            await conn.execute(sql.SQL(ORPHANS).format(table=table), (retention.days,))
        for name, rows, column, days in (
            ("model calls", "model_usage", "at", retention.usage_days),
            ("audit rows", "audit_logs", "at", retention.audit_days),
            ("users", "users", "refreshed_at", retention.days),
            ("memberships", "memberships", "seen_at", MEMBERSHIP_DAYS),
            ("tombstones", "messages", "deleted_at", TOMBSTONE_DAYS),
        ):
            old = sql.SQL(OLD_ROWS).format(table=sql.Identifier(rows), column=sql.Identifier(column))
            gone[name] = (await conn.execute(old, (days,))).rowcount
        gone["runbooks"] = await db.execute(conn, purges.RUNBOOKS)
        gone["conversations"] = await db.execute(conn, EMPTY_CONVERSATIONS)
        gone["leases"] = await db.execute(conn, IDLE_LEASES)
    return {name: count for name, count in gone.items() if count}


async def _expire_messages(database: Database, retention: Retention) -> int:
    async with database.connection() as conn, conn.transaction():
        await purges.lock(conn)
        cur = await conn.execute(OLD_MESSAGES, retention.params())
        keys = [MessageKey(*row) for row in await cur.fetchall()]
        if keys:
            await delete_messages(conn, keys)
    return len(keys)


async def _expire_turns(database: Database, retention: Retention) -> int:
    async with database.connection() as conn, conn.transaction():
        await purges.lock(conn)
        cur = await conn.execute(OLD_TURNS, retention.params())
        ids = [turn_id for (turn_id,) in await cur.fetchall()]
        if ids:
            await delete_turns(conn, ids)
    return len(ids)


async def delete_messages(conn: Connection, keys: list[MessageKey]) -> None:
    """Delete messages with all rows that belong to them, and have what rests on them purged."""
    bound = {"keys": purges.as_json(keys)}
    cur = await conn.execute(SEEN, bound)
    await purges.ask(conn, [MessageKey(*row) for row in await cur.fetchall()], "deleted")
    await purges.delete_derived(conn, keys)
    await purges.empty_events(conn, keys)
    await conn.execute(
        f"""delete from messages m using {KEYS}
            where m.team_id = k.team_id and m.channel_id = k.channel_id and m.ts = k.ts""",
        bound,
    )


async def delete_turns(conn: Connection, ids: list[UUID]) -> None:
    """Delete turns with their posts, steps, effects and what they said in their conversations."""
    cur = await conn.execute(f"select {THREAD_KEY}, t.turn_id from turns t where turn_id = any(%s)", (ids,))
    threads = dict.fromkeys(ids, "") | {turn_id: key for key, turn_id in await cur.fetchall()}
    await purges.delete_checkpoints(conn, [f"{key}#{turn_id}" for turn_id, key in threads.items()])
    await conn.execute(purges.RESTART, {"threads": sorted(set(threads.values()))})
    for table in ("conversation_messages", "effects", "turn_sources", "turns"):
        await conn.execute(sql.SQL("delete from {} where turn_id = any(%s)").format(sql.Identifier(table)), (ids,))
