"""The alerts that messages name, and what people wrote in their threads. The access rule stands in every statement."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage import db
from storage.access import VISIBLE, Viewer
from storage.db import Connection

MOST_THREADS = 20
MOST_REPLIES = 100  # of one thread, the newest
MOST_MESSAGES = 400
MOST_NAMES = 2000


@dataclass(frozen=True)
class AlertName:
    """An alert as messages name it; ``service`` is empty where they name none.

    The service bears no port, number or pod hash: its copies share a runbook (``runbook_service`` in the schema).
    """

    service: str
    alert: str

    def __str__(self) -> str:
        return f"{self.service}/{self.alert}" if self.service else self.alert


@dataclass(frozen=True)
class TriageMessage:
    """What a person wrote in the thread of an alert; ``thread_ts`` is the thread's."""

    channel_id: str
    channel_kind: str
    ts: str
    thread_ts: str
    author: str
    text: str
    permalink: str
    posted_at: datetime


@dataclass(frozen=True)
class DiscussedThread:
    """A thread in which people wrote so many replies; ``permalink`` is that of its first message."""

    channel_id: str
    thread_ts: str
    permalink: str
    replies: int


def audience_of(triage: Sequence[TriageMessage]) -> str:
    """The channel to whose members alone a runbook out of these messages may be shown; empty: to everyone.

    Messages that one place may show stand in public channels and in at most one other.
    """
    return next((message.channel_id for message in triage if message.channel_kind != "public"), "")


def digest_of(triage: Sequence[TriageMessage]) -> str:
    """The same for the same messages with the same texts, in whatever order."""
    rows = sorted((message.channel_id, message.ts, message.text) for message in triage)
    return hashlib.sha256("\x00".join(part for row in rows for part in row).encode()).hexdigest()


# What a person wrote in a thread, not asking Ratchet. A thread is an alert's when any message of it reports the alert.
REPLY = "r.ts <> r.thread_ts and not r.is_bot and r.searchable and r.deleted_at is null and r.text <> ''"
DISCUSSED = f"""(exists (
    select 1 from messages r
    where r.team_id = a.team_id and r.channel_id = a.channel_id and r.thread_ts = coalesce(am.thread_ts, am.ts)
      and {REPLY}))"""


async def load_triage(
    conn: Connection, viewer: Viewer, name: AlertName, *, before_ts: str | None = None
) -> list[TriageMessage]:
    """What people wrote in the threads of an alert, the newest thread first and each from its beginning.

    Bots, Ratchet and what is asked of it are left out. At most 20 threads, the newest 100 messages of each, and 400
    messages in all: the end of a thread tells what helped.

    Args:
        conn: a connection.
        viewer: who reads; ``Viewer.everyone_in`` for what is posted unasked.
        name: the alert.
        before_ts: only threads that began before this message.
    """
    return await db.fetch_all(
        conn,
        TriageMessage,
        f"""with threads as materialized (
                select distinct a.team_id, a.channel_id, coalesce(am.thread_ts, am.ts) as thread_ts,
                       coalesce(am.thread_ts, am.ts)::numeric as began, c.kind
                from alerts a join messages am using (team_id, channel_id, ts)
                join channels c using (team_id, channel_id)
                where {VISIBLE} and a.team_id = %(team_id)s and a.alert = %(alert)s
                  and runbook_service(a.service) = %(service)s and am.deleted_at is null and {DISCUSSED}
                  and (%(before_ts)s::text is null or coalesce(am.thread_ts, am.ts)::numeric < %(before_ts)s::numeric)
                order by began desc limit %(threads)s
            )
            select t.channel_id, t.kind as channel_kind, t.ts, t.thread_ts, coalesce(u.name, t.author) as author,
                   t.text, t.permalink, t.posted_at
            from (
                select threads.*, newest.ts, newest.author, newest.user_id, newest.text, newest.permalink,
                       newest.posted_at
                from threads cross join lateral (
                    select r.ts, r.author, r.user_id, r.text, r.permalink, r.posted_at from messages r
                    where r.team_id = threads.team_id and r.channel_id = threads.channel_id
                      and r.thread_ts = threads.thread_ts and {REPLY}
                    order by r.ts::numeric desc limit %(replies)s
                ) as newest
                order by threads.began desc, threads.channel_id, newest.ts::numeric desc limit %(messages)s
            ) as t
            left join users u on u.team_id = t.team_id and u.user_id = t.user_id
            order by t.began desc, t.channel_id, t.ts::numeric""",
        {
            **viewer.params(),
            "service": name.service,
            "alert": name.alert,
            "before_ts": before_ts,
            "threads": MOST_THREADS,
            "replies": MOST_REPLIES,
            "messages": MOST_MESSAGES,
        },
    )


async def list_names(conn: Connection, viewer: Viewer) -> list[AlertName]:
    """The alerts that a viewer may see here, those that came last first; at most 2,000."""
    return await db.fetch_all(
        conn,
        AlertName,
        f"""select runbook_service(a.service) as service, a.alert
            from alerts a join channels c using (team_id, channel_id)
            where {VISIBLE} group by 1, 2 order by max(a.at) desc limit {MOST_NAMES}""",
        viewer.params(),
    )


async def name_of(conn: Connection, service: str | None, alert: str) -> AlertName:
    """The name under which an alert has its runbook."""
    return AlertName(await db.fetch_value(conn, "select runbook_service(%s)", (service,)), alert)


async def opened_by(conn: Connection, team_id: str, channel_id: str, ts: str) -> list[AlertName]:
    """The alerts that a message opens, by name."""
    return await db.fetch_all(
        conn,
        AlertName,
        """select distinct runbook_service(service) as service, alert from alerts
           where team_id = %s and channel_id = %s and ts = %s and action = 'open_incident' order by 2, 1""",
        (team_id, channel_id, ts),
    )


async def earlier_threads(
    conn: Connection, viewer: Viewer, name: AlertName, *, before_ts: str, limit: int
) -> list[DiscussedThread]:
    """Threads of an alert that began before a message and in which people wrote, newest first."""
    return await db.fetch_all(
        conn,
        DiscussedThread,
        f"""select t.channel_id, t.thread_ts, coalesce(first.permalink, '') as permalink, count(*)::int as replies
            from (
                select distinct a.team_id, a.channel_id, coalesce(am.thread_ts, am.ts) as thread_ts
                from alerts a join messages am using (team_id, channel_id, ts)
                join channels c using (team_id, channel_id)
                where {VISIBLE} and a.team_id = %(team_id)s and a.alert = %(alert)s
                  and runbook_service(a.service) = %(service)s and am.deleted_at is null
                  and coalesce(am.thread_ts, am.ts)::numeric < %(before_ts)s::numeric
            ) as t
            join messages r on r.team_id = t.team_id and r.channel_id = t.channel_id and r.thread_ts = t.thread_ts
            left join messages first on first.team_id = t.team_id and first.channel_id = t.channel_id
              and first.ts = t.thread_ts
            where {REPLY} group by t.channel_id, t.thread_ts, first.permalink
            order by t.thread_ts::numeric desc limit %(limit)s""",
        {
            **viewer.params(),
            "service": name.service,
            "alert": name.alert,
            "before_ts": before_ts,
            "limit": limit,
        },
    )
