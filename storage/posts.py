"""The outbox: every message that Ratchet posts, from its intent to its Slack timestamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from storage import db
from storage.db import Connection


@dataclass(frozen=True)
class Post:
    """One message to Slack. ``sending`` means that an attempt was made whose outcome is unknown.

    ``text`` is Markdown; ``blocks`` are Slack blocks that stand below it, such as buttons.
    """

    post_id: str
    turn_id: UUID
    part: int
    channel_id: str
    thread_ts: str | None
    text: str
    module: str
    model: str
    state: Literal["pending", "sending", "posted", "rejected"]
    ts: str | None
    created_at: datetime
    blocks: list[dict[str, Any]] | None = None


COLUMNS = "post_id, turn_id, part, channel_id, thread_ts, text, module, model, state, ts, created_at, blocks"


async def insert(
    conn: Connection,
    *,
    turn_id: UUID,
    part: int,
    channel_id: str,
    thread_ts: str | None,
    text: str,
    module: str,
    model: str = "",
    blocks: Sequence[dict[str, Any]] | None = None,
) -> str:
    """Intend a post and return its id, which is the same for the same turn and part.

    Its turn rests on the messages that it links to.
    """
    post_id = f"{turn_id}/{part}"
    await conn.execute(
        r"""with intended as (
               insert into posts (post_id, turn_id, part, channel_id, thread_ts, text, module, model, blocks)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (post_id) do nothing returning turn_id, text
           )
           insert into turn_sources (team_id, channel_id, ts, turn_id)
           select t.team_id, found[1], found[2] || '.' || found[3], t.turn_id
           from intended join turns t using (turn_id),
                regexp_matches(intended.text, '/archives/([A-Z0-9]+)/p(\d+)(\d{6})', 'g') as found
           on conflict do nothing""",
        (post_id, turn_id, part, channel_id, thread_ts, text, module, model, Jsonb(list(blocks)) if blocks else None),
    )
    return post_id


async def list_for_turn(conn: Connection, turn_id: UUID) -> list[Post]:
    """A turn's posts in their order."""
    return await db.fetch_all(conn, Post, f"select {COLUMNS} from posts where turn_id = %s order by part", (turn_id,))


async def get(conn: Connection, post_id: str) -> Post | None:
    """One post by id."""
    return await db.fetch_one(conn, Post, f"select {COLUMNS} from posts where post_id = %s", (post_id,))


async def set_sending(conn: Connection, post_id: str) -> None:
    """About to call Slack: from here on the outcome is doubtful until it is recorded."""
    await conn.execute("update posts set state = 'sending', sent_at = now() where post_id = %s", (post_id,))


async def seconds_since_sent(conn: Connection, post_id: str) -> float | None:
    """How long ago Slack was last called with a post; None when it never was."""
    seconds: float | None = await db.fetch_value(
        conn, "select extract(epoch from clock_timestamp() - sent_at)::float8 from posts where post_id = %s", (post_id,)
    )
    return seconds


async def set_posted(conn: Connection, post_id: str, ts: str, *, channel_id: str | None = None) -> None:
    """Slack has it, at ``ts``, in another channel than was intended where ``channel_id`` is given."""
    await conn.execute(
        "update posts set state = 'posted', ts = %s, posted_at = now(), channel_id = coalesce(%s, channel_id) "
        "where post_id = %s",
        (ts, channel_id, post_id),
    )


async def set_rejected(conn: Connection, post_id: str, error: str) -> None:
    """Slack refuses it for good, with this reason."""
    await conn.execute("update posts set state = 'rejected', error = %s where post_id = %s", (error, post_id))


async def revise(conn: Connection, post_id: str, text: str, blocks: Sequence[dict[str, Any]] | None = None) -> None:
    """It is to say something else from now on; what stands in Slack already is brought up to date by the outbox."""
    await conn.execute(
        "update posts set text = %s, blocks = %s where post_id = %s",
        (text, Jsonb(list(blocks)) if blocks else None, post_id),
    )
