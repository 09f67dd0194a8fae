"""Answers that are tried again: which turn a retry is about, and what of it may be used."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from storage import db
from storage.access import VISIBLE, Viewer
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
        question: what was asked, with the corrections of earlier retries.
        answer: what was answered.
        post_ts: the message that the answer begins with, if it stands in Slack.
        chain: its id, and those of the turns that it was a retry of itself.
        is_over: whether it ended.
        is_erased: whether words that it rested on were removed, or are to be.
        is_visible: whether the viewer may read all messages that it was shown.
    """

    turn_id: UUID
    team_id: str
    channel_id: str
    thread_ts: str | None
    requester_id: str
    question: str
    answer: str | None
    post_ts: str | None
    chain: list[UUID]
    is_over: bool
    is_erased: bool
    is_visible: bool


FIND = f"""
with recursive chain as (
    select t.*, 0 as depth from turns t where t.turn_id = %(turn_id)s and t.team_id = %(team_id)s
    union all
    select t.*, depth + 1 from chain join turns t on t.turn_id = chain.retry_of where depth < 20
)
select t.turn_id, t.team_id, t.channel_id, t.thread_ts, t.requester_id, t.answer,
       (select string_agg(question, E'\\n\\nCorrection: ' order by depth desc) from chain) as question,
       (select p.ts from posts p where p.turn_id = t.turn_id and p.part between 1 and {FIRST_PART - 1}
        order by p.part limit 1) as post_ts,
       array(select turn_id from chain) as chain,
       t.ended_at is not null as is_over,
       (select bool_or(purged_at is not null or tainted) from chain) as is_erased,
       not exists (
           select 1 from turn_sources s
           left join channels c on c.team_id = s.team_id and c.channel_id = s.channel_id
           where s.turn_id = t.turn_id and not coalesce({VISIBLE}, false)) as is_visible
from chain t where depth = 0"""


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
