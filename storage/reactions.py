"""Reactions, also those that come before their message or in the wrong order: Slack delivers in no order."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from storage import db, messages
from storage.db import Connection

Reactions = Mapping[str, Collection[str]]


async def record(
    conn: Connection,
    team_id: str,
    channel_id: str,
    ts: str,
    *,
    user_id: str,
    name: str,
    added: bool,
    event_ts: str | None = None,
) -> None:
    """Add or take one user's reaction, or keep it until its message is there.

    What happened (``event_ts``) before what is known of this user's reaction changes nothing.
    """
    key = {"team_id": team_id, "channel_id": channel_id, "ts": ts, "user_id": user_id, "name": name}
    is_newest = await db.execute(
        conn,
        """insert into reaction_events as e (team_id, channel_id, ts, user_id, name, added, event_ts)
           values (%(team_id)s, %(channel_id)s, %(ts)s, %(user_id)s, %(name)s, %(added)s, %(event_ts)s)
           on conflict (team_id, channel_id, ts, user_id, name) do update
           set added = excluded.added, event_ts = coalesce(excluded.event_ts, e.event_ts), applied = false,
               arrived_at = now()
           where coalesce(excluded.event_ts::numeric >= e.event_ts::numeric, true)""",
        {**key, "added": added, "event_ts": event_ts},
    )
    if is_newest and await messages.add_reaction(
        conn, team_id, channel_id, ts, user_id=user_id, name=name, added=added
    ):
        await conn.execute(
            """update reaction_events set applied = true where team_id = %(team_id)s and channel_id = %(channel_id)s
               and ts = %(ts)s and user_id = %(user_id)s and name = %(name)s""",
            key,
        )


async def apply_early(conn: Connection, team_id: str, timestamps: Collection[str] | None = None) -> None:
    """Give the reactions that came early to their messages, where those are there now.

    Args:
        conn: the database.
        team_id: the workspace.
        timestamps: of the messages to look at; default all.
    """
    params = {"team_id": team_id, "all": timestamps is None, "timestamps": list(timestamps or ())}
    there = """not e.applied and e.team_id = %(team_id)s and (%(all)s or e.ts = any(%(timestamps)s))
               and m.team_id = e.team_id and m.channel_id = e.channel_id and m.ts = e.ts"""
    await conn.execute(
        f"delete from reaction_events e using messages m where {there} and m.deleted_at is not null", params
    )
    cur = await conn.execute(
        f"""update reaction_events e set applied = true from messages m where {there}
            returning e.channel_id, e.ts, e.user_id, e.name, e.added""",
        params,
    )
    for channel_id, ts, user_id, name, added in await cur.fetchall():
        await messages.add_reaction(conn, team_id, channel_id, ts, user_id=user_id, name=name, added=added)


async def add_missing(conn: Connection, team_id: str, channel_id: str, told: Mapping[str, Reactions]) -> None:
    """Add what messages were found to have (by ts, then by name) to messages that are stored already.

    None is taken away: Slack names only some of those who reacted.
    """
    cur = await conn.execute(
        """select ts, coalesce(attrs -> 'reactions', '{}') from messages
           where team_id = %s and channel_id = %s and ts = any(%s) and deleted_at is null""",
        (team_id, channel_id, list(told)),
    )
    for ts, known in await cur.fetchall():
        for name, users in told[ts].items():
            for user_id in users:
                if user_id not in known.get(name, ()):
                    await messages.add_reaction(conn, team_id, channel_id, ts, user_id=user_id, name=name, added=True)


async def prune(conn: Connection, *, days: int) -> None:
    """Forget reactions whose message never came, and in what order the others came."""
    await conn.execute("delete from reaction_events where arrived_at < now() - make_interval(days => %s)", (days,))
