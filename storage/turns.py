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

Source = Literal["mention", "dm", "command", "chat", "step", "followup", "retry", "private"]


def thread_key(team_id: str, channel_id: str, thread_ts: str) -> str:
    """The name of a Slack thread: lock, lease and conversation go by it."""
    return f"{team_id}:{channel_id}:{thread_ts}"


@dataclass(frozen=True)
class Turn:
    """A turn as stored. ``thread_ts`` is None while a command's question is not yet in its channel.

    ``waiting`` is for people's approval: meanwhile later questions of its thread are answered.
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

    @property
    def thread_key(self) -> str:
        """The thread that this turn belongs to."""
        return thread_key(self.team_id, self.channel_id, self.thread_ts or f"pending-{self.turn_id}")

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
    """

    text: str
    failed: bool = False


COLUMNS = (
    "turn_id, team_id, channel_id, thread_ts, message_ts, requester_id, source, question, status, answer, "
    "error, attempts, created_at, started_at"
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


async def insert_all(conn: Connection, accepted: Sequence[NewTurn]) -> set[UUID]:
    """Accept messages as turns, and return the ids of those that were none before.

    A message that is deleted already, or whose channel was forgotten, is none.
    """
    rows = sorted(({**turn.__dict__, "turn_id": str(turn.turn_id)} for turn in accepted), key=lambda r: r["turn_id"])
    cur = await conn.execute(
        f"""insert into turns (turn_id, team_id, channel_id, thread_ts, message_ts, requester_id, source, question)
           select turn_id, team_id, channel_id, thread_ts, message_ts, requester_id, source, question
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


UNSETTLED = f"""(t.status in ('queued', 'running') or (t.status = 'waiting' and {UNTOLD}) or exists (
    select 1 from posts p where p.turn_id = t.turn_id and p.state in ('pending', 'sending')))"""


async def oldest_unsettled(conn: Connection, turn: Turn) -> UUID | None:
    """The first turn of the same thread, by Slack's time, that has no outcome or has a post to settle.

    One that waits for approval is passed over until there is a decision.

    Slack delivers in no order, so the turn that was stored first need not be the one that was asked first.
    """
    found: UUID | None = await db.fetch_value(
        conn,
        f"""select t.turn_id from turns t
           where t.team_id = %s and t.channel_id = %s and t.thread_ts = %s and t.source <> 'step' and {UNSETTLED}
           order by t.message_ts::numeric limit 1""",
        (turn.team_id, turn.channel_id, turn.thread_ts),
    )
    return found


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
                started_at = coalesce(started_at, now()),
                attempts = attempts + case when status in ('queued', 'running') then 1 else 0 end
            where turn_id = %s returning {COLUMNS}""",
        (turn_id,),
    )


async def wait(conn: Connection, lease: Lease, turn_id: UUID) -> None:
    """Inside a transaction: a turn stands still until people decide.

    Raises:
        LeaseLost: another worker has the thread.
    """
    await hold(conn, lease)
    await conn.execute("update turns set status = 'waiting' where turn_id = %s and status = 'running'", (turn_id,))


async def resume(conn: Connection, lease: Lease, turn_id: UUID) -> Turn | None:
    """Inside a transaction: a turn that waits goes on where there is a decision; None where there is none.

    Its time and its attempts begin anew: it is not to be punished for how long people took.

    Raises:
        LeaseLost: another worker has the thread.
    """
    await hold(conn, lease)
    return await db.fetch_one(
        conn,
        Turn,
        f"""update turns t set status = 'running', started_at = now(), attempts = 1
            where turn_id = %s and status = 'waiting' and {UNTOLD} returning {COLUMNS}""",
        (turn_id,),
    )


async def set_thread(conn: Connection, turn_id: UUID, ts: str) -> None:
    """A command's question now stands in its channel: its thread begins there."""
    await conn.execute(
        "update turns set thread_ts = %s, message_ts = %s where turn_id = %s and thread_ts is null",
        (ts, ts, turn_id),
    )


async def finish(conn: Connection, lease: Lease, turn_id: UUID, *, answer: str, error: str | None = None) -> None:
    """Inside a transaction: record a turn's outcome under its lease.

    Raises:
        LeaseLost: another worker has the thread.
    """
    held = await db.fetch_value(
        conn,
        f"""with fence as materialized ({HELD}), finished as (
               update turns set status = %(status)s, answer = %(answer)s, error = %(error)s, ended_at = now()
               from fence where turn_id = %(turn_id)s and status in ('queued', 'running')
           )
           select 1 from fence""",
        {
            **lease.params(),
            "turn_id": turn_id,
            "status": "failed" if error else "answered",
            "answer": answer,
            "error": error,
        },
    )
    require(held, lease)
