"""The steps that a new message passes by itself, and which of them are done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from storage import db, sources
from storage.db import Connection
from storage.messages import AlertAction
from storage.sources import Source


@dataclass(frozen=True)
class NewArrival:
    """A message that has just arrived, as a step sees it; ``text`` is what a person sees."""

    team_id: str
    channel_id: str
    channel_name: str
    ts: str
    thread_ts: str | None
    user_id: str | None
    author: str
    is_bot: bool
    text: str
    permalink: str
    alert_action: AlertAction
    posted_at: datetime


async def load(conn: Connection, team_id: str, channel_id: str, ts: str) -> NewArrival | None:
    """The message, unless it was deleted or is none that steps are for (Ratchet's own)."""
    return await db.fetch_one(
        conn,
        NewArrival,
        """select m.team_id, m.channel_id, c.name as channel_name, m.ts, m.thread_ts, m.user_id, m.author, m.is_bot,
                  m.text, m.permalink, m.alert_action, m.posted_at
           from messages m join channels c using (team_id, channel_id)
           where m.team_id = %s and m.channel_id = %s and m.ts = %s and m.deleted_at is null""",
        (team_id, channel_id, ts),
    )


async def done(conn: Connection, arrival: NewArrival) -> set[str]:
    """The names of the steps that a message has passed, or that were given up."""
    cur = await conn.execute(
        "select step from message_steps where team_id = %s and channel_id = %s and ts = %s and state <> 'failed'",
        (arrival.team_id, arrival.channel_id, arrival.ts),
    )
    return {step for (step,) in await cur.fetchall()}


async def record(
    conn: Connection, arrival: NewArrival, step: str, error: str | None, *, for_good: bool = False
) -> None:
    """A step has ended, well or with an error; ``for_good`` when it is not to be tried again."""
    state = "done" if error is None else "given_up" if for_good else "failed"
    await conn.execute(
        """insert into message_steps (team_id, channel_id, ts, step, state, error) values (%s, %s, %s, %s, %s, %s)
           on conflict (team_id, channel_id, ts, step) do update
           set state = excluded.state, error = excluded.error, attempts = message_steps.attempts + 1, at = now()""",
        (arrival.team_id, arrival.channel_id, arrival.ts, step, state, error),
    )


async def open_turn(conn: Connection, turn_id: UUID, arrival: NewArrival, thread_ts: str, said: str) -> None:
    """The turn that a step's posts belong to; unchanged when it is there already.

    It rests on the message; where that was deleted while the step ran, its words will not stay.
    """
    await conn.execute(
        """insert into turns (turn_id, team_id, channel_id, thread_ts, requester_id, source, question, status, answer,
                              started_at, ended_at, tainted)
           values (%s, %s, %s, %s, '', 'step', '', 'answered', %s, now(), now(), not exists (
               select 1 from messages where team_id = %s and channel_id = %s and ts = %s and deleted_at is null))
           on conflict (turn_id) do nothing""",
        (turn_id, arrival.team_id, arrival.channel_id, thread_ts, said, *_key(arrival)),
    )
    await sources.record(conn, [Source(turn_id, *_key(arrival))])


def _key(arrival: NewArrival) -> tuple[str, str, str]:
    return arrival.team_id, arrival.channel_id, arrival.ts
