"""Questions in help channels: what the documentation knew, what Ratchet posted below them, and whether it helped.

What is posted is for all who read the channel and shows nothing of other places, so the jobs need no viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from storage import db
from storage.access import VISIBLE, Viewer
from storage.db import Connection

Event = Literal["answered", "nudged", "proposed"]
CHECKS = ["white_check_mark", "heavy_check_mark", "ballot_box_with_check"]
APPROVAL = [*CHECKS, "+1"]
# What an asker writes below a question that needs no more help (POSIX, without regard to case).
SETTLED = (
    r"\m(thanks|thank you|thx|cheers|solved|resolved|fixed|never ?mind|nvm|found it|works now|that (worked|helped))\M"
)
UNSETTLED = r"\m(not|still|but|nope)\M|n['’]t\M"
# m: the question; r: a reply. Slack names only the first who reacted, and counts their own reaction too.
REPLY = """r.team_id = m.team_id and r.channel_id = m.channel_id and r.thread_ts = m.ts and r.ts <> m.ts
           and not r.is_bot and r.deleted_at is null"""
SAYS_SETTLED = "({0}.text ~* %(settled)s and {0}.text !~* %(unsettled)s)"
MARKED = """exists (
    select 1 from jsonb_each(coalesce({0}.attrs -> 'reactions', '{{}}')) as given (name, users),
                  jsonb_array_elements_text(given.users) as who (user_id)
    where given.name = any(%({1})s) and who.user_id is distinct from {2})"""
OPEN = """m.deleted_at is null and m.thread_ts is null and not m.is_bot and coalesce(c.attrs ->> 'state', '') = ''"""
QUESTIONS = """select q.channel_id, c.name as channel_name, q.ts, m.text, m.posted_at
    from help_questions q join messages m using (team_id, channel_id, ts) join channels c using (team_id, channel_id)"""


class QuestionKey(NamedTuple):
    """A question: the message that asks it."""

    team_id: str
    channel_id: str
    ts: str


@dataclass(frozen=True)
class HelpQuestion:
    """A question as it stands now."""

    channel_id: str
    channel_name: str
    ts: str
    text: str
    posted_at: datetime


@dataclass(frozen=True)
class HelpCounts:
    """What became of the questions of a channel; ``helpful`` and ``unhelpful`` count votes."""

    channel_id: str
    questions: int
    answered: int
    helpful: int
    unhelpful: int


async def note(conn: Connection, key: QuestionKey, *, confidence: float | None) -> None:
    """A message is a question; ``confidence`` that the documentation answers it, where that was looked up.

    One that was deleted for good meanwhile is none.
    """
    await conn.execute(
        """insert into help_questions as q (team_id, channel_id, ts, confidence)
           select team_id, channel_id, ts, %s from messages where team_id = %s and channel_id = %s and ts = %s
           on conflict (team_id, channel_id, ts) do update
           set confidence = coalesce(excluded.confidence, q.confidence)""",
        (confidence, *key),
    )


async def mark(conn: Connection, key: QuestionKey, event: Event) -> None:
    """Something was posted below a question; the first time stands."""
    column = {"answered": "answered_at", "nudged": "nudged_at", "proposed": "proposed_at"}[event]
    await conn.execute(
        f"""update help_questions set {column} = coalesce({column}, now())
            where team_id = %s and channel_id = %s and ts = %s""",
        tuple(key),
    )


async def has_reply(conn: Connection, key: QuestionKey) -> bool:
    """Whether a person wrote below a question."""
    found = await db.fetch_value(
        conn,
        f"""select exists (select 1 from messages r where {REPLY}) from messages m
            where m.team_id = %s and m.channel_id = %s and m.ts = %s""",
        tuple(key),
    )
    return bool(found)


async def unanswered(
    conn: Connection, team_id: str, channel_ids: list[str], *, since: datetime, until: datetime, limit: int
) -> list[HelpQuestion]:
    """Questions of some channels and of a time that wait for somebody; none whose owner was nudged already.

    A question waits no more when another person wrote below it, when its asker wrote that it is settled, when
    somebody marked it with a check, or when more people found the documentation's answer helpful than not.
    """
    return await db.fetch_all(
        conn,
        HelpQuestion,
        f"""{QUESTIONS}
            where q.team_id = %(team_id)s and q.channel_id = any(%(channel_ids)s) and q.nudged_at is null
              and {OPEN}
              and m.posted_at >= %(since)s and m.posted_at <= %(until)s
              and not exists (select 1 from messages r where {REPLY}
                              and (r.user_id is distinct from m.user_id or {SAYS_SETTLED.format("r")}))
              and not {MARKED.format("m", "checks", "null")}
              and coalesce((select sum(case when v.helpful then 1 else -1 end) from help_votes v
                   where v.team_id = q.team_id and v.channel_id = q.channel_id and v.ts = q.ts), 0) <= 0
            order by m.posted_at limit %(limit)s""",
        {**_params(team_id, channel_ids, since, limit), "until": until},
    )


async def answered_by_people(
    conn: Connection, team_id: str, channel_ids: list[str], *, since: datetime, below: float, limit: int
) -> list[HelpQuestion]:
    """Questions that the documentation did not know and a person answered, as others confirm; oldest first.

    Args:
        conn: a connection.
        team_id: the workspace.
        channel_ids: the channels to look at.
        since: older questions do not count.
        below: the confidence from which on the documentation knows an answer.
        limit: how many, at most.
    """
    return await db.fetch_all(
        conn,
        HelpQuestion,
        f"""{QUESTIONS}
            where q.team_id = %(team_id)s and q.channel_id = any(%(channel_ids)s) and q.proposed_at is null
              and q.confidence < %(below)s and {OPEN}
              and m.posted_at >= %(since)s
              and exists (
                  select 1 from messages r
                  where {REPLY} and r.user_id is distinct from m.user_id
                    and ({MARKED.format("r", "approval", "r.user_id")} or exists (
                        select 1 from messages a
                        where a.team_id = m.team_id and a.channel_id = m.channel_id and a.thread_ts = m.ts
                          and a.user_id = m.user_id and a.deleted_at is null and a.ts::numeric > r.ts::numeric
                          and {SAYS_SETTLED.format("a")})))
            order by m.posted_at limit %(limit)s""",
        {**_params(team_id, channel_ids, since, limit), "below": below},
    )


def _params(team_id: str, channel_ids: list[str], since: datetime, limit: int) -> dict[str, Any]:
    return {
        "team_id": team_id,
        "channel_ids": channel_ids,
        "since": since,
        "limit": limit,
        "checks": CHECKS,
        "approval": APPROVAL,
        "settled": SETTLED,
        "unsettled": UNSETTLED,
    }


async def vote(conn: Connection, key: QuestionKey, user_id: str, *, helpful: bool) -> None:
    """Count one person's vote on the answer to a question; their last one stands."""
    await conn.execute(
        """insert into help_votes (team_id, channel_id, ts, user_id, helpful)
           select team_id, channel_id, ts, %s, %s from help_questions where team_id = %s and channel_id = %s and ts = %s
           on conflict (team_id, channel_id, ts, user_id) do update set helpful = excluded.helpful, at = now()""",
        (user_id, helpful, *key),
    )


async def may_draft(conn: Connection, key: QuestionKey, user_id: str) -> bool:
    """Whether a message is a question, and a person no guest, stranger or bot, as far as is known."""
    return bool(
        await db.fetch_value(
            conn,
            """select exists (select 1 from help_questions where team_id = %s and channel_id = %s and ts = %s)
                      and not exists (select 1 from users where team_id = %s and user_id = %s
                                      and (is_guest or is_stranger or is_bot))""",
            (*key, key.team_id, user_id),
        )
    )


async def users_named(conn: Connection, team_id: str, name: str) -> list[str]:
    """The ids of the people with a name, without regard to case."""
    cur = await conn.execute(
        "select user_id from users where team_id = %s and lower(name) = lower(%s) and not is_bot limit 2",
        (team_id, name),
    )
    return [user_id for (user_id,) in await cur.fetchall()]


async def counts(conn: Connection, viewer: Viewer, since: datetime, until: datetime) -> dict[str, HelpCounts]:
    """What became of the questions of a time, by the id of their channel, where a viewer may read it here."""
    found = await db.fetch_all(
        conn,
        HelpCounts,
        f"""select q.channel_id, count(*)::int as questions, count(q.answered_at)::int as answered,
                   coalesce(sum(v.helpful), 0)::int as helpful, coalesce(sum(v.unhelpful), 0)::int as unhelpful
            from help_questions q join messages s using (team_id, channel_id, ts)
            join channels c using (team_id, channel_id)
            cross join lateral (
                select count(*) filter (where helpful) as helpful, count(*) filter (where not helpful) as unhelpful
                from help_votes where (team_id, channel_id, ts) = (q.team_id, q.channel_id, q.ts)) v
            where {VISIBLE} and s.posted_at >= %(since)s and s.posted_at < %(until)s and s.deleted_at is null
            group by q.channel_id""",
        {**viewer.params(), "since": since, "until": until},
    )
    return {row.channel_id: row for row in found}
