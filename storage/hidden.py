"""What a requester may read and an answer does not show, since others read along: found only to be counted.

Nothing of it reaches a model. Words are looked for as storage/search.py looks for them, but a message counts only
where it holds half of what the query's words weigh: an offer to show more is worth its place if more is likely.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from storage import db
from storage.access import HIDDEN, Viewer
from storage.channels import COLUMNS, Channel
from storage.db import Connection
from storage.messages import MessageFilter
from storage.search import Key, candidates, query_words, quote

MOST = 100  # messages that are counted
SHARE = 0.5

PLACES = f"(m.team_id, m.channel_id) in (select c.team_id, c.channel_id from channels c where {HIDDEN})"


async def find_messages(conn: Connection, viewer: Viewer, where: MessageFilter) -> set[Key]:
    """The newest messages that match, up to 100, as (channel, ts)."""
    narrowed = replace(where, query="")
    params: dict[str, Any] = {**viewer.params(), **narrowed.params()}
    condition = narrowed.where()
    if where.query.strip():
        words = await query_words(conn, where.query)
        if not words:
            return set()
        params |= {"candidates": candidates(words), "least": SHARE * sum(word.weight for word in words)}
        terms = []
        for number, word in enumerate(words):
            params |= {f"word{number}": quote(word), f"weight{number}": word.weight}
            terms.append(f"(m.search @@ %(word{number})s::tsquery)::int * %(weight{number})s::float8")
        condition += f" and m.search @@ %(candidates)s::tsquery and {' + '.join(terms)} >= %(least)s::float8"
    return await _keys(conn, condition, params)


async def find_thread(conn: Connection, viewer: Viewer, channel_id: str, ts: str) -> set[Key]:
    """The messages of a thread, by the ts of any of them."""
    root = """(select coalesce(max(linked.thread_ts), %(ts)s) from messages linked
               where linked.team_id = %(team_id)s and linked.channel_id = %(channel_id)s and linked.ts = %(ts)s)"""
    condition = f"m.deleted_at is null and m.channel_id = %(channel_id)s and (m.ts = {root} or m.thread_ts = {root})"
    return await _keys(conn, condition, {**viewer.params(), "channel_id": channel_id, "ts": ts})


async def find_alert(conn: Connection, viewer: Viewer, alert: str, service: str) -> set[Key]:
    """The messages that report an alert, whatever the case of its name; of any service where none is named."""
    condition = """m.deleted_at is null and exists (
        select 1 from alerts a
        where a.team_id = m.team_id and a.channel_id = m.channel_id and a.ts = m.ts
          and lower(a.alert) = lower(%(alert)s) and (%(service)s = '' or lower(a.service) = lower(%(service)s)))"""
    return await _keys(conn, condition, {**viewer.params(), "alert": alert, "service": service})


async def find_channel(conn: Connection, viewer: Viewer, name_or_id: str) -> Channel | None:
    """A hidden channel by name (with or without ``#``) or id."""
    return await db.fetch_one(
        conn,
        Channel,
        f"select {COLUMNS} from channels c where {HIDDEN} and (c.name = %(name)s or c.channel_id = %(id)s) limit 1",
        {**viewer.params(), "name": name_or_id.strip().lstrip("#").lower(), "id": name_or_id.strip().lstrip("#")},
    )


async def count_channels(conn: Connection, viewer: Viewer) -> int:
    """How many channels are hidden."""
    return int(await db.fetch_value(conn, f"select count(*) from channels c where {HIDDEN}", viewer.params()))


async def _keys(conn: Connection, condition: str, params: dict[str, Any]) -> set[Key]:
    cur = await conn.execute(
        f"""select m.channel_id, m.ts from messages m
            where m.team_id = %(team_id)s and {PLACES} and {condition} order by m.posted_at desc limit {MOST}""",
        params,
        prepare=False,
    )
    return set(await cur.fetchall())
