"""What channels' managers switched on and off of what Ratchet does unasked. Who did it stands in the audit log."""

from __future__ import annotations

from storage import db
from storage.access import VISIBLE, Viewer
from storage.db import Connection

# Whether the viewer manages a channel: an admin or owner of the workspace, or who created it; no guest, no stranger.
# Needs an alias ``c`` for channels, and Viewer.params().
MANAGED = """exists (
    select 1 from users manager
    where manager.team_id = c.team_id and manager.user_id = %(requester_id)s
      and not (manager.is_bot or manager.is_guest or manager.is_stranger)
      and (manager.is_admin or manager.user_id = c.creator_id))"""


async def set_state(conn: Connection, viewer: Viewer, channel_id: str, feature: str, *, is_on: bool) -> bool:
    """Switch a feature of a channel on or off; False where the viewer may not read or does not manage it."""
    return bool(
        await db.execute(
            conn,
            f"""insert into channel_switches (team_id, channel_id, feature, is_on)
                select c.team_id, c.channel_id, %(feature)s, %(is_on)s from channels c
                where {VISIBLE} and {MANAGED} and c.channel_id = %(channel_id)s
                on conflict (team_id, channel_id, feature) do update
                set is_on = excluded.is_on, switched_at = now()""",
            {**viewer.params(), "channel_id": channel_id, "feature": feature, "is_on": is_on},
        )
    )


async def load(conn: Connection, team_id: str) -> dict[tuple[str, str], bool]:
    """Every switch of a workspace that was touched: whether it is on, by (channel id, feature)."""
    cur = await conn.execute("select channel_id, feature, is_on from channel_switches where team_id = %s", (team_id,))
    return {(channel_id, feature): is_on for channel_id, feature, is_on in await cur.fetchall()}
