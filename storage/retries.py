"""Answers that are tried again: which turn a retry is about, and what of it may be used."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from storage import db
from storage.access import VISIBLE, WORKSPACE_WIDE, Viewer
from storage.approvals import FIRST_PART
from storage.db import Connection


@dataclass(frozen=True)
class Retried:
    """The turn whose answer is to be corrected.

    Attributes:
        turn_id: its id.
        team_id: its workspace.
        channel_id: where it was asked.
        thread_ts: the thread that it was asked in.
        requester_id: who asked it.
        question: what was asked, with what was taken in and the corrections of earlier retries.
        first_question: what was asked, without any of that.
        answer: what was answered.
        post_ts: the message that the answer begins with, if it stands in Slack.
        chain: its id, and those of the turns that it was a retry of itself.
        is_over: whether it ended.
        is_reset: whether the conversation began afresh since it was asked.
        is_erased: whether words that it rested on were removed, or are to be.
        is_visible: whether the viewer may read all messages that it was shown, and what else its tools showed.
    """

    turn_id: UUID
    team_id: str
    channel_id: str
    thread_ts: str | None
    requester_id: str
    question: str
    first_question: str
    answer: str | None
    post_ts: str | None
    chain: list[UUID]
    is_over: bool
    is_reset: bool
    is_erased: bool
    is_visible: bool


# A turn and those that it is a retry of, newest first; needs the first one's condition on ``t``.
CHAIN = """
with recursive chain as (
    select t.*, 0 as depth from turns t where {first}
    union all
    select t.*, depth + 1 from chain join turns t on t.turn_id = chain.retry_of where depth < 20
)"""
# What a chain asks, with what was taken in.
QUESTION = """(
    select string_agg(concat_ws(E'\\n\\n', asked.question, (
               select string_agg(added.question, E'\\n\\n' order by added.message_ts::numeric)
               from turns added where added.merged_into = asked.turn_id)),
           E'\\n\\nCorrection: ' order by depth desc)
    from chain asked)"""
FIND = f"""{CHAIN.format(first="t.turn_id = %(turn_id)s and t.team_id = %(team_id)s")}
select t.turn_id, t.team_id, t.channel_id, t.thread_ts, t.requester_id, t.answer, {QUESTION} as question,
       (select first.question from chain first order by depth desc limit 1) as first_question,
       (select p.ts from posts p where p.turn_id = t.turn_id and p.part between 1 and {FIRST_PART - 1}
        order by p.part limit 1) as post_ts,
       array(select turn_id from chain order by depth) as chain,
       t.ended_at is not null as is_over,
       (select bool_or(purged_at is not null or tainted) from chain) as is_erased,
       exists (
           select 1 from conversations v, chain asked
           where v.thread_key = t.team_id || ':' || t.channel_id || ':' || t.thread_ts
             and v.reset_ts::numeric >= coalesce(asked.message_ts::numeric, extract(epoch from asked.created_at))
       ) as is_reset,
       not exists (
           select 1 from turn_sources s
           left join channels c on c.team_id = s.team_id and c.channel_id = s.channel_id
           where s.turn_id = t.turn_id and not coalesce({VISIBLE}, false))
       and ({WORKSPACE_WIDE} or not exists (
           select 1 from conversation_messages m
           where m.turn_id in (select turn_id from chain) and m.message ->> 'type' = 'tool')) as is_visible
from chain t where depth = 0"""


def asked(turn_id: str) -> str:
    """SQL: the messages that ask what a turn answers: its own, those of the turns before, and what they took in.

    Args:
        turn_id: an SQL expression; within it ``e``, ``chain`` and ``o`` are taken.
    """
    return f"""(
        with recursive chain as (
            select turn_id, retry_of, 0 as depth from turns where turn_id = {turn_id}
            union all
            select e.turn_id, e.retry_of, depth + 1 from chain join turns e on e.turn_id = coalesce(
                chain.retry_of, (select o.turn_id from private_offers o where o.private_turn_id = chain.turn_id))
            where depth < 20
        )
        select e.team_id, e.channel_id, e.message_ts as ts, e.requester_id
        from chain join turns e on e.turn_id = chain.turn_id or e.merged_into = chain.turn_id
        where e.message_ts is not null)"""


async def find(conn: Connection, viewer: Viewer, turn_id: UUID) -> Retried | None:
    """A turn of the viewer's workspace whose answer somebody wants corrected."""
    return await db.fetch_one(conn, Retried, FIND, {**viewer.params(), "turn_id": turn_id})


async def inherit_sources(conn: Connection, old: UUID, new: UUID) -> None:
    """A turn rests on all that another one rests on."""
    await conn.execute(
        """insert into turn_sources (team_id, channel_id, ts, turn_id)
           select team_id, channel_id, ts, %s from turn_sources where turn_id = %s on conflict do nothing""",
        (new, old),
    )


async def compose_question(conn: Connection, turn_id: UUID) -> str:
    """What a turn answers, with what was taken in; of a retry, what was asked first with all corrections."""
    statement = f"{CHAIN.format(first='t.turn_id = %s')} select {QUESTION}"
    return str(await db.fetch_value(conn, statement, (turn_id,)) or "")


async def inherit_question(conn: Connection, old: UUID, new: UUID) -> None:
    """A turn rests on the messages that ask what another one answers."""
    await conn.execute(
        f"""insert into turn_sources (team_id, channel_id, ts, turn_id)
            select distinct team_id, channel_id, ts, %(new)s::uuid from {asked("%(old)s")} as q
            on conflict do nothing""",
        {"old": old, "new": new},
    )


async def list_asked(conn: Connection, viewer: Viewer, turn_id: UUID) -> list[tuple[str, str]]:
    """The messages that ask what a turn answers, as (channel id, ts), oldest first.

    Only those that the viewer wrote or may read.
    """
    cur = await conn.execute(
        f"""select distinct q.channel_id, q.ts, q.ts::numeric from {asked("%(turn_id)s")} as q
            where q.team_id = %(team_id)s and (q.requester_id = %(requester_id)s or exists (
                select 1 from channels c where c.team_id = q.team_id and c.channel_id = q.channel_id and {VISIBLE}))
            order by 3""",
        {**viewer.params(), "turn_id": turn_id},
    )
    return [(channel_id, ts) for channel_id, ts, _ in await cur.fetchall()]
