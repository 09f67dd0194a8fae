"""What messages report about alerts; written with the message, in its transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Json

from storage import db
from storage.access import VISIBLE, Viewer
from storage.db import Connection
from storage.messages import AlertAction, MessageFilter, NewAlert, NewMessage


@dataclass(frozen=True)
class AlertCount:
    """How often an alert fired and resolved in a window.

    ``service`` is None where it fired for several. ``last_at`` is when it fired last (where it did not fire: when it
    resolved); ``permalinks`` lead to its newest firings, at most 3.
    """

    alert: str
    service: str | None
    fired: int
    resolved: int
    first_at: datetime
    last_at: datetime
    permalinks: list[str]


@dataclass(frozen=True)
class Incident:
    """From an alert's first firing to the message that closes it; ``closed_at`` None: it is still open.

    ``duration`` is what the closing message states, else the time between the two messages.
    """

    channel_id: str
    channel_name: str
    fingerprint: str
    alert: str
    service: str | None
    priority: str | None
    fired: int
    opened_at: datetime
    closed_at: datetime | None
    duration: timedelta | None
    permalink: str


@dataclass(frozen=True)
class Unsettled:
    """A bot's message that is to be read once more, and whether the built-in reading found alerts in it."""

    channel_id: str
    ts: str
    author: str
    text: str
    posted_at: datetime
    edited_ts: str | None
    alert_action: AlertAction


@dataclass(frozen=True)
class Reported:
    """A message's overall action, its link, and the alerts that it reports, what opens first."""

    action: AlertAction
    permalink: str
    alerts: list[NewAlert]


@dataclass(frozen=True)
class _Head:
    alert_action: AlertAction
    permalink: str


COLUMNS = """team_id, channel_id, ts, fingerprint, action, alert, service, priority, duration, parser, confidence, at"""


def _rows(messages: Sequence[NewMessage]) -> list[dict[str, Any]]:
    return [
        {
            **alert.__dict__,
            "team_id": message.team_id,
            "channel_id": message.channel_id,
            "ts": message.ts,
            "duration": f"{alert.duration.total_seconds()} seconds" if alert.duration else None,
            "at": message.said_at.isoformat(),
        }
        for message in messages
        for alert in message.alerts
    ]


async def insert_all(conn: Connection, arrived: Sequence[NewMessage], new: Collection[tuple[str, str]]) -> None:
    """Store what messages report.

    A message that comes after its own edit adds only what the edit speaks of too: that it fired before it resolved.
    Of one that was read before, nothing is stored again, since another reading may have taken the first one's place.

    Args:
        conn: inside a transaction.
        arrived: the messages, stored already.
        new: those that were not before, as (channel, ts).
    """
    rows = _rows(arrived)
    if rows:
        await conn.execute(
            f"""insert into alerts ({COLUMNS})
                select r.team_id, r.channel_id, r.ts, r.fingerprint, r.action, r.alert, r.service, r.priority,
                       r.duration, r.parser, r.confidence, r.at
                from json_populate_recordset(null::alerts, %(rows)s) r join messages m using (team_id, channel_id, ts)
                where m.deleted_at is null and (r.channel_id || ' ' || r.ts = any(%(new)s)
                    or m.edited_ts is not null and exists (
                        select 1 from alerts a where a.team_id = r.team_id and a.channel_id = r.channel_id
                          and a.ts = r.ts and a.fingerprint = r.fingerprint))
                on conflict do nothing""",
            {"rows": Json(rows), "new": [f"{channel_id} {ts}" for channel_id, ts in new]},
        )


async def apply_edit(conn: Connection, message: NewMessage, *, keep: Sequence[str] = ()) -> None:
    """Store what a message's newest form reports; call it after ``messages.apply_edit``.

    What it said before stays where it is about the same alert: an alert that fired and then resolved did both. What
    the message speaks of no more goes, except what the parsers ``keep`` read.
    """
    values = {
        "team_id": message.team_id,
        "channel_id": message.channel_id,
        "ts": message.ts,
        "edited_ts": message.edited_ts,
        "fingerprints": [alert.fingerprint for alert in message.alerts],
        "keep": list(keep),
    }
    newest = await db.fetch_value(
        conn,
        """select 1 from messages where team_id = %(team_id)s and channel_id = %(channel_id)s and ts = %(ts)s
             and deleted_at is null and coalesce(edited_ts, '0')::numeric = coalesce(%(edited_ts)s, '0')::numeric""",
        values,
    )
    if not newest:
        return
    await conn.execute(
        """delete from alerts where team_id = %(team_id)s and channel_id = %(channel_id)s and ts = %(ts)s
             and fingerprint <> all(%(fingerprints)s) and parser <> all(%(keep)s)""",
        values,
    )
    rows = _rows([message])
    if rows:
        await conn.execute(
            f"insert into alerts ({COLUMNS}) select {COLUMNS} from json_populate_recordset(null::alerts, %s) "
            "on conflict do nothing",
            (Json(rows),),
        )


async def unsettled(conn: Connection, team_id: str, channel_id: str, ts: str) -> Unsettled | None:
    """A bot's message to read once more; None when it is gone."""
    return await db.fetch_one(
        conn,
        Unsettled,
        """select channel_id, ts, author, text, posted_at, edited_ts, alert_action from messages
           where team_id = %s and channel_id = %s and ts = %s and deleted_at is null and is_bot""",
        (team_id, channel_id, ts),
    )


async def settle(
    conn: Connection, team_id: str, message: Unsettled, action: AlertAction, found: Sequence[NewAlert]
) -> None:
    """Let another reading of a message take the place of the built-in one, unless the message was edited since."""
    read = NewMessage(
        team_id=team_id,
        channel_id=message.channel_id,
        ts=message.ts,
        thread_ts=None,
        user_id=None,
        bot_id=None,
        author=message.author,
        is_bot=True,
        text=message.text,
        edited_ts=message.edited_ts,
        alerts=tuple(found),
    )
    changed = await db.execute(
        conn,
        """update messages set alert_action = %(action)s
           where team_id = %(team_id)s and channel_id = %(channel_id)s and ts = %(ts)s and deleted_at is null
             and edited_ts is not distinct from %(edited_ts)s""",
        {
            "action": action,
            "team_id": team_id,
            "channel_id": message.channel_id,
            "ts": message.ts,
            "edited_ts": message.edited_ts,
        },
    )
    if changed:
        await apply_edit(conn, read)


async def of_message(conn: Connection, viewer: Viewer, channel_id: str, ts: str) -> Reported | None:
    """What a message reports; None where the viewer may read no such message."""
    values = {**viewer.params(), "channel_id": channel_id, "ts": ts}
    head = await db.fetch_one(
        conn,
        _Head,
        f"""select m.alert_action, m.permalink
            from messages m join channels c on c.team_id = m.team_id and c.channel_id = m.channel_id
            where {VISIBLE} and m.channel_id = %(channel_id)s and m.ts = %(ts)s and m.deleted_at is null""",
        values,
    )
    if head is None:
        return None
    found = await db.fetch_all(
        conn,
        NewAlert,
        f"""select a.fingerprint, a.action, a.alert, a.service, a.priority, a.duration, a.parser, a.confidence
            from alerts a join channels c on c.team_id = a.team_id and c.channel_id = a.channel_id
            where {VISIBLE} and a.channel_id = %(channel_id)s and a.ts = %(ts)s
            order by a.action desc, a.alert, a.fingerprint""",
        values,
    )
    return Reported(head.alert_action, head.permalink, found)


async def count_alerts(conn: Connection, viewer: Viewer, where: MessageFilter, *, limit: int) -> list[AlertCount]:
    """Alerts of the window by how often they fired, most first; an edit counts when it was made."""
    conditions = replace(where, since=None, until=None).where()
    return await db.fetch_all(
        conn,
        AlertCount,
        f"""select a.alert, case when count(distinct a.service) = 1 then min(a.service) end as service,
                   count(*) filter (where a.action = 'open_incident')::int as fired,
                   count(*) filter (where a.action = 'close_incident')::int as resolved,
                   min(a.at) as first_at,
                   coalesce(max(a.at) filter (where a.action = 'open_incident'), max(a.at)) as last_at,
                   (array_agg(m.permalink order by a.action = 'open_incident' desc, a.at desc))[1:3] as permalinks
            from alerts a join messages m using (team_id, channel_id, ts)
            join channels c on c.team_id = m.team_id and c.channel_id = m.channel_id
            where {VISIBLE} and {conditions}
              and (%(since)s::timestamptz is null or a.at >= %(since)s)
              and (%(until)s::timestamptz is null or a.at < %(until)s)
            group by a.alert order by fired desc, a.alert limit %(limit)s""",
        {**viewer.params(), **where.params(), "limit": limit},
    )


async def count_firings(
    conn: Connection, viewer: Viewer, service: str | None, alert: str, since: datetime, until: datetime
) -> int:
    """How often an alert of a service fired in a window, each firing by its own time."""
    fired: int = await db.fetch_value(
        conn,
        f"""select count(*)::int from alerts a join messages m using (team_id, channel_id, ts)
            join channels c on c.team_id = m.team_id and c.channel_id = m.channel_id
            where {VISIBLE} and m.deleted_at is null and m.searchable and a.action = 'open_incident'
              and a.alert = %(alert)s and a.service is not distinct from %(service)s::text
              and a.at >= %(since)s and a.at < %(until)s""",
        {**viewer.params(), "service": service, "alert": alert, "since": since, "until": until},
    )
    return fired


async def incidents(
    conn: Connection,
    viewer: Viewer,
    *,
    channel_id: str | None = None,
    alert: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1000,
) -> list[Incident]:
    """Incidents that opened in the window, of one alert or of all, oldest first.

    Open and close of the same (channel, fingerprint) belong together; an alert that fires again before it is closed
    is the same incident. Where no close follows, a firing more than 24 hours after the one before begins a new
    incident, as in ``tools.toil.pair``. A close without an open counts where it states a duration.
    """
    return await db.fetch_all(
        conn,
        Incident,
        f"""with rounds as (
                select a.*, m.permalink, c.name as channel_name,
                       count(*) filter (where a.action = 'close_incident') over (
                           partition by a.channel_id, a.fingerprint
                           order by a.at, a.action = 'close_incident', a.ts
                           rows between unbounded preceding and 1 preceding) as round
                from alerts a join messages m using (team_id, channel_id, ts)
                join channels c on c.team_id = m.team_id and c.channel_id = m.channel_id
                where {VISIBLE} and m.deleted_at is null and m.searchable
                  and (%(channel_id)s::text is null or m.channel_id = %(channel_id)s)
                  and (%(alert)s::text is null or a.alert = %(alert)s)
            ), gaps as (
                select *, bool_or(action = 'close_incident') over (partition by channel_id, fingerprint, round)
                              as is_closed,
                       at - lag(at) over (partition by channel_id, fingerprint, round
                                          order by at, action = 'close_incident', ts)
                           > interval '24 hours' as is_late
                from rounds
            ), chains as (
                select *, count(*) filter (where is_late and not is_closed) over (
                              partition by channel_id, fingerprint, round
                              order by at, action = 'close_incident', ts
                              rows between unbounded preceding and current row) as chain
                from gaps
            ), paired as (
                select channel_id, channel_name, fingerprint, min(alert) as alert, min(service) as service,
                       min(priority) as priority,
                       count(*) filter (where action = 'open_incident')::int as fired,
                       coalesce(min(at) filter (where action = 'open_incident'),
                                max(at) - max(duration) filter (where action = 'close_incident')) as opened_at,
                       max(at) filter (where action = 'close_incident') as closed_at,
                       max(duration) filter (where action = 'close_incident') as stated,
                       (array_agg(permalink order by at, action desc))[1] as permalink
                from chains group by channel_id, channel_name, fingerprint, round, chain
            )
            select channel_id, channel_name, fingerprint, alert, service, priority, fired, opened_at, closed_at,
                   coalesce(stated, closed_at - opened_at) as duration, permalink
            from paired
            where opened_at is not null and (%(since)s::timestamptz is null or opened_at >= %(since)s)
              and (%(until)s::timestamptz is null or opened_at < %(until)s)
            order by opened_at, channel_id, fingerprint limit %(limit)s""",
        {
            **viewer.params(),
            "channel_id": channel_id,
            "alert": alert,
            "since": since,
            "until": until,
            "limit": limit,
        },
    )
