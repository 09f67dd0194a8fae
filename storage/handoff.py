"""What a shift leaves to the next one: questions that nobody answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from storage import db
from storage.access import VISIBLE, Viewer
from storage.db import Connection


@dataclass(frozen=True)
class OpenTurn:
    """A question to Ratchet without an answer; ``permalink`` is empty where the message is not stored."""

    question: str
    asked_by: str
    status: str
    error: str | None
    asked_at: datetime
    permalink: str


@dataclass(frozen=True)
class OpenQuestion:
    """A person's question to the channel that nobody replied to."""

    text: str
    author: str
    asked_at: datetime
    permalink: str


async def list_open_turns(
    conn: Connection, viewer: Viewer, channel_id: str, since: datetime, until: datetime, *, limit: int
) -> list[OpenTurn]:
    """Questions to Ratchet in a channel that wait or failed, oldest first; not the one that is being answered there."""
    return await db.fetch_all(
        conn,
        OpenTurn,
        f"""select t.question, coalesce(u.name, t.requester_id) as asked_by, t.status, t.error,
                   coalesce(m.posted_at, t.created_at) as asked_at, coalesce(m.permalink, '') as permalink
            from turns t
            join channels c on c.team_id = t.team_id and c.channel_id = t.channel_id
            left join messages m on m.team_id = t.team_id and m.channel_id = t.channel_id and m.ts = t.message_ts
            left join users u on u.team_id = t.team_id and u.user_id = t.requester_id
            where {VISIBLE} and t.channel_id = %(channel_id)s and t.source <> 'step' and not t.aside
              and m.deleted_at is null
              and coalesce(m.posted_at, t.created_at) >= %(since)s and coalesce(m.posted_at, t.created_at) < %(until)s
              and (t.status in ('queued', 'failed')
                   or (t.status = 'running' and t.started_at < now() - interval '15 minutes'))
            order by asked_at limit %(limit)s""",
        {**viewer.params(), "channel_id": channel_id, "since": since, "until": until, "limit": limit},
    )


async def list_open_questions(
    conn: Connection, viewer: Viewer, channel_id: str, since: datetime, until: datetime, *, limit: int
) -> list[OpenQuestion]:
    """People's top-level questions without a reply by another person or by Ratchet, oldest first.

    A question has a question mark at the end of a word. What was asked of Ratchet is not among them.
    """
    return await db.fetch_all(
        conn,
        OpenQuestion,
        f"""select m.text, coalesce(u.name, m.author) as author, m.posted_at as asked_at, m.permalink
            from messages m
            join channels c on c.team_id = m.team_id and c.channel_id = m.channel_id
            left join users u on u.team_id = m.team_id and u.user_id = m.user_id
            where {VISIBLE} and m.channel_id = %(channel_id)s and m.deleted_at is null and m.searchable
              and not m.is_bot and m.user_id is not null and (m.thread_ts is null or m.thread_ts = m.ts)
              and m.posted_at >= %(since)s and m.posted_at < %(until)s
              and m.text ~ '\\w[)"'']*\\?+([\\s)"'']|$)'
              and not exists (
                  select 1 from messages r
                  where r.team_id = m.team_id and r.channel_id = m.channel_id and r.thread_ts = m.ts and r.ts <> m.ts
                    and r.deleted_at is null and r.posted_at < %(until)s
                    and ((not r.is_bot and r.user_id <> m.user_id)
                         or exists (select 1 from posts p where p.channel_id = r.channel_id and p.ts = r.ts)))
            order by m.posted_at limit %(limit)s""",
        {**viewer.params(), "channel_id": channel_id, "since": since, "until": until, "limit": limit},
    )
