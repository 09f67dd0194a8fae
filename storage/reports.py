"""What a channel's report is made of, and which reports were made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from storage import db
from storage.access import VISIBLE, Viewer
from storage.db import Connection


@dataclass(frozen=True)
class AlertEvent:
    """An alert that opened or closed; ``thread_ts`` is the thread that its message stands in or begins."""

    ts: str
    thread_ts: str
    fingerprint: str
    action: Literal["open_incident", "close_incident"]
    alert: str
    service: str | None
    priority: str | None
    duration: timedelta | None
    at: datetime
    permalink: str


@dataclass(frozen=True)
class HumanReply:
    """A person's reply in the thread of an alert."""

    thread_ts: str
    user_id: str
    posted_at: datetime


async def list_alert_events(
    conn: Connection, viewer: Viewer, channel_id: str, since: datetime, until: datetime
) -> list[AlertEvent]:
    """What opened and closed in a channel, oldest first."""
    return await db.fetch_all(
        conn,
        AlertEvent,
        f"""select a.ts, coalesce(m.thread_ts, m.ts) as thread_ts, a.fingerprint, a.action, a.alert, a.service,
                   a.priority, a.duration, a.at, m.permalink
            from alerts a
            join messages m using (team_id, channel_id, ts)
            join channels c using (team_id, channel_id)
            where {VISIBLE} and a.channel_id = %(channel_id)s and m.deleted_at is null
              and a.at >= %(since)s and a.at < %(until)s
            order by a.at, a.action desc, a.ts, a.fingerprint""",
        {**viewer.params(), "channel_id": channel_id, "since": since, "until": until},
    )


async def list_human_replies(
    conn: Connection, viewer: Viewer, channel_id: str, since: datetime, until: datetime
) -> list[HumanReply]:
    """What people, not bots, wrote in the threads of a channel's alerts, oldest first."""
    return await db.fetch_all(
        conn,
        HumanReply,
        f"""select r.thread_ts, r.user_id, r.posted_at
            from messages r
            join channels c using (team_id, channel_id)
            left join users u on u.team_id = r.team_id and u.user_id = r.user_id
            where {VISIBLE} and r.channel_id = %(channel_id)s and r.deleted_at is null
              and r.posted_at >= %(since)s and r.posted_at < %(until)s
              and r.thread_ts is not null and r.thread_ts <> r.ts
              and not r.is_bot and r.user_id is not null and not coalesce(u.is_bot, false)
              and exists (
                  select 1 from alerts a join messages m using (team_id, channel_id, ts)
                  where a.team_id = r.team_id and a.channel_id = r.channel_id and a.ts = r.thread_ts
                  union all
                  select 1 from messages m join alerts a using (team_id, channel_id, ts)
                  where m.team_id = r.team_id and m.channel_id = r.channel_id and m.thread_ts = r.thread_ts)
            order by r.posted_at, r.ts""",
        {**viewer.params(), "channel_id": channel_id, "since": since, "until": until},
    )


async def claim(conn: Connection, team_id: str, channel_id: str, due_at: datetime, *, lock: str) -> bool:
    """Take the report of a channel that is due at a moment; False when it is posted, or somebody makes it.

    What was taken and not posted is taken again when no job of its lock waits or runs: its job gave up. A minute is
    left to whoever took it, since a job that was enqueued just now may not be seen yet.
    """
    taken = await db.execute(
        conn,
        """insert into report_runs as r (team_id, channel_id, due_at) values (%(team_id)s, %(channel_id)s, %(due_at)s)
           on conflict (team_id, channel_id, due_at) do update set claimed_at = now()
           where r.posted_at is null and r.claimed_at < now() - interval '1 minute'
             and not exists (select 1 from procrastinate_jobs j where j.task_name = 'report' and j.lock = %(lock)s
                               and j.status in ('todo', 'doing'))""",
        {"team_id": team_id, "channel_id": channel_id, "due_at": due_at, "lock": lock},
    )
    return taken == 1


async def set_posted(conn: Connection, team_id: str, channel_id: str, due_at: datetime) -> None:
    """A report stands in its channel."""
    await conn.execute(
        "update report_runs set posted_at = now() where team_id = %s and channel_id = %s and due_at = %s",
        (team_id, channel_id, due_at),
    )


async def open_turn(conn: Connection, turn_id: UUID, team_id: str, channel_id: str, said: str) -> None:
    """The turn that a report's posts belong to; unchanged when it is there already."""
    await conn.execute(
        """insert into turns (turn_id, team_id, channel_id, requester_id, source, question, status, answer,
                              started_at, ended_at)
           values (%s, %s, %s, '', 'step', '', 'answered', %s, now(), now()) on conflict (turn_id) do nothing""",
        (turn_id, team_id, channel_id, said),
    )


@dataclass(frozen=True)
class Picture:
    """The picture of a report: Slack's id of the file, and whether it is to be seen.

    ``age_seconds`` says how long ago Slack was asked to share it.
    """

    state: Literal["uploading", "shared", "refused"]
    file_id: str
    age_seconds: float


async def get_picture(conn: Connection, turn_id: UUID, part: str = "") -> Picture | None:
    """The picture that goes with a turn's answer, or its file of another ``part``, if its upload was begun."""
    return await db.fetch_one(
        conn,
        Picture,
        """select state, file_id, extract(epoch from clock_timestamp() - at)::float8 as age_seconds
           from report_pictures where turn_id = %s and part = %s""",
        (turn_id, part),
    )


async def set_uploading(conn: Connection, turn_id: UUID, file_id: str, part: str = "") -> None:
    """About to share this file: from here on its outcome is doubtful until it is recorded."""
    await conn.execute(
        """insert into report_pictures (turn_id, part, file_id) values (%s, %s, %s)
           on conflict (turn_id, part) do update set file_id = excluded.file_id, state = 'uploading', at = now()""",
        (turn_id, part, file_id),
    )


async def settle_picture(conn: Connection, turn_id: UUID, part: str = "", *, error: str | None = None) -> None:
    """The picture is shared, or with an error: Slack refuses it for good."""
    await conn.execute(
        """update report_pictures set state = %(state)s, error = %(error)s,
                  shared_at = case when %(state)s = 'shared' then now() end
           where turn_id = %(turn_id)s and part = %(part)s""",
        {"turn_id": turn_id, "part": part, "error": error, "state": "refused" if error else "shared"},
    )
