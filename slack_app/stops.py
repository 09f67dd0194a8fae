"""Stop: Slack's own button, or words that say just that. It counts in the transaction that stores it."""

from __future__ import annotations

from slack_app.events import SessionStopped
from slack_app.jobs import Job, answer_job
from storage import audit, steering
from storage.db import Connection
from storage.steering import Marked
from storage.turns import NewTurn


async def by_button(conn: Connection, event: SessionStopped) -> list[Job]:
    """Somebody pressed Stop in a thread."""
    stopped = await steering.stop(
        conn,
        team_id=event.team_id,
        channel_id=event.channel_id,
        user_id=event.user_id,
        thread_ts=event.thread_ts,
        before=event.ts,
    )
    return await _follow(conn, event.team_id, event.user_id, stopped)


async def by_word(conn: Connection, order: NewTurn) -> list[Job] | None:
    """Somebody said stop: in a thread what runs there, elsewhere all that they asked for in the channel.

    None where there is nothing that they may stop: they are to be told so.
    """
    thread_ts = order.thread_ts if order.thread_ts != order.message_ts else None
    stopped = await steering.stop(
        conn,
        team_id=order.team_id,
        channel_id=order.channel_id,
        user_id=order.requester_id,
        thread_ts=thread_ts,
        before=order.message_ts,
    )
    return await _follow(conn, order.team_id, order.requester_id, stopped) if stopped else None


async def _follow(conn: Connection, team_id: str, user_id: str, stopped: list[Marked]) -> list[Job]:
    """The audit rows; and jobs for the turns to say so, should nobody be at work on them."""
    for turn in stopped:
        details = {"turn_id": str(turn.turn_id), "channel_id": turn.channel_id, "status": turn.status}
        await audit.record(conn, who=user_id, action="turn_stopped", details=details)
    return [answer_job(team_id, turn.channel_id, turn.thread_ts, turn.turn_id) for turn in stopped if turn.thread_ts]
