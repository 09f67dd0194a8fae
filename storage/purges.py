"""A message's words go from everything that rests on them, when it is deleted or edited.

The message itself loses them at once, in its event's transaction, which also asks for the purge (``ask``). What
rests on it is found by ``turn_sources``, which code writes with each step of a turn, so no model can leave it out: the
turns that were shown the message, those that it asked for, and the later turns of their threads, which had these in
their history. Of such a turn only its question stays, and a note. Ratchet's own posts of that turn count as deleted
messages in the next round, because other turns may have been shown them.

A turn that still runs is marked, and loses the same when it is over. A purge stays on the list until every turn is
over that ran when it was first looked at: one of them may have read the message and not have said so yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Json

from storage import db, holdings
from storage.db import Connection, Database
from storage.retries import asked

Reason = Literal["deleted", "edited"]
LOCK_ID = 0x526174507572  # one purge at a time
BATCH = 1000
DEAD = "interval '1 day'"  # a turn that began longer ago is not going to end by itself
NOTES = {"deleted": "[removed: the message was deleted]", "edited": "[removed: the message was edited]"}
THREAD_KEY = (
    "t.team_id || ':' || t.channel_id || ':' "
    "|| coalesce(case when not t.aside then t.thread_ts end, 'pending-' || t.turn_id)"
)
BUSY = f"""(coalesce(t.started_at, t.created_at) > now() - {DEAD} and (
    t.status in ('queued', 'running', 'waiting')
    or exists (select 1 from posts p where p.turn_id = t.turn_id and p.state in ('pending', 'sending'))))"""
OPEN = """t.turn_id in (
    select turn_id from turns where status in ('queued', 'running', 'waiting')
    union all select turn_id from posts where state in ('pending', 'sending'))"""
KEYS = "json_to_recordset(%(keys)s) as k (team_id text, channel_id text, ts text)"
IS_KEY = "(team_id, channel_id, ts) in (select team_id, channel_id, ts from {keys})"

# Turns that began later were shown the message as it stands now. Nobody began the turn of a step: it has no history.
TAINTED = f"""
with seeds as (
    select t.turn_id, p.reason from purges p join turn_sources s using (team_id, channel_id, ts)
    join turns t on t.turn_id = s.turn_id
    where p.begun_at is not null and (t.started_at <= p.begun_at or t.source = 'step')
    union all
    select t.turn_id, p.reason from purges p
    join turns t on t.team_id = p.team_id and t.channel_id = p.channel_id and t.message_ts = p.ts
    where p.begun_at is not null and coalesce(t.purged_at, '-infinity') < p.asked_at
    union all
    select turn_id, 'deleted' from turns where tainted
), later as (
    select l.turn_id, seeds.reason
    from seeds join turns t using (turn_id)
    join turns l on l.team_id = t.team_id and l.channel_id = t.channel_id and l.thread_ts = t.thread_ts
    where t.started_at is not null and l.started_at is not null and t.source <> 'step' and l.source <> 'step'
      and not t.aside and not l.aside  -- commands see no history, and are none
      and coalesce(l.ended_at, 'infinity') >= coalesce(t.ended_at, 'infinity')
)
select t.turn_id, {THREAD_KEY} as thread_key, min(found.reason) as reason, {BUSY} as busy,
       (select min(p.reason) from purges p where p.team_id = t.team_id and p.begun_at is not null
          and ((p.channel_id = t.channel_id and p.ts = t.message_ts) or (t.source = 'private' and exists (
              select 1 from {asked("t.turn_id")} as q where q.channel_id = p.channel_id and q.ts = p.ts)))) as asked
from (select * from seeds union all select * from later) as found join turns t using (turn_id)
group by t.turn_id"""

# A question that was deleted before its turn began, or while it waits for approval, is not answered.
WITHDRAW = """
update turns t set status = 'failed', answer = '', error = 'the question was deleted', ended_at = now()
from purges p
where p.team_id = t.team_id and p.channel_id = t.channel_id and p.ts = t.message_ts and p.reason = 'deleted'
  and t.status in ('queued', 'waiting') and t.source <> 'command'"""
REDUCE = """
with ends as (
    select thread_key, min(seq) as first, max(seq) as last from conversation_messages
    where turn_id = %(turn_id)s group by thread_key
), turn as (
    update turns set answer = case when answer <> '' then %(note)s else answer end,
                     error = case when error <> '' then %(note)s else error end,
                     question = case when %(asked)s::text is null then question else %(asked)s end,
                     tainted = false, purged_at = clock_timestamp()
    where turn_id = %(turn_id)s returning question
), between as (
    delete from conversation_messages c using ends
    where c.thread_key = ends.thread_key and c.turn_id = %(turn_id)s and c.seq not in (ends.first, ends.last)
), said (thread_key, seq, kind, content) as (
    select thread_key, first, 'human', question from ends, turn
    union all select thread_key, last, 'ai', %(note)s from ends where last > first
)
update conversation_messages c
set message = jsonb_build_object('type', kind, 'data', jsonb_build_object('type', kind, 'content', content))
from said where c.thread_key = said.thread_key and c.seq = said.seq"""
# The next question of the thread is shown the thread anew, as it stands then, and a summary made of what remains.
RESTART = """
update conversations set summary = '', summarised_upto = 0, seen_upto_ts = '0' where thread_key = any(%(threads)s)"""
POSTS = """
update posts p
set text = %(note)s, blocks = null, error = case when p.error <> '' then %(note)s else p.error end,
    state = case when state in ('pending', 'sending') then 'rejected' else state end
from turns t
where p.turn_id = any(%(turns)s) and t.turn_id = p.turn_id
  and not (t.source = 'command' and p.part = 0 and not p.turn_id = any(%(asked)s))
returning t.team_id, p.channel_id, p.ts, p.thread_ts"""
# Messages of a turn's progress that are not its answer: they stay where it waited for people.
PROGRESS = """
select t.team_id, s.channel_id, s.ts, s.thread_ts from streams s join turns t using (turn_id)
where s.turn_id = any(%(turns)s) and s.ts is not null
  and not exists (select 1 from posts p where p.turn_id = s.turn_id and p.ts = s.ts)"""
# The number of its edit keeps later deliveries of the post from bringing the words back.
OWN_MESSAGES = f"""
insert into messages (team_id, channel_id, ts, thread_ts, author, is_bot, searchable, text, edited_ts)
select team_id, channel_id, ts, thread_ts, '', true, false, %(note)s, '9999999999'
from json_to_recordset(%(posts)s) as k (team_id text, channel_id text, ts text, thread_ts text)
where ts::numeric > extract(epoch from now() - {DEAD})
   or exists (select 1 from messages m where m.team_id = k.team_id and m.channel_id = k.channel_id and m.ts = k.ts)
on conflict (team_id, channel_id, ts) do update set text = excluded.text, edited_ts = excluded.edited_ts
where messages.deleted_at is null"""

# The lines of a runbook go with their messages; its name is that of an alert.
RUNBOOKS = """
delete from runbooks r
where not exists (select 1 from alerts a where a.team_id = r.team_id and a.alert = r.alert)"""
# Their arguments name files.
JOBS = f"""
delete from procrastinate_jobs j using {KEYS}
where j.status <> 'doing' and j.args ->> 'ts' = k.ts and j.args ->> 'channel_id' = k.channel_id"""
# Purges that are asked for again begin anew.
ASK = """
insert into purges (team_id, channel_id, ts, reason) {rows}
on conflict (team_id, channel_id, ts) do update
set begun_at = null, asked_at = now(),
    reason = case when purges.reason = 'deleted' then 'deleted' else excluded.reason end"""
# Counts may come out too low, as for a message that came after they were made; words that are rare have none.
UNCOUNT = """
with removed as (delete from lexeme_removals returning lexeme),
     lost as (select lexeme, count(*) as messages from removed group by lexeme),
     lowered as (
         update lexeme_counts c set messages = c.messages - lost.messages from lost
         where c.lexeme = lost.lexeme and c.messages - lost.messages >= 3
     )
delete from lexeme_counts c using lost where c.lexeme = lost.lexeme and c.messages - lost.messages < 3"""
LEFT = """
select %(turns)s::int as turns, exists (select 1 from purges where begun_at is null) as has_more,
       ((select count(*) from purges) + (select count(*) from turns where tainted))::int as left"""


class MessageKey(NamedTuple):
    """A message's name."""

    team_id: str
    channel_id: str
    ts: str


@dataclass(frozen=True)
class Tainted:
    """A turn that rests on purged words; ``asked`` is set when its own question is among them."""

    turn_id: UUID
    thread_key: str
    reason: Reason
    busy: bool
    asked: Reason | None


@dataclass(frozen=True)
class Round:
    """What was done: turns that were reduced, and what is still to be done: purges and turns."""

    turns: int
    left: int
    has_more: bool = False  # purges that were not looked at yet


async def ask(conn: Connection, keys: Iterable[MessageKey], reason: Reason) -> None:
    """Have the words of messages purged; the caller enqueues the job that does it."""
    await conn.execute(
        ASK.format(rows=f"select team_id, channel_id, ts, %(reason)s from {KEYS}"),
        {"keys": as_json(keys), "reason": reason},
    )


async def run(database: Database) -> Round:
    """Purge what is asked for, in rounds, until only running turns are left to be waited for."""
    turns = 0
    await _uncount_words(database)
    while True:
        async with database.connection() as conn, conn.transaction():
            await lock(conn)
            done = await _round(conn)
        turns += done.turns
        if not done.has_more:
            return Round(turns, done.left)


async def lock(conn: Connection) -> None:
    """Inside a transaction: keep other purges out until it ends."""
    await conn.execute("select pg_advisory_xact_lock(%s)", (LOCK_ID,))


async def _uncount_words(database: Database) -> None:
    """Take the words that messages lost out of how many messages hold them (storage/search.py counts them)."""
    async with database.connection() as conn, conn.transaction():
        if await db.fetch_value(conn, "select 1 from lexeme_removals limit 1"):
            await conn.execute("select pg_advisory_xact_lock(hashtext('lexeme_counts'))")
            await conn.execute(UNCOUNT)


async def _round(conn: Connection) -> Round:
    await conn.execute(
        """update purges set begun_at = clock_timestamp() where (team_id, channel_id, ts) in (
               select team_id, channel_id, ts from purges where begun_at is null order by asked_at limit %s)""",
        (BATCH,),
    )
    await conn.execute(WITHDRAW)
    oldest = await db.fetch_value(conn, f"select min(t.started_at) from turns t where {OPEN} and {BUSY}")
    tainted = await _hold_tainted(conn)
    over = [turn for turn in tainted if not turn.busy]
    if running := [turn.turn_id for turn in tainted if turn.busy]:
        await conn.execute("update turns set tainted = true where turn_id = any(%s)", (running,))
    if over:
        await _reduce(conn, over)
    cur = await conn.execute("select team_id, channel_id, ts, reason from purges where begun_at is not null")
    rows = await cur.fetchall()
    deleted = [MessageKey(*row[:3]) for row in rows if row[3] == "deleted"]
    await delete_derived(conn, deleted)
    await conn.execute(JOBS, {"keys": as_json(deleted)})
    if rows:
        await conn.execute(RUNBOOKS)
    await empty_events(conn, [MessageKey(*row[:3]) for row in rows])
    if not running:  # of a turn that began just now, the next round must still know what was asked to go
        await conn.execute(
            "delete from purges where begun_at is not null and begun_at < coalesce(%s::timestamptz, 'infinity')",
            (oldest,),
        )
    return await db.fetch_one(conn, Round, LEFT, {"turns": len(over)}) or Round(len(over), 0)


async def _hold_tainted(conn: Connection) -> list[Tainted]:
    """The turns that rest on purged words. Until the transaction ends, no turn begins in their threads."""
    held: set[str] = set()
    while True:
        found = await db.fetch_all(conn, Tainted, TAINTED)
        threads = sorted({turn.thread_key for turn in found} - held)
        if not threads:
            return found
        await conn.execute(
            "select 1 from thread_leases where thread_key = any(%s) order by thread_key for update", (threads,)
        )
        held |= set(threads)


async def _reduce(conn: Connection, over: list[Tainted]) -> None:
    ids = [turn.turn_id for turn in over]
    await delete_checkpoints(conn, [f"{turn.thread_key}#{turn.turn_id}" for turn in over])
    for turn in over:
        asked = NOTES[turn.asked] if turn.asked else None
        await conn.execute(REDUCE, {"turn_id": turn.turn_id, "note": NOTES[turn.reason], "asked": asked})
    await conn.execute(RESTART, {"threads": [turn.thread_key for turn in over]})
    note = NOTES[over[0].reason]
    posts = await (
        await conn.execute(POSTS, {"turns": ids, "asked": [turn.turn_id for turn in over if turn.asked], "note": note})
    ).fetchall()
    posts += await (await conn.execute(PROGRESS, {"turns": ids})).fetchall()
    posted = [dict(zip(("team_id", "channel_id", "ts", "thread_ts"), row, strict=True)) for row in posts if row[2]]
    await conn.execute(OWN_MESSAGES, {"posts": Json(posted), "note": note})
    await ask(conn, {MessageKey(p["team_id"], p["channel_id"], p["ts"]) for p in posted}, "deleted")
    await conn.execute("update effects set result = %s where turn_id = any(%s) and result <> ''", (note, ids))
    await conn.execute("update model_usage set error = %s where turn_id = any(%s) and error <> ''", (note, ids))
    for table in ("approvals", "turn_sources"):
        await conn.execute(sql.SQL("delete from {} where turn_id = any(%s)").format(sql.Identifier(table)), (ids,))


def as_json(keys: Iterable[MessageKey]) -> Json:
    """What ``KEYS`` binds as ``keys``, in one order."""
    return Json([key._asdict() for key in sorted(set(keys))])


async def delete_derived(conn: Connection, keys: Iterable[MessageKey]) -> None:
    """Delete the rows that belong to messages, in whatever tables they are."""
    bound = {"keys": as_json(keys)}
    for table in await holdings.of_messages(conn):
        await conn.execute(sql.SQL("delete from {} where " + IS_KEY.format(keys=KEYS)).format(table), bound)


async def empty_events(conn: Connection, keys: Iterable[MessageKey]) -> None:
    """Empty the stored events that tell of messages."""
    await conn.execute(
        f"""update inbox_events e set payload = '{{}}' from {KEYS}
            where e.team_id = k.team_id and e.subject = k.channel_id || ':' || k.ts and e.payload <> '{{}}'""",
        {"keys": as_json(keys)},
    )


async def delete_checkpoints(conn: Connection, thread_ids: list[str]) -> None:
    """Delete the steps of turns, by their thread ids (``{thread key}#{turn id}``)."""
    for table in ("checkpoint_writes", "checkpoint_blobs", "checkpoints"):
        await conn.execute(
            sql.SQL("delete from {} where thread_id = any(%s)").format(sql.Identifier(table)), (thread_ids,)
        )
