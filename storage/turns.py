"""Turns: one accepted user message up to its one final answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.types.json import Json

from storage import db
from storage.access import barred
from storage.approvals import UNTOLD
from storage.db import Connection
from storage.leases import HELD, Lease, hold, require
from storage.steering import TurnStopped

Source = Literal["mention", "dm", "command", "chat", "step", "followup", "retry", "private"]


def thread_key(team_id: str, channel_id: str, thread_ts: str) -> str:
    """The name of a Slack thread: lock, lease and conversation go by it."""
    return f"{team_id}:{channel_id}:{thread_ts}"


@dataclass(frozen=True)
class Turn:
    """A turn as stored. ``thread_ts`` is None while a command's question is not yet in its channel.

    ``waiting`` is for people's approval: meanwhile later questions of its thread are answered. ``stopped_by``: who
    asked for its end (storage/steering.py). ``retry_of``: the turn whose answer this one is to correct. ``aside`` marks
    a command, which is answered beside its thread: it is no part of its conversation, its order and its lease.
    ``spent_seconds``: of its time, when it was begun or resumed.
    """

    turn_id: UUID
    team_id: str
    channel_id: str
    thread_ts: str | None
    message_ts: str | None
    requester_id: str
    source: Source
    question: str
    status: Literal["queued", "running", "waiting", "answered", "failed", "stopped", "merged"]
    answer: str | None
    error: str | None
    attempts: int
    created_at: datetime
    started_at: datetime | None
    stopped_by: str | None = None
    retry_of: UUID | None = None
    aside: bool = False
    spent_seconds: float = 0.0

    @property
    def thread_key(self) -> str:
        """The thread that this turn belongs to; one of its own for what belongs to none."""
        own = f"pending-{self.turn_id}"
        return thread_key(self.team_id, self.channel_id, own if self.aside else self.thread_ts or own)

    @property
    def is_over(self) -> bool:
        """Whether its outcome is recorded."""
        return self.status in {"answered", "failed", "stopped", "merged"}


@dataclass(frozen=True)
class Outcome:
    """How a turn ended, as it is to be posted.

    Attributes:
        text: the answer or the notice, in Markdown.
        failed: no answer came; ``text`` says why.
        answered: ``text`` is the model's, so people may say whether it helped.
        model: the name of the model that answered.
    """

    text: str
    failed: bool = False
    answered: bool = False
    model: str = ""


COLUMNS = (
    "turn_id, team_id, channel_id, thread_ts, message_ts, requester_id, source, question, status, answer, "
    "error, attempts, created_at, started_at, stopped_by, retry_of, aside"
)


@dataclass(frozen=True)
class NewTurn:
    """A turn to accept. ``thread_ts`` and ``message_ts`` are None for a command whose question is not posted yet."""

    turn_id: UUID
    team_id: str
    channel_id: str
    thread_ts: str | None
    message_ts: str | None
    requester_id: str
    source: Source
    question: str
    retry_of: UUID | None = None
    aside: bool = False


async def insert_all(conn: Connection, accepted: Sequence[NewTurn]) -> set[UUID]:
    """Accept messages as turns, and return the ids of those that were none before.

    A message that is deleted already, or whose channel was forgotten, is none.
    """
    rows = sorted(
        (
            {**turn.__dict__, "turn_id": str(turn.turn_id), "retry_of": turn.retry_of and str(turn.retry_of)}
            for turn in accepted
        ),
        key=lambda r: r["turn_id"],
    )
    cur = await conn.execute(
        f"""insert into turns (turn_id, team_id, channel_id, thread_ts, message_ts, requester_id, source, question,
                              retry_of, aside)
           select turn_id, team_id, channel_id, thread_ts, message_ts, requester_id, source, question, retry_of, aside
           from json_populate_recordset(null::turns, %s) as new
           where not {barred("new.team_id", "new.channel_id", "new.requester_id", ts="new.message_ts")}
             and not exists (select 1 from messages m where m.team_id = new.team_id
                 and m.channel_id = new.channel_id and m.ts = new.message_ts and m.deleted_at is not null)
           on conflict do nothing returning turn_id""",
        (Json(rows),),
    )
    return {turn_id for (turn_id,) in await cur.fetchall()}


async def insert(conn: Connection, turn: NewTurn) -> bool:
    """Accept one message as a turn; False when that message is one already."""
    return bool(await insert_all(conn, [turn]))


async def get(conn: Connection, turn_id: UUID) -> Turn | None:
    """One turn by id."""
    return await db.fetch_one(conn, Turn, f"select {COLUMNS} from turns where turn_id = %s", (turn_id,))


async def get_young(conn: Connection, turn_id: UUID, *, seconds: float) -> Turn | None:
    """A turn by id, if it was accepted less than so many seconds ago and never begun."""
    return await db.fetch_one(
        conn,
        Turn,
        f"""select {COLUMNS} from turns
            where turn_id = %s and status = 'queued' and created_at > now() - make_interval(secs => %s)""",
        (turn_id, seconds),
    )


# Why a turn that waits is to go on: there is a decision, or nobody wants it any more.
DUE = f"({UNTOLD} or t.stopped_by is not null)"
UNSETTLED = f"""(t.status in ('queued', 'running') or (t.status = 'waiting' and {DUE}) or exists (
    select 1 from posts p where p.turn_id = t.turn_id and p.state in ('pending', 'sending')))"""


async def oldest_unsettled(conn: Connection, turn: Turn) -> UUID | None:
    """The first turn of the same thread, by Slack's time, that has no outcome or has a post to settle.

    One that waits for approval is passed over until there is a decision.

    Slack delivers in no order, so the turn that was stored first need not be the one that was asked first.
    """
    found: UUID | None = await db.fetch_value(
        conn,
        f"""select t.turn_id from turns t
           where t.team_id = %s and t.channel_id = %s and t.thread_ts = %s and t.source <> 'step' and not t.aside
             and {UNSETTLED}
           order by t.message_ts::numeric limit 1""",
        (turn.team_id, turn.channel_id, turn.thread_ts),
    )
    return found


async def begun_beside(conn: Connection, turn: Turn) -> list[UUID]:
    """The other turns of the same thread that were begun and have no outcome, such as those that wait for approval."""
    cur = await conn.execute(
        """select turn_id from turns
           where team_id = %s and channel_id = %s and thread_ts = %s and turn_id <> %s
             and source <> 'step' and not aside and status in ('running', 'waiting')""",
        (turn.team_id, turn.channel_id, turn.thread_ts, turn.turn_id),
    )
    return [turn_id for (turn_id,) in await cur.fetchall()]


async def newest_thread(conn: Connection, team_id: str, channel_id: str, requester_id: str) -> str | None:
    """The thread of a channel in which somebody asked last; None where they asked nothing there."""
    found: str | None = await db.fetch_value(
        conn,
        """select thread_ts from turns
           where team_id = %s and channel_id = %s and requester_id = %s and thread_ts is not null
             and source <> 'step' and not aside
           order by created_at desc limit 1""",
        (team_id, channel_id, requester_id),
    )
    return found


async def first_requester(conn: Connection, team_id: str, channel_id: str, thread_ts: str) -> str | None:
    """Who asked first in a thread; None where nobody did."""
    found: str | None = await db.fetch_value(
        conn,
        """select requester_id from turns
           where team_id = %s and channel_id = %s and thread_ts = %s and source <> 'step' and not aside
           order by created_at limit 1""",
        (team_id, channel_id, thread_ts),
    )
    return found


async def count_open(conn: Connection, team_id: str, channel_id: str, thread_ts: str) -> dict[str, int]:
    """How many turns of a thread have no outcome yet, by their status."""
    cur = await conn.execute(
        """select status, count(*)::int from turns
           where team_id = %s and channel_id = %s and thread_ts = %s and source <> 'step' and not aside
             and status in ('queued', 'running', 'waiting')
           group by status""",
        (team_id, channel_id, thread_ts),
    )
    return dict(await cur.fetchall())


async def count_since(
    conn: Connection, team_id: str, channel_id: str, thread_ts: str, after_ts: str
) -> tuple[int, datetime | None]:
    """How many questions of a thread came after Slack's timestamp ``after_ts``, and when the first of them did."""
    cur = await conn.execute(
        """select count(*)::int, min(created_at) from turns
           where team_id = %s and channel_id = %s and thread_ts = %s and source <> 'step' and not aside
             and coalesce(message_ts::numeric, extract(epoch from created_at)) > %s::numeric""",
        (team_id, channel_id, thread_ts, after_ts),
    )
    row = await cur.fetchone()
    return (row[0], row[1]) if row else (0, None)


async def is_unsettled(conn: Connection, turn_id: UUID) -> bool:
    """Whether a turn has no outcome, and does not wait for one, or has a post to settle."""
    return bool(
        await db.fetch_value(
            conn, f"select exists (select 1 from turns t where turn_id = %s and {UNSETTLED})", (turn_id,)
        )
    )


async def begin(conn: Connection, turn_id: UUID) -> Turn | None:
    """Mark a turn as running, count the attempt, and return it; unchanged when it is over or waits for approval."""
    return await db.fetch_one(
        conn,
        Turn,
        f"""update turns
            set status = case when status = 'queued' then 'running' else status end,
                started_at = case when status = 'queued' then now() else started_at end,
                attempts = attempts + case when status in ('queued', 'running') then 1 else 0 end
            where turn_id = %s
            returning {COLUMNS}, coalesce(extract(epoch from now() - started_at), 0)::float8 as spent_seconds""",
        (turn_id,),
    )


async def wait(conn: Connection, lease: Lease, turn_id: UUID) -> bool:
    """Inside a transaction: a turn stands still until people decide; False where somebody stopped it.

    Raises:
        LeaseLost: another worker has the thread.
    """
    await hold(conn, lease)
    return bool(
        await db.fetch_value(
            conn,
            """update turns set status = case when stopped_by is null and status = 'running' then 'waiting'
                                              else status end
               where turn_id = %s returning stopped_by is null""",
            (turn_id,),
        )
    )


async def resume(conn: Connection, lease: Lease, turn_id: UUID) -> Turn | None:
    """Inside a transaction: a turn that waits goes on where there is a decision or a stop; None where there is none.

    Its time and its attempts begin anew: it is not to be punished for how long people took.

    Raises:
        LeaseLost: another worker has the thread.
    """
    await hold(conn, lease)
    return await db.fetch_one(
        conn,
        Turn,
        f"""update turns t set status = 'running', started_at = now(), attempts = 1
            where turn_id = %s and status = 'waiting' and {DUE} returning {COLUMNS}""",
        (turn_id,),
    )


async def set_thread(conn: Connection, turn_id: UUID, ts: str) -> None:
    """A question that Ratchet posted now stands in its channel: its thread begins there, and its answer anew."""
    await conn.execute(
        """update turns set thread_ts = %s, message_ts = %s, status = 'queued', attempts = 0
           where turn_id = %s and thread_ts is null and status = 'running'""",
        (ts, ts, turn_id),
    )


async def finish(
    conn: Connection, lease: Lease, turn_id: UUID, *, answer: str, error: str | None = None, stopped: bool = False
) -> bool:
    """Inside a transaction: record a turn's outcome under its lease; False where it has one already.

    Raises:
        LeaseLost: another worker has the thread.
        TurnStopped: it is an answer, and somebody stopped the turn; roll the transaction back.
    """
    cur = await conn.execute(
        f"""with fence as materialized ({HELD}), open as materialized (
               select turn_id, stopped_by from turns, fence
               where turn_id = %(turn_id)s and status in ('queued', 'running') for update of turns
           ), finished as (
               update turns t set status = %(status)s, answer = %(answer)s, error = %(error)s, ended_at = now()
               from open where t.turn_id = open.turn_id and (open.stopped_by is null or %(status)s <> 'answered')
           )
           select (select turn_id is not null from open), (select stopped_by from open) from fence""",
        {
            **lease.params(),
            "turn_id": turn_id,
            "status": "stopped" if stopped else "failed" if error else "answered",
            "answer": answer,
            "error": error,
        },
    )
    row = await cur.fetchone()
    require(row and 1, lease)
    is_open, stopped_by = row or (None, None)
    if stopped_by and not (stopped or error):
        raise TurnStopped(f"turn {turn_id} was stopped")
    return bool(is_open)
