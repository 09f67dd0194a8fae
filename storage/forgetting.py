"""Forgetting a person or a channel: everything that is stored of them, and what rests on it.

A mark stays (``forgotten``), so that late events and old history do not bring them back. Of a channel it bars
everything until Ratchet is invited again. Of a person, and of a person's direct messages, it bars what was said
before; of a person it also bars the name. The mark holds a hash, not the id.

The messages go first, and with them, by ``purges``, what rests on them. When no turn of theirs runs any more, the
rest goes: ``finish_user``, ``finish_channel``. All of it can be repeated at any time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import sql

from storage import db, holdings, purges, retention
from storage.access import digest
from storage.db import Connection, Database
from storage.purges import BUSY, MessageKey

NOBODY = "forgotten"  # stands for the person where a row stays
SOMEONE = "@someone"
BATCH = 500
# Turns whose own words name what is forgotten: they rest on no message of it, but show its id or name.
NAMING = """
select distinct c.turn_id from conversation_messages c where c.message::text ~ %(pattern)s
union select turn_id from turns where concat_ws(' ', question, answer, error) ~ %(pattern)s
union select turn_id from posts where text ~ %(pattern)s
union select turn_id from effects where result ~ %(pattern)s
union select turn_id from approvals
    where concat_ws(' ', summary, attachment, reason, arguments, bound, edit) ~ %(pattern)s"""
MARK = f"""
insert into forgotten (digest, everything) values ({digest("%(team_id)s::text", "%(id)s::text")}, %(everything)s)
on conflict (digest) do update set everything = excluded.everything or forgotten.everything, forgotten_at = now()"""
MENTIONS = """
update {table} set {column} = regexp_replace({column}, %(pattern)s, %(someone)s, 'g')
where team_id = %(team_id)s and {column} ~ %(pattern)s"""
REACTIONS = """
update messages m set attrs = jsonb_set(m.attrs, '{reactions}', coalesce((
    select jsonb_object_agg(name, users - %(user_id)s::text) from jsonb_each(m.attrs -> 'reactions') as r (name, users)
    where users - %(user_id)s::text <> '[]'), '{}'))
where m.team_id = %(team_id)s and m.attrs -> 'reactions' is not null
  and m.attrs ->> 'reactions' like '%%"' || %(user_id)s || '"%%'"""
DECISIONS = """
update approvals
set approvers = array_remove(approvers, %(user_id)s),
    reason = case when decided_by = %(user_id)s then null else reason end,
    decided_by = case when decided_by = %(user_id)s then %(nobody)s else decided_by end,
    edited_by = case when edited_by = %(user_id)s then %(nobody)s else edited_by end
where team_id = %(team_id)s
  and (decided_by = %(user_id)s or edited_by = %(user_id)s or %(user_id)s = any(approvers))"""
TOMBSTONES = """
update messages m
set text = '', author = '', user_id = null, alert_action = 'none', attrs = '{}',
    deleted_at = coalesce(deleted_at, now())
from json_to_recordset(%(keys)s) as k (team_id text, channel_id text, ts text)
where m.team_id = k.team_id and m.channel_id = k.channel_id and m.ts = k.ts"""


@dataclass(frozen=True)
class Found:
    """What is stored of a person or channel; ``channels`` are a person's direct messages."""

    label: str
    names: list[str]
    channels: list[str]
    messages: int
    turns: int
    rests: int


async def lift(conn: Connection, team_id: str, channel_id: str, ts: str | None) -> None:
    """Ratchet was invited: the channel may be remembered again, unless the invitation (at ``ts``) is older."""
    await conn.execute(
        f"""delete from forgotten where digest = {digest("%(team_id)s::text", "%(channel_id)s::text")}
              and (%(ts)s::numeric is null or extract(epoch from forgotten_at) < %(ts)s::numeric)""",
        {"team_id": team_id, "channel_id": channel_id, "ts": ts},
    )


async def find_user(conn: Connection, team_id: str, user_id: str) -> Found:
    """What is stored of a person: their messages and questions, and the turns of others that were shown them."""
    cur = await conn.execute(
        """select name from users where team_id = %(team_id)s and user_id = %(user_id)s
           union select distinct author from messages where team_id = %(team_id)s and user_id = %(user_id)s""",
        {"team_id": team_id, "user_id": user_id},
    )
    names = sorted({name for (name,) in await cur.fetchall()} - {"", user_id, "unknown"})
    cur = await conn.execute(
        "select channel_id from channels where team_id = %s and kind = 'im' and user_id = %s", (team_id, user_id)
    )
    return Found(
        label=f"{user_id} ({', '.join(names)})" if names else user_id,
        names=names,
        channels=[channel_id for (channel_id,) in await cur.fetchall()],
        messages=await _count(conn, "messages where team_id = %s and user_id = %s", team_id, user_id),
        turns=await _count(conn, "turns where team_id = %s and requester_id = %s", team_id, user_id),
        rests=await db.fetch_value(
            conn,
            """select count(distinct s.turn_id) from messages m join turn_sources s using (team_id, channel_id, ts)
               join turns t on t.turn_id = s.turn_id
               where m.team_id = %(team_id)s and m.user_id = %(user_id)s and t.requester_id <> %(user_id)s""",
            {"team_id": team_id, "user_id": user_id},
        ),
    )


async def find_channel(conn: Connection, team_id: str, channel_id: str) -> Found:
    """What is stored of a channel: its messages and turns, and the turns elsewhere that were shown them."""
    cur = await conn.execute(
        "select name from channels where team_id = %s and channel_id = %s and name <> ''", (team_id, channel_id)
    )
    names = [f"#{name}" for (name,) in await cur.fetchall()]
    return Found(
        label=f"{channel_id} ({', '.join(names)})" if names else channel_id,
        names=names,
        channels=[],
        messages=await _count(conn, "messages where team_id = %s and channel_id = %s", team_id, channel_id),
        turns=await _count(conn, "turns where team_id = %s and channel_id = %s", team_id, channel_id),
        rests=await db.fetch_value(
            conn,
            """select count(distinct s.turn_id) from turn_sources s join turns t on t.turn_id = s.turn_id
               where s.team_id = %(team_id)s and s.channel_id = %(channel_id)s and t.channel_id <> %(channel_id)s""",
            {"team_id": team_id, "channel_id": channel_id},
        ),
    )


async def find_teams(conn: Connection) -> list[str]:
    """The workspaces of which anything is stored."""
    cur = await conn.execute(
        "select team_id from channels union select team_id from users union select team_id from turns order by 1"
    )
    return [team_id for (team_id,) in await cur.fetchall()]


async def begin_user(database: Database, team_id: str, user_id: str, found: Found) -> None:
    """Mark a person as forgotten, and take the words of their messages from everywhere."""
    params = {"team_id": team_id, "user_id": user_id}
    async with database.connection() as conn:
        await conn.execute(MARK, {"team_id": team_id, "id": user_id, "everything": False})
        for channel_id in found.channels:
            await conn.execute(MARK, {"team_id": team_id, "id": channel_id, "everything": False})
    theirs = """team_id = %(team_id)s and deleted_at is null and (user_id = %(user_id)s or (channel_id, ts) in (
        select channel_id, message_ts from turns where team_id = %(team_id)s and requester_id = %(user_id)s))"""
    statement = f"select team_id, channel_id, ts from messages where {theirs} limit {BATCH}"
    while await _bury(database, statement, params):
        pass
    async with database.connection() as conn, conn.transaction():
        await purges.lock(conn)
        await _withdraw(conn, "requester_id = %(user_id)s", params)
        await _taint(conn, _pattern(user_id, found.names))
        # Mentions stand in messages with the name in the id's place, in questions as Slack writes them.
        for table, column in (("messages", "text"), ("turns", "question")):
            await conn.execute(
                sql.SQL(MENTIONS).format(table=sql.Identifier(table), column=sql.Identifier(column)),
                {**params, "pattern": _mention(user_id, found.names), "someone": SOMEONE},
            )
        await conn.execute(REACTIONS, params)
    for channel_id in found.channels:
        await _begin_rows(database, team_id, channel_id, [])


async def finish_user(database: Database, team_id: str, user_id: str, found: Found) -> dict[str, int]:
    """Delete what is left of a person, once no turn of theirs runs; returns how many rows of what went."""
    params = {"team_id": team_id, "user_id": user_id, "nobody": NOBODY}
    gone = {"turns": await _delete_turns(database, "requester_id = %(user_id)s", params)}
    for channel_id in found.channels:
        for name, count in (await finish_channel(database, team_id, channel_id)).items():
            gone[name] = gone.get(name, 0) + count
    async with database.connection() as conn, conn.transaction():
        for table in [*await holdings.keyed_by(conn, "team_id", "user_id"), sql.Identifier("users")]:
            await conn.execute(
                sql.SQL("delete from {} where team_id = %(team_id)s and user_id = %(user_id)s").format(table), params
            )
        await conn.execute("delete from runbook_votes where user_id = %(user_id)s", params)
        await conn.execute(
            "update channels set creator_id = null where team_id = %(team_id)s and creator_id = %(user_id)s", params
        )
        await conn.execute(DECISIONS, params)
        await conn.execute(
            "update turns set stopped_by = %(nobody)s where team_id = %(team_id)s and stopped_by = %(user_id)s", params
        )
        gone["model calls"] = await db.execute(
            conn,
            "update model_usage set requester_id = %(nobody)s "
            "where team_id = %(team_id)s and requester_id = %(user_id)s",
            params,
        )
        gone["audit rows"] = await db.execute(
            conn, "update audit_logs set who = %(nobody)s where who = %(user_id)s", params
        )
        await conn.execute(
            "delete from procrastinate_jobs where status <> 'doing' and args ->> 'user_id' = %(user_id)s", params
        )
        pattern = _pattern(user_id, found.names)
        gone["stored events"] = await _empty_events(conn, team_id, pattern)
        await _count_words_anew(conn)
    return {name: count for name, count in gone.items() if count}


async def begin_channel(database: Database, team_id: str, channel_id: str, found: Found) -> None:
    """Mark a channel as forgotten, and take the words of its messages from everywhere."""
    async with database.connection() as conn:
        await conn.execute(MARK, {"team_id": team_id, "id": channel_id, "everything": True})
    await _begin_rows(database, team_id, channel_id, found.names)


async def _begin_rows(database: Database, team_id: str, channel_id: str, names: list[str]) -> None:
    params = {"team_id": team_id, "channel_id": channel_id}
    place = "team_id = %(team_id)s and channel_id = %(channel_id)s"
    while await _bury(
        database,
        f"select team_id, channel_id, ts from messages where {place} and deleted_at is null limit {BATCH}",
        params,
    ):
        pass
    async with database.connection() as conn, conn.transaction():
        await purges.lock(conn)
        cur = await conn.execute(f"select distinct team_id, channel_id, ts from turn_sources where {place}", params)
        await purges.ask(conn, [MessageKey(*row) for row in await cur.fetchall()], "deleted")
        await _withdraw(conn, "channel_id = %(channel_id)s", params)
        await _taint(conn, _place(channel_id, *names))


async def finish_channel(database: Database, team_id: str, channel_id: str) -> dict[str, int]:
    """Delete what is left of a channel, once no turn of it runs; returns how many rows of what went."""
    params = {"team_id": team_id, "channel_id": channel_id, "nobody": NOBODY, "thread": f"{team_id}:{channel_id}:%"}
    gone = {"turns": await _delete_turns(database, "channel_id = %(channel_id)s", params)}
    place = "where team_id = %(team_id)s and channel_id = %(channel_id)s"
    async with database.connection() as conn, conn.transaction():
        await purges.lock(conn)
        for table in (*await holdings.keyed_by(conn, "team_id", "channel_id"), sql.Identifier("turn_sources")):
            await conn.execute(sql.SQL("delete from {} " + place).format(table), params)
        gone["model calls"] = await db.execute(conn, f"update model_usage set channel_id = '' {place}", params)
        await conn.execute(
            "delete from runbooks where team_id = %(team_id)s "
            "and (audience = %(channel_id)s or %(channel_id)s = any(channels))",
            params,
        )
        for rows in ("messages", "channels"):
            await conn.execute(f"delete from {rows} {place}", params)
        await conn.execute("delete from conversations where thread_key like %(thread)s", params)
        await conn.execute(
            "delete from thread_leases where thread_key like %(thread)s or thread_key like 'steps:' || %(thread)s",
            params,
        )
        gone["audit rows"] = await db.execute(
            conn,
            """update audit_logs set details = jsonb_set(details, '{channel_id}', to_jsonb(%(nobody)s::text))
               where details ->> 'channel_id' = %(channel_id)s""",
            params,
        )
        gone["jobs"] = await db.execute(
            conn,
            """delete from procrastinate_jobs
               where status <> 'doing' and (args ->> 'channel_id' = %(channel_id)s or lock like %(thread)s)""",
            params,
        )
        await conn.execute(
            "update inbox_events set subject = null, payload = '{}' "
            "where team_id = %(team_id)s and subject like %(channel_id)s || ':%%'",
            params,
        )
        gone["stored events"] = await _empty_events(conn, team_id, _place(channel_id))
        await _count_words_anew(conn)
    return {name: count for name, count in gone.items() if count}


async def running(conn: Connection, team_id: str, *, user_id: str = "", channel_ids: list[str]) -> int:
    """How many turns of a person or of channels are not over yet."""
    return await _count(
        conn,
        f"turns t where team_id = %s and (requester_id = %s or channel_id = any(%s)) and {BUSY}",
        team_id,
        user_id,
        channel_ids,
    )


async def _bury(database: Database, statement: str, params: dict[str, str]) -> int:
    """Make tombstones of messages, with all rows that belong to them, and ask for the purge of what rests on them."""
    async with database.connection() as conn, conn.transaction():
        await purges.lock(conn)
        cur = await conn.execute(statement, params)
        keys = [MessageKey(*row) for row in await cur.fetchall()]
        if keys:
            await conn.execute(TOMBSTONES, {"keys": purges.as_json(keys)})
            await purges.delete_derived(conn, keys)
            await purges.empty_events(conn, keys)
            await purges.ask(conn, keys, "deleted")
    return len(keys)


async def _withdraw(conn: Connection, condition: str, params: dict[str, str]) -> None:
    """End turns that have not begun, or wait for approval."""
    await conn.execute(
        f"""update turns set status = 'failed', answer = '', error = 'forgotten', ended_at = now()
            where team_id = %(team_id)s and {condition} and status in ('queued', 'waiting')""",
        params,
    )


async def _taint(conn: Connection, pattern: str) -> None:
    """Have turns lose what they say, because it names what is forgotten."""
    await conn.execute(f"update turns set tainted = true where turn_id in ({NAMING})", {"pattern": pattern})


async def _delete_turns(database: Database, condition: str, params: dict[str, str]) -> int:
    gone = 0
    while True:
        async with database.connection() as conn, conn.transaction():
            await purges.lock(conn)
            cur = await conn.execute(
                f"select turn_id from turns t where team_id = %(team_id)s and {condition} and not {BUSY} limit {BATCH}",
                params,
            )
            ids = [turn_id for (turn_id,) in await cur.fetchall()]
            if not ids:
                return gone
            await retention.delete_turns(conn, ids)
            gone += len(ids)


async def _empty_events(conn: Connection, team_id: str, pattern: str) -> int:
    """Empty stored events that name what is forgotten."""
    return await db.execute(
        conn,
        "update inbox_events set payload = '{}' where team_id = %s and payload::text ~ %s",
        (team_id, pattern),
    )


async def _count_words_anew(conn: Connection) -> None:
    if await db.fetch_value(conn, "select to_regclass('lexeme_counts')"):
        await conn.execute("delete from lexeme_counts")


async def _count(conn: Connection, rows: str, *params: object) -> int:
    return int(await db.fetch_value(conn, f"select count(*) from {rows}", params))


def _mention(user_id: str, names: list[str]) -> str:
    """A mention, as Slack writes it or as it is stored."""
    known = "|".join(["@" + re.escape(name) for name in [user_id, *names]])
    return rf"<@{user_id}(\|[^>]*)?>|({known})(?!\w)"


def _pattern(user_id: str, names: list[str]) -> str:
    """Whatever names a person: the id, a mention, or the name of who said something, in a tool's result or a thread."""
    known = "|".join(re.escape(name) for name in [user_id, *names])
    return rf"\m{user_id}\M|{_mention(user_id, names)}|\"({known})\\?\"|\] ({known}): "


def _place(channel_id: str, *names: str) -> str:
    """Whatever names a channel: the id, or ``#name``."""
    return "|".join([rf"\m{channel_id}\M", *(re.escape(name) + r"(?![\w-])" for name in names)])
