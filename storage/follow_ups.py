"""Which replies of a thread are meant for Ratchet without saying so: decided from what is stored when they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from storage import db
from storage.db import Connection

# A delivery that comes later than this many seconds was held back: nobody waits for an answer to it any more.
YOUNG_SECONDS = 300


@dataclass(frozen=True)
class Reply:
    """A person's reply in a thread; ``called`` is the name that it begins with, as one calls somebody, if any."""

    channel_id: str
    thread_ts: str
    ts: str
    user_id: str
    called: str | None


@dataclass(frozen=True)
class FollowUp:
    """A reply that follows up Ratchet's last answer of its thread, where the channel wants that."""

    channel_id: str
    channel_name: str
    ts: str


CHOOSE = f"""
select c.channel_id, c.name as channel_name, r.ts
from jsonb_to_recordset(%(replies)s) as r(channel_id text, thread_ts text, ts text, user_id text, called text)
join channels c on c.team_id = %(team_id)s and c.channel_id = r.channel_id and c.kind <> 'im'
cross join lateral (
    select p.ts from turns t join posts p using (turn_id)
    where t.team_id = c.team_id and t.channel_id = c.channel_id and t.thread_ts = r.thread_ts
      and t.source <> 'step' and t.status = 'answered'
      and p.module = 'agent' and p.channel_id = c.channel_id and p.ts::numeric < r.ts::numeric
    order by p.ts::numeric desc limit 1) as last
where r.ts::numeric - last.ts::numeric <= %(seconds)s
  and r.ts::numeric > extract(epoch from now()) - {YOUNG_SECONDS}
  -- somebody whom Ratchet answered there
  and exists (
      select 1 from turns t
      where t.team_id = c.team_id and t.channel_id = c.channel_id and t.thread_ts = r.thread_ts
        and t.requester_id = r.user_id and t.source <> 'step' and t.status = 'answered')
  -- people do not talk to each other there
  and not exists (
      select 1 from messages m
      where m.team_id = c.team_id and m.channel_id = c.channel_id and m.thread_ts = r.thread_ts
        and m.ts::numeric > greatest(last.ts::numeric, r.ts::numeric - %(quiet_seconds)s)
        and m.ts::numeric < r.ts::numeric and not m.is_bot and m.deleted_at is null
        and (m.user_id <> r.user_id or (m.searchable and m.text ~ '(^|[[:space:](])@[[:alnum:]]')))
  -- the last answer was no bad one
  and not exists (
      select 1 from messages m
      where m.team_id = c.team_id and m.channel_id = c.channel_id and m.ts = last.ts
        and m.attrs -> 'reactions' ? '-1')
  and (r.called is null or not exists (
      select 1 from users u
      where u.team_id = c.team_id and u.user_id <> %(bot_user_id)s
        and lower(r.called) = any(lower(u.name) || regexp_split_to_array(lower(u.name), '[ ._-]+'))))"""


async def choose(
    conn: Connection, team_id: str, replies: Sequence[Reply], *, bot_user_id: str, seconds: float, quiet_seconds: float
) -> list[FollowUp]:
    """Inside the transaction that stores them: those of the replies that follow up an answer of Ratchet.

    Args:
        conn: a connection.
        team_id: the workspace.
        replies: that name nobody and say something.
        bot_user_id: Ratchet itself, which may be called by its name.
        seconds: for how long after an answer replies follow it up.
        quiet_seconds: for how long only mentions count once people talk to each other.
    """
    return await db.fetch_all(
        conn,
        FollowUp,
        CHOOSE,
        {
            "team_id": team_id,
            "replies": Jsonb([reply.__dict__ for reply in replies]),
            "bot_user_id": bot_user_id,
            "seconds": seconds,
            "quiet_seconds": quiet_seconds,
        },
    )
