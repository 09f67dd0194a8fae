"""Slack's messages as Ratchet remembers them. Unique by (team, channel, ts); all reads respect the viewer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from psycopg.types.json import Json

from storage import db, purges
from storage.access import VISIBLE, Viewer, barred
from storage.db import Connection
from storage.purges import MessageKey

AlertAction = Literal["none", "open_incident", "close_incident"]
Author = Literal["any", "human", "bot"]


@dataclass(frozen=True)
class NewAlert:
    """An alert that a message reports (storage/alerts.py)."""

    fingerprint: str
    action: AlertAction
    alert: str
    service: str | None
    priority: str | None
    duration: timedelta | None
    parser: str
    confidence: float


@dataclass(frozen=True)
class NewMessage:
    """A message to store; ``text`` is what a person sees, attachments and blocks included."""

    team_id: str
    channel_id: str
    ts: str
    thread_ts: str | None
    user_id: str | None
    bot_id: str | None
    author: str
    is_bot: bool
    text: str
    searchable: bool = True
    permalink: str = ""
    alert_action: AlertAction = "none"
    edited_ts: str | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    alerts: tuple[NewAlert, ...] = ()

    @property
    def said_at(self) -> datetime:
        """When its newest text was written."""
        return datetime.fromtimestamp(float(self.edited_ts or self.ts), UTC)

    def row(self) -> dict[str, Any]:
        """Its columns."""
        return {name: value for name, value in self.__dict__.items() if name != "alerts"}


@dataclass(frozen=True)
class StoredMessage:
    """A message with its channel's name; ``reply_count`` counts stored replies."""

    channel_id: str
    channel_name: str
    channel_kind: str
    ts: str
    thread_ts: str | None
    user_id: str | None
    author: str
    is_bot: bool
    text: str
    permalink: str
    posted_at: datetime
    reply_count: int


@dataclass(frozen=True)
class MessageFilter:
    """What to look for; every field narrows. ``query`` holds free words, any of which may match."""

    query: str = ""
    channel_id: str | None = None
    author: Author = "any"
    since: datetime | None = None
    until: datetime | None = None
    alerts: Literal["any", "only", "none"] = "any"

    def where(self) -> str:
        """Conditions on ``m`` for ``params()``."""
        conditions = ["m.deleted_at is null", "m.searchable"]
        if self.query.strip():
            conditions.append(f"m.search @@ {QUERY}")
        if self.channel_id:
            conditions.append("m.channel_id = %(channel_id)s")
        if self.author != "any":
            conditions.append("m.is_bot" if self.author == "bot" else "not m.is_bot")
        if self.since:
            conditions.append("m.posted_at >= %(since)s")
        if self.until:
            conditions.append("m.posted_at < %(until)s")
        if self.alerts != "any":
            conditions.append(f"m.alert_action {'<>' if self.alerts == 'only' else '='} 'none'")
        return " and ".join(conditions)

    def params(self) -> dict[str, Any]:
        """The values that ``where()`` binds."""
        return {"query": self.query, "channel_id": self.channel_id, "since": self.since, "until": self.until}


# Any of the words may match and rank decides: a question is not a list of required words.
STORED = """team_id, channel_id, ts, thread_ts, user_id, bot_id, author, is_bot, searchable, text, permalink,
            alert_action, edited_ts, attrs"""
QUERY = """(select string_agg('''' || lexeme || '''', ' | ')::tsquery
            from unnest(search_vector(left(%(query)s, 2000))))"""
HIT = """m.channel_id, c.name as channel_name, c.kind as channel_kind, m.ts, m.thread_ts, m.user_id,
         case when m.is_bot then m.author else coalesce(u.name, m.author) end as author,
         m.is_bot, m.text, m.permalink, m.posted_at,
         (select count(*) from messages r where r.team_id = m.team_id and r.channel_id = m.channel_id
            and r.thread_ts = m.ts and r.ts <> m.ts and r.deleted_at is null)::int as reply_count"""
FROM = """from messages m join channels c on c.team_id = m.team_id and c.channel_id = m.channel_id
          left join users u on u.team_id = m.team_id and u.user_id = m.user_id"""

LOST_LINES = """
select team_id, channel_id, ts, 'edited' from edited
where not is_bot and exists (select string_to_table(former, chr(10)) except select string_to_table(text, chr(10)))"""
EDIT = f"""
with edited as (
    update messages m
    set text = %(text)s, alert_action = %(alert_action)s, edited_ts = %(edited_ts)s,
        attrs = m.attrs - 'files' || %(files)s::jsonb
    from (select text from messages
          where team_id = %(team_id)s and channel_id = %(channel_id)s and ts = %(ts)s for update) as old
    where m.team_id = %(team_id)s and m.channel_id = %(channel_id)s and m.ts = %(ts)s and m.deleted_at is null
      and coalesce(m.edited_ts, '0')::numeric < coalesce(%(edited_ts)s, '0')::numeric
    returning m.team_id, m.channel_id, m.ts, m.is_bot, m.text, old.text as former
), asked as ({purges.ASK.format(rows=LOST_LINES)})
select 1 from edited"""


async def insert_new(conn: Connection, arrived: Sequence[NewMessage]) -> dict[tuple[str, str], bool]:
    """Store messages; where (channel, ts) is known, nothing changes.

    Messages of channels and people that were forgotten stay out.

    Returns:
        Those that are new, as (channel, ts), and whether reactions came before them (storage/reactions.py).
    """
    rows = sorted((message.row() for message in arrived), key=lambda row: (row["channel_id"], row["ts"]))
    cur = await conn.execute(
        f"""insert into messages ({STORED}) select {STORED} from json_populate_recordset(null::messages, %s) as new
            where not {barred("new.team_id", "new.channel_id", "new.user_id", ts="new.ts")}
            on conflict (team_id, channel_id, ts) do nothing
            returning channel_id, ts, exists (
                select 1 from reaction_events e
                where e.team_id = messages.team_id and e.channel_id = messages.channel_id and e.ts = messages.ts
                  and not e.applied)""",
        (Json(rows),),
    )
    return {(channel_id, ts): has_reactions for channel_id, ts, has_reactions in await cur.fetchall()}


async def insert_all(conn: Connection, arrived: Sequence[NewMessage]) -> int:
    """Store messages, and return how many are new."""
    return len(await insert_new(conn, arrived))


async def insert(conn: Connection, message: NewMessage) -> bool:
    """Store one message; False when (channel, ts) is known already, whatever its text."""
    return bool(await insert_all(conn, [message]))


async def apply_edit(conn: Connection, message: NewMessage) -> bool:
    """Store a message's newest text; False when what is stored is as new already.

    Edits may come out of order, or before the message itself. Lines that a person took away are purged from what rests
    on the message; what an integration edits is the state of something.
    """
    if await insert(conn, message):
        return True
    files = {key: message.attrs[key] for key in ("files",) if key in message.attrs}
    return bool(await db.fetch_value(conn, EDIT, {**message.row(), "files": Json(files)}))


async def list_files(conn: Connection, team_id: str, channel_id: str, ts: str) -> list[dict[str, Any]]:
    """What is kept of the files of a message: id, name, mimetype, size and permalink of each."""
    found: list[dict[str, Any]] | None = await db.fetch_value(
        conn,
        "select attrs -> 'files' from messages "
        "where team_id = %s and channel_id = %s and ts = %s and deleted_at is null",
        (team_id, channel_id, ts),
    )
    return found or []


async def add_file_text(
    conn: Connection, team_id: str, channel_id: str, ts: str, *, file_id: str, line: str, beginning: str
) -> bool:
    """Put the beginning of a file's text below the line that names the file; False where that is not to be found."""
    return bool(
        await db.execute(
            conn,
            """update messages set text = overlay(text placing %(line)s || E'\n' || %(beginning)s
                   from position(%(line)s in text) for length(%(line)s))
               where team_id = %(team_id)s and channel_id = %(channel_id)s and ts = %(ts)s and deleted_at is null
                 and position(%(line)s in text) > 0 and position(%(line)s || E'\n' || %(beginning)s in text) = 0
                 and attrs -> 'files' @> jsonb_build_array(jsonb_build_object('id', %(file_id)s::text))""",
            {
                "team_id": team_id,
                "channel_id": channel_id,
                "ts": ts,
                "file_id": file_id,
                "line": line,
                "beginning": beginning,
            },
        )
    )


async def delete(conn: Connection, team_id: str, channel_id: str, ts: str) -> None:
    """Forget a message's content and leave a tombstone, even when the message itself comes later.

    What rests on it is purged by a job (storage/purges.py).
    """
    await conn.execute(
        """insert into messages (team_id, channel_id, ts, text, deleted_at) values (%s, %s, %s, '', now())
           on conflict (team_id, channel_id, ts) do update
           set text = '', author = '', alert_action = 'none', attrs = '{}',
               deleted_at = coalesce(messages.deleted_at, now())""",
        (team_id, channel_id, ts),
    )
    await conn.execute(
        "delete from alerts where team_id = %s and channel_id = %s and ts = %s", (team_id, channel_id, ts)
    )
    await purges.ask(conn, [MessageKey(team_id, channel_id, ts)], "deleted")


async def add_reaction(
    conn: Connection, team_id: str, channel_id: str, ts: str, *, user_id: str, name: str, added: bool
) -> bool:
    """Add or take one user's reaction; the same event twice counts once. False where the message is not stored.

    ``attrs.reactions`` maps the name to the ids of those who reacted.
    """
    touched = await db.execute(
        conn,
        """with old as (
               select coalesce(attrs -> 'reactions', '{}') as reactions,
                      coalesce(attrs -> 'reactions' -> %(name)s, '[]') as users
               from messages where team_id = %(team_id)s and channel_id = %(channel_id)s and ts = %(ts)s
               for update  -- reactions come at once, and none may overwrite another
           ), new as (
               select reactions, (users - %(user_id)s::text)
                      || case when %(added)s then jsonb_build_array(%(user_id)s::text) else '[]' end as users
               from old
           )
           update messages m
           set attrs = jsonb_set(m.attrs, '{reactions}', case when new.users = '[]' then new.reactions - %(name)s
                       else new.reactions || jsonb_build_object(%(name)s::text, new.users) end)
           from new
           where m.team_id = %(team_id)s and m.channel_id = %(channel_id)s and m.ts = %(ts)s""",
        {
            "team_id": team_id,
            "channel_id": channel_id,
            "ts": ts,
            "user_id": user_id,
            "name": name,
            "added": added,
        },
    )
    return bool(touched)


async def read_thread(
    conn: Connection,
    viewer: Viewer,
    channel_id: str,
    thread_ts: str,
    *,
    limit: int,
    before_ts: str | None = None,
) -> list[StoredMessage]:
    """A thread's first message and its replies, oldest first.

    Where there are more than ``limit``, these are the first ones, or with ``before_ts`` the last ones before it.
    ``thread_ts`` may be that of any message of the thread.
    """
    root = """select coalesce(max(linked.thread_ts), %(thread_ts)s) from messages linked
              where linked.team_id = %(team_id)s and linked.channel_id = %(channel_id)s and linked.ts = %(thread_ts)s"""
    return await db.fetch_all(
        conn,
        StoredMessage,
        f"""select * from (
            select {HIT} {FROM}
            where {VISIBLE} and m.channel_id = %(channel_id)s and m.deleted_at is null
              and (m.ts = ({root}) or m.thread_ts = ({root}))
              and (%(before_ts)s::text is null or m.ts::numeric < %(before_ts)s::numeric)
            order by m.ts = ({root}) desc, m.ts::numeric {"desc" if before_ts else "asc"} limit %(limit)s
            ) as chosen order by ts::numeric""",
        {
            **viewer.params(),
            "channel_id": channel_id,
            "thread_ts": thread_ts,
            "limit": limit,
            "before_ts": before_ts,
        },
    )


async def exists(conn: Connection, team_id: str, channel_id: str, ts: str) -> bool:
    """Whether a message is stored, or was deleted."""
    return bool(
        await db.fetch_value(
            conn,
            "select 1 from messages where team_id = %s and channel_id = %s and ts = %s",
            (team_id, channel_id, ts),
        )
    )


async def unknown(conn: Connection, team_id: str, wanted: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the given messages, as (channel, ts), that are neither stored nor deleted."""
    cur = await conn.execute(
        """select w.channel_id, w.ts from unnest(%s::text[], %s::text[]) as w(channel_id, ts)
           where not exists (select 1 from messages m
                             where m.team_id = %s and m.channel_id = w.channel_id and m.ts = w.ts)""",
        ([channel_id for channel_id, _ in wanted], [ts for _, ts in wanted], team_id),
    )
    return set(await cur.fetchall())


async def edited_texts(
    conn: Connection, team_id: str, wanted: Collection[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """The newest texts of those of the given messages, by (channel, ts), that are stored and were edited."""
    cur = await conn.execute(
        """select m.channel_id, m.ts, m.text from unnest(%s::text[], %s::text[]) as w(channel_id, ts)
           join messages m on m.team_id = %s and m.channel_id = w.channel_id and m.ts = w.ts
           where m.edited_ts is not null and m.deleted_at is null""",
        ([channel_id for channel_id, _ in wanted], [ts for _, ts in wanted], team_id),
    )
    return {(channel_id, ts): text for channel_id, ts, text in await cur.fetchall()}


async def stored_replies(
    conn: Connection, team_id: str, channel_id: str, threads: Collection[str]
) -> dict[str, tuple[int, str]]:
    """How many replies of threads are stored, and the newest one's ts, by the first message's ts."""
    cur = await conn.execute(
        """select thread_ts, count(*) filter (where deleted_at is null), max(ts) from messages
           where team_id = %s and channel_id = %s and thread_ts = any(%s) group by thread_ts""",
        (team_id, channel_id, list(threads)),
    )
    return {thread_ts: (count, newest) for thread_ts, count, newest in await cur.fetchall()}


async def count(conn: Connection, team_id: str) -> int:
    """How many messages are stored."""
    return int(
        await db.fetch_value(
            conn, "select count(*) from messages where team_id = %s and deleted_at is null", (team_id,)
        )
    )
