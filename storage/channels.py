"""Channels, people, and who is in what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.types.json import Json

from storage import db
from storage.access import VISIBLE, Viewer, barred
from storage.db import Connection

ChannelKind = Literal["public", "private", "im", "mpim"]


@dataclass(frozen=True)
class Channel:
    """A channel as Ratchet knows it; ``user_id`` is the other side of an im.

    ``shared``: people of other organizations read it (Slack Connect).
    """

    team_id: str
    channel_id: str
    name: str
    kind: ChannelKind
    user_id: str | None
    topic: str
    onboarding_status: str
    shared: bool = False


@dataclass(frozen=True)
class NewChannel:
    """A channel that an event spoke of."""

    team_id: str
    channel_id: str
    kind: ChannelKind
    user_id: str | None = None


@dataclass(frozen=True)
class ChannelSummary:
    """A channel, and when something was last said there."""

    channel_id: str
    name: str
    kind: ChannelKind
    topic: str
    last_message_at: datetime | None


@dataclass(frozen=True)
class User:
    """A person or bot; guests and strangers (Slack Connect) have fewer rights, admins (and owners) more.

    ``age_seconds`` says how long ago Slack described them.
    """

    team_id: str
    user_id: str
    name: str
    is_bot: bool
    is_guest: bool
    is_stranger: bool
    is_admin: bool = False
    age_seconds: float = 0.0

    @property
    def is_outsider(self) -> bool:
        """Whether they are no full member of the workspace: a guest, or of another organization."""
        return self.is_guest or self.is_stranger


COLUMNS = "team_id, channel_id, name, kind, user_id, topic, onboarding_status, shared"


async def insert_unknown(conn: Connection, seen: Sequence[NewChannel]) -> set[str]:
    """Create channels that were never seen, and return their ids (their onboarding is then due).

    Channels that were forgotten stay out.
    """
    rows = sorted((channel.__dict__ for channel in seen), key=lambda row: str(row["channel_id"]))
    cur = await conn.execute(
        f"""insert into channels (team_id, channel_id, kind, user_id)
           select team_id, channel_id, kind, user_id from json_populate_recordset(null::channels, %s) as new
           where not {barred("new.team_id", "new.channel_id", ts="null")}
           on conflict (team_id, channel_id) do nothing returning channel_id""",
        (Json(rows),),
    )
    return {channel_id for (channel_id,) in await cur.fetchall()}


async def close_to_public(conn: Connection, team_id: str, channel_ids: list[str]) -> None:
    """Channels turn out to be private: from now on their messages are for members only."""
    await conn.execute(
        "update channels set kind = 'private' where team_id = %s and channel_id = any(%s) and kind = 'public'",
        (team_id, channel_ids),
    )


async def mark_shared(conn: Connection, team_id: str, channel_ids: list[str]) -> None:
    """Channels turn out to be read by other organizations: from now on they are shown nothing of other channels."""
    await conn.execute(
        "update channels set shared = true where team_id = %s and channel_id = any(%s) and not shared",
        (team_id, channel_ids),
    )


async def rename(conn: Connection, team_id: str, channel_id: str, name: str) -> None:
    """A channel has another name."""
    await conn.execute(
        "update channels set name = %s where team_id = %s and channel_id = %s", (name, team_id, channel_id)
    )


async def set_state(
    conn: Connection, team_id: str, channel_id: str, state: Literal["archived", "deleted"] | None
) -> None:
    """A channel was archived or deleted, or is open again (None); ``attrs.state`` says so."""
    await conn.execute(
        """update channels set attrs = jsonb_strip_nulls(attrs || jsonb_build_object('state', %s::text))
           where team_id = %s and channel_id = %s""",
        (state, team_id, channel_id),
    )


async def upsert(
    conn: Connection,
    team_id: str,
    channel_id: str,
    *,
    name: str,
    kind: ChannelKind,
    user_id: str | None,
    topic: str,
    shared: bool = False,
    creator_id: str | None = None,
) -> None:
    """Store what Slack says of a channel, unless it was forgotten; a creator who was forgotten is left out."""
    await conn.execute(
        f"""insert into channels (team_id, channel_id, name, kind, user_id, topic, shared, creator_id)
           select team_id, channel_id, name, kind, user_id, topic, shared,
                  case when not {barred("new.team_id", "new.creator_id", ts="0")} then creator_id end
           from (values (%s, %s, %s, %s, %s, %s, %s::boolean, %s::text))
               as new (team_id, channel_id, name, kind, user_id, topic, shared, creator_id)
           where not {barred("new.team_id", "new.channel_id", ts="null")}
           on conflict (team_id, channel_id) do update
           set name = excluded.name, kind = excluded.kind, topic = excluded.topic, shared = excluded.shared,
               user_id = coalesce(excluded.user_id, channels.user_id),
               creator_id = coalesce(excluded.creator_id, channels.creator_id)""",
        (team_id, channel_id, name, kind, user_id, topic, shared, creator_id),
    )


async def set_onboarding(conn: Connection, team_id: str, channel_id: str, status: str) -> None:
    """Move a channel's onboarding to ``started``, ``finished`` or ``failed``."""
    await conn.execute(
        "update channels set onboarding_status = %s where team_id = %s and channel_id = %s",
        (status, team_id, channel_id),
    )


async def get(conn: Connection, team_id: str, channel_id: str) -> Channel | None:
    """One channel by id."""
    return await db.fetch_one(
        conn,
        Channel,
        f"select {COLUMNS} from channels where team_id = %s and channel_id = %s",
        (team_id, channel_id),
    )


async def list_all(conn: Connection, team_id: str) -> list[Channel]:
    """Every known channel, whoever may see it; for operators and jobs."""
    return await db.fetch_all(
        conn, Channel, f"select {COLUMNS} from channels where team_id = %s order by name", (team_id,)
    )


async def first_team(conn: Connection) -> str | None:
    """The workspace that was seen first; a database usually holds one."""
    found: str | None = await db.fetch_value(conn, "select team_id from channels order by created_at limit 1")
    return found


async def find_visible(conn: Connection, viewer: Viewer, name_or_id: str) -> Channel | None:
    """The channel with this name (with or without ``#``) or id, if the viewer may read it here."""
    return await db.fetch_one(
        conn,
        Channel,
        f"select {COLUMNS} from channels c "
        f"where {VISIBLE} and (c.name = %(name)s or c.channel_id = %(id)s) order by c.kind limit 1",
        {**viewer.params(), "name": name_or_id.lstrip("#").lower(), "id": name_or_id.lstrip("#")},
    )


async def list_visible(conn: Connection, viewer: Viewer, *, limit: int = 200) -> list[ChannelSummary]:
    """The channels that the viewer may read here, those where something was said last first."""
    return await db.fetch_all(
        conn,
        ChannelSummary,
        f"""select c.channel_id, c.name, c.kind, c.topic, m.posted_at as last_message_at
            from channels c left join lateral (
                select posted_at from messages
                where team_id = c.team_id and channel_id = c.channel_id and deleted_at is null
                order by posted_at desc limit 1) as m on true
            where {VISIBLE}
            order by m.posted_at desc nulls last, c.name limit %(limit)s""",
        {**viewer.params(), "limit": limit},
    )


async def names_of_visible(conn: Connection, viewer: Viewer, channel_ids: Sequence[str]) -> dict[str, str]:
    """The names, by id, of those of the given channels that the viewer may read here."""
    cur = await conn.execute(
        f"select c.channel_id, c.name from channels c where {VISIBLE} and c.channel_id = any(%(channel_ids)s)",
        {**viewer.params(), "channel_ids": list(channel_ids)},
    )
    return dict(await cur.fetchall())


async def replace_memberships(conn: Connection, team_id: str, user_id: str, channel_ids: list[str]) -> None:
    """Store which non-public channels Slack just said that this user is in."""
    async with conn.transaction():
        await conn.execute(
            "delete from memberships where team_id = %s and user_id = %s and not channel_id = any(%s)",
            (team_id, user_id, channel_ids),
        )
        await conn.execute(
            """insert into memberships (team_id, user_id, channel_id)
               select %s, %s, unnest(%s::text[])
               on conflict (team_id, user_id, channel_id) do update set seen_at = now()""",
            (team_id, user_id, channel_ids),
        )


async def remove_membership(conn: Connection, team_id: str, user_id: str, channel_id: str) -> None:
    """Someone left a channel: the right ends at once."""
    await conn.execute(
        "delete from memberships where team_id = %s and user_id = %s and channel_id = %s",
        (team_id, user_id, channel_id),
    )


async def upsert_users(conn: Connection, users: list[User]) -> None:
    """Store what Slack says of users, except those who were forgotten."""
    await conn.cursor().executemany(
        f"""insert into users (team_id, user_id, name, is_bot, is_guest, is_stranger, is_admin)
           select * from (values (%s, %s, %s, %s::boolean, %s::boolean, %s::boolean, %s::boolean))
               as new (team_id, user_id, name, is_bot, is_guest, is_stranger, is_admin)
           where not {barred("new.team_id", "new.user_id", ts="0")}
           on conflict (team_id, user_id) do update
           set name = excluded.name, is_bot = excluded.is_bot, is_guest = excluded.is_guest,
               is_stranger = excluded.is_stranger, is_admin = excluded.is_admin, refreshed_at = now()""",
        [
            (user.team_id, user.user_id, user.name, user.is_bot, user.is_guest, user.is_stranger, user.is_admin)
            for user in users
        ],
    )


async def get_user(conn: Connection, team_id: str, user_id: str) -> User | None:
    """A user as Slack described them last."""
    return await db.fetch_one(
        conn,
        User,
        "select team_id, user_id, name, is_bot, is_guest, is_stranger, is_admin, "
        "extract(epoch from now() - refreshed_at)::float as age_seconds from users where team_id = %s and user_id = %s",
        (team_id, user_id),
    )


async def list_users(conn: Connection, team_id: str) -> list[User]:
    """Everybody who is known; for operators."""
    return await db.fetch_all(
        conn,
        User,
        "select team_id, user_id, name, is_bot, is_guest, is_stranger, "
        "extract(epoch from now() - refreshed_at)::float as age_seconds from users where team_id = %s order by name",
        (team_id,),
    )


async def user_names(conn: Connection, team_id: str, user_ids: list[str]) -> dict[str, str]:
    """The names of those of the given users who are known, by id."""
    cur = await conn.execute(
        "select user_id, name from users where team_id = %s and user_id = any(%s)", (team_id, user_ids)
    )
    return dict(await cur.fetchall())
