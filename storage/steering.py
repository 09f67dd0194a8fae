"""What people do to turns that are under way: end them, and add to them.

A stop is a mark on the turn's row, set in the transaction that stores who asked for it. Whoever runs the turn learns
of it with the statements that it makes anyway (agent/checkpoints.py), from a look every moment (``look``), and at the
latest where an effect is noted (storage/effects.py), which refuses.

A message that is taken in was accepted as a turn of its own. ``take_in`` gives it to the running turn, for good: from
then on it is part of that turn, and it was never begun by itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from storage import db
from storage.db import Connection, StorageError
from storage.leases import Lease, hold

# What a command that resets its thread says, as slack_app/command_words.py reads it.
RESET = "^[[:space:]`]*/?reset[[:space:]`?!.]*$"


def _fits(q: str) -> str:
    """SQL: whether the turn ``t`` may take in the message ``q``, if nothing stands between the two.

    It is its requester's, addressed to Ratchet, later than its own question, and of the same conversation: no reset,
    done or about to be, parts them. One with images is a turn of its own: only the beginning of a turn shows the model
    images.
    """
    return f"""(
    {q}.team_id = t.team_id and {q}.channel_id = t.channel_id and {q}.thread_ts = t.thread_ts
    and {q}.status = 'queued' and {q}.stopped_by is null and {q}.requester_id = t.requester_id
    and {q}.source in ('mention', 'dm') and {q}.question <> '' and not {q}.aside
    and not exists (select 1 from messages i where i.team_id = {q}.team_id and i.channel_id = {q}.channel_id
                    and i.ts = {q}.message_ts and i.attrs @? '$.files[*].mimetype ? (@ starts with "image/")')
    and (t.message_ts is null or {q}.message_ts::numeric > t.message_ts::numeric)
    and not exists (
        select 1 from (
            select c.reset_ts::numeric as ts from conversations c
            where c.thread_key = {q}.team_id || ':' || {q}.channel_id || ':' || {q}.thread_ts
            union all
            select r.message_ts::numeric from turns r
            where r.team_id = {q}.team_id and r.channel_id = {q}.channel_id and r.thread_ts = {q}.thread_ts
              and r.aside and r.status in ('queued', 'running') and r.question ~* '{RESET}'
        ) as resets
        where resets.ts < {q}.message_ts::numeric
          and resets.ts > coalesce(t.message_ts::numeric, extract(epoch from t.created_at))))"""


# A message ``q`` that the turn ``t`` can take in. It overtakes none of its requester's that has to wait.
FITTING = f"""({_fits("q")} and not exists (
    select 1 from turns earlier
    where earlier.team_id = q.team_id and earlier.channel_id = q.channel_id and earlier.thread_ts = q.thread_ts
      and earlier.status = 'queued' and earlier.requester_id = q.requester_id and not earlier.aside
      and earlier.message_ts::numeric < q.message_ts::numeric and not {_fits("earlier")}))"""
NEWS = f"exists (select 1 from turns q where {FITTING})"


class TurnStopped(StorageError):
    """Somebody stopped this turn; nothing was written."""


@dataclass(frozen=True)
class Seen:
    """What people did to a running turn: who stopped it, and whether there is something for it to take in."""

    turn_id: UUID
    stopped_by: str | None
    has_news: bool


@dataclass(frozen=True)
class Added:
    """A message that a turn took in."""

    turn_id: UUID
    message_ts: str
    question: str


@dataclass(frozen=True)
class Marked:
    """A turn that was just marked; ``status`` is what it was."""

    turn_id: UUID
    channel_id: str
    thread_ts: str | None
    status: Literal["queued", "running", "waiting"]


async def look(conn: Connection, turn_ids: Collection[UUID]) -> list[Seen]:
    """What people did to these turns."""
    return await db.fetch_all(
        conn,
        Seen,
        f"select t.turn_id, t.stopped_by, {NEWS} as has_news from turns t where t.turn_id = any(%s)",
        (list(turn_ids),),
    )


async def stop(
    conn: Connection, *, team_id: str, channel_id: str, user_id: str, thread_ts: str | None, before: str | None
) -> list[Marked]:
    """Inside a transaction: mark the open turns of a thread, and return those that are to say so, oldest first.

    Whoever can write in a thread may stop what runs there; guests and people of other workspaces only what they asked
    for themselves. A turn that was not begun, beside others, ends at once and says nothing: theirs is the word.

    Args:
        conn: in a transaction.
        team_id: the workspace.
        channel_id: the channel.
        user_id: who stops.
        thread_ts: the thread; None: all that this person asked for in the channel.
        before: the time of the stop by Slack's clock: what was asked later goes on. None: now.
    """
    marked = await db.fetch_all(
        conn,
        Marked,
        """with who as (
               select exists (select 1 from users u where u.team_id = %(team_id)s and u.user_id = %(user_id)s
                              and (u.is_guest or u.is_stranger)) as is_outsider
           ), open as (
               select t.turn_id, t.status from turns t, who
               where t.team_id = %(team_id)s and t.channel_id = %(channel_id)s
                 and t.status in ('queued', 'running', 'waiting') and t.stopped_by is null and t.source <> 'step'
                 and not t.aside
                 and (t.thread_ts = %(thread_ts)s
                      or (%(thread_ts)s::text is null and t.requester_id = %(user_id)s))
                 and (t.requester_id = %(user_id)s or not who.is_outsider)
                 and (%(before)s::text is null or t.message_ts is null or t.message_ts::numeric < %(before)s::numeric)
               order by t.turn_id for update of t
           ), marked as (
               update turns t set stopped_by = %(user_id)s, stopped_at = now() from open
               where t.turn_id = open.turn_id
               returning t.turn_id, t.channel_id, t.thread_ts, t.status, t.message_ts
           )
           select turn_id, channel_id, thread_ts, status from marked order by message_ts::numeric""",
        {
            "team_id": team_id,
            "channel_id": channel_id,
            "user_id": user_id,
            "thread_ts": thread_ts,
            "before": before,
        },
    )
    begun = {turn.thread_ts for turn in marked if turn.status != "queued"}
    speakers: list[Marked] = []
    silent: list[UUID] = []
    for turn in marked:
        if turn.status != "queued" or turn.thread_ts is None:
            speakers.append(turn)
        elif turn.thread_ts in begun:
            silent.append(turn.turn_id)
        else:
            begun.add(turn.thread_ts)
            speakers.append(turn)
    if silent:
        await conn.execute(
            "update turns set status = 'stopped', answer = '', ended_at = now() where turn_id = any(%s)", (silent,)
        )
    return speakers


async def stopped_by(conn: Connection, turn_id: UUID) -> str | None:
    """Inside a transaction: who stopped a turn; until it ends, nobody else does."""
    found: str | None = await db.fetch_value(
        conn, "select stopped_by from turns where turn_id = %s for update", (turn_id,)
    )
    return found


async def absorb(conn: Connection, turn_ids: Collection[UUID]) -> None:
    """Inside the transaction that accepts them: messages that were no questions but orders, and are carried out."""
    await conn.execute(
        "update turns set status = 'merged', answer = '', ended_at = now() where turn_id = any(%s)", (list(turn_ids),)
    )


async def take_in(conn: Connection, lease: Lease, turn_id: UUID) -> list[Added]:
    """Give a running turn what its requester wrote since; returns all that it ever took in, oldest first.

    The turn rests on these messages from now on: they go from it when they are deleted.

    Raises:
        LeaseLost: another worker has the thread.
    """
    async with conn.transaction():
        await hold(conn, lease)
        await conn.execute(
            f"""with taken as (
                   update turns q set status = 'merged', merged_into = t.turn_id, answer = '', ended_at = now()
                   from turns t
                   where t.turn_id = %(turn_id)s and t.status = 'running' and t.stopped_by is null and {FITTING}
                     and not exists (
                         select 1 from messages m where m.team_id = q.team_id and m.channel_id = q.channel_id
                           and m.ts = q.message_ts and m.deleted_at is not null)
                   returning q.team_id, q.channel_id, q.message_ts
               )
               insert into turn_sources (team_id, channel_id, ts, turn_id)
               select team_id, channel_id, message_ts, %(turn_id)s from taken on conflict do nothing""",
            {"turn_id": turn_id},
        )
        return await list_taken_in(conn, turn_id)


async def list_taken_in(conn: Connection, turn_id: UUID) -> list[Added]:
    """What a turn took in, oldest first."""
    return await db.fetch_all(
        conn,
        Added,
        """select turn_id, message_ts, question from turns where merged_into = %s
           order by message_ts::numeric""",
        (turn_id,),
    )
