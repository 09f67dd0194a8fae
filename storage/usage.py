"""Every model call, and the sums that a usage report is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg.types.json import Json

from storage import db
from storage.access import VISIBLE, WORKSPACE_WIDE, Viewer
from storage.db import Connection


@dataclass(frozen=True)
class ModelCall:
    """One call; sizes in characters, latency in milliseconds, cost in US dollars."""

    turn_id: UUID | None
    team_id: str
    channel_id: str
    requester_id: str
    module: str
    model: str
    input_chars: int
    output_chars: int
    prompt_tokens: int
    output_tokens: int
    cost: Decimal
    latency_ms: int
    error: str | None


@dataclass(frozen=True)
class ModelSum:
    """A model's calls in a window."""

    model: str
    requests: int
    prompt_tokens: int
    output_tokens: int
    cost: Decimal


@dataclass(frozen=True)
class ModuleSum:
    """A module's model calls and posts in a window."""

    module: str
    requests: int
    posts: int


@dataclass(frozen=True)
class ChannelSum:
    """Messages and feedback of one channel in a window."""

    channel_id: str
    name: str
    messages: int
    answers: int
    thumbs_up: int
    thumbs_down: int


# Who says what of which answer, by the button or by a reaction in whatever skin tone. The button counts before the
# reactions of the same person, and a reaction to several parts of an answer counts once.
OPINIONS = """
    answered as (
        select c.channel_id, p.turn_id, m.attrs
        from channels c
        join messages m on m.team_id = c.team_id and m.channel_id = c.channel_id and m.deleted_at is null
          and m.posted_at >= %(since)s and m.posted_at < %(until)s
        join posts p on p.channel_id = m.channel_id and p.ts = m.ts
        where c.team_id = %(team_id)s
    ), opinions as (
        select a.channel_id, a.turn_id, v.user_id, v.good from answered a join answer_votes v using (turn_id)
        union
        select a.channel_id, a.turn_id, who, split_part(r.name, '::', 1) = '+1'
        from answered a, jsonb_each(coalesce(a.attrs -> 'reactions', '{}')) as r (name, users),
             jsonb_array_elements_text(r.users) as who
        where split_part(r.name, '::', 1) in ('+1', '-1')
          and not exists (select 1 from answer_votes v where v.turn_id = a.turn_id and v.user_id = who)
    ), thumbs as (
        select channel_id, count(*) filter (where good) as up, count(*) filter (where not good) as down
        from opinions group by channel_id
    )"""


INSERT = """
    insert into model_usage (turn_id, team_id, channel_id, requester_id, module, model, input_chars,
                             output_chars, prompt_tokens, output_tokens, cost, latency_ms, error)
    select turn_id, team_id, channel_id, requester_id, module, model, input_chars,
           output_chars, prompt_tokens, output_tokens, cost, latency_ms, error
    from json_populate_recordset(null::model_usage, %(calls)s)"""


def as_json(calls: Sequence[ModelCall]) -> Json:
    """What ``INSERT`` binds as ``calls``."""
    return Json(
        [{**call.__dict__, "turn_id": str(call.turn_id) if call.turn_id else None, "cost": str(call.cost)}
         for call in calls]
    )  # fmt: skip


async def insert(conn: Connection, call: ModelCall) -> None:
    """Record one model call."""
    await conn.execute(INSERT, {"calls": as_json([call])})


async def sum_models(conn: Connection, viewer: Viewer, since: datetime, until: datetime) -> list[ModelSum]:
    """Model calls of a workspace, by model; none where the workspace is not for everyone's eyes."""
    return await db.fetch_all(
        conn,
        ModelSum,
        f"""select model, count(*)::int as requests, coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
                  coalesce(sum(output_tokens), 0)::bigint as output_tokens, coalesce(sum(cost), 0) as cost
           from model_usage
           where team_id = %(team_id)s and at >= %(since)s and at < %(until)s and {WORKSPACE_WIDE}
           group by model order by requests desc, model""",
        {**viewer.params(), "since": since, "until": until},
    )


async def sum_modules(conn: Connection, viewer: Viewer, since: datetime, until: datetime) -> list[ModuleSum]:
    """Model calls and posts of a workspace, by module; none where the workspace is not for everyone's eyes."""
    return await db.fetch_all(
        conn,
        ModuleSum,
        f"""select module, sum(requests)::int as requests, sum(posts)::int as posts from (
               select module, 1 as requests, 0 as posts from model_usage
               where team_id = %(team_id)s and at >= %(since)s and at < %(until)s
               union all
               select p.module, 0, 1 from posts p join turns t using (turn_id)
               where t.team_id = %(team_id)s and p.posted_at >= %(since)s and p.posted_at < %(until)s
           ) as both_kinds where {WORKSPACE_WIDE} group by module order by requests desc, module""",
        {**viewer.params(), "since": since, "until": until},
    )


async def sum_channels(conn: Connection, viewer: Viewer, since: datetime, until: datetime) -> list[ChannelSum]:
    """Messages, answers and what people say of these, for each channel that the viewer may read here."""
    return await db.fetch_all(
        conn,
        ChannelSum,
        f"""with {OPINIONS}
            select c.channel_id, c.name, count(m.ts)::int as messages, count(p.post_id)::int as answers,
                   coalesce(max(thumbs.up), 0)::int as thumbs_up, coalesce(max(thumbs.down), 0)::int as thumbs_down
            from channels c
            join messages m on m.team_id = c.team_id and m.channel_id = c.channel_id and m.deleted_at is null
              and m.posted_at >= %(since)s and m.posted_at < %(until)s
            left join posts p on p.channel_id = m.channel_id and p.ts = m.ts
            left join thumbs on thumbs.channel_id = c.channel_id
            where {VISIBLE}
            group by c.channel_id, c.name order by messages desc, c.name""",
        {**viewer.params(), "since": since, "until": until},
    )
