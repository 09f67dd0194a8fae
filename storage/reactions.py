"""Reactions, also those that come before their message: Slack delivers in no order."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from storage import messages
from storage.db import Connection

Reactions = Mapping[str, Collection[str]]


async def record(
    conn: Connection, team_id: str, channel_id: str, ts: str, *, user_id: str, name: str, added: bool
) -> None:
    """Add or take one user's reaction, or keep it until its message is there."""
    if await messages.add_reaction(conn, team_id, channel_id, ts, user_id=user_id, name=name, added=added):
        return
    await conn.execute(
        """insert into early_reactions (team_id, channel_id, ts, user_id, name, added) values (%s, %s, %s, %s, %s, %s)
           on conflict (team_id, channel_id, ts, user_id, name) do update
           set added = excluded.added, arrived_at = now()""",
        (team_id, channel_id, ts, user_id, name, added),
    )


async def apply_early(conn: Connection, team_id: str, timestamps: Collection[str] | None = None) -> None:
    """Give the reactions that came early to their messages, where those are there now.

    Args:
        conn: the database.
        team_id: the workspace.
        timestamps: of the messages to look at; default all.
    """
    cur = await conn.execute(
        """delete from early_reactions e using messages m
           where e.team_id = %(team_id)s and (%(all)s or e.ts = any(%(timestamps)s))
             and m.team_id = e.team_id and m.channel_id = e.channel_id and m.ts = e.ts
           returning e.channel_id, e.ts, e.user_id, e.name, e.added, m.deleted_at is null""",
        {"team_id": team_id, "all": timestamps is None, "timestamps": list(timestamps or ())},
    )
    for channel_id, ts, user_id, name, added, stands in await cur.fetchall():
        if stands:
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
    """Forget reactions whose message never came."""
    await conn.execute("delete from early_reactions where arrived_at < now() - make_interval(days => %s)", (days,))
