"""The picture that follows an answer for which the agent read a channel's report."""

from __future__ import annotations

import asyncio
import json

import structlog

from ratchet.reports import chart
from slack_app.outbox import PostUnsettled
from slack_app.uploads import Uploads
from storage import conversations
from storage.db import Database
from storage.leases import Lease
from storage.turns import Turn
from tools.channel_report import ChannelReport

log = structlog.get_logger()
TOOL = "report_channel"
TRIES = 3


class Pictures:
    """Draws what the agent was told, and shares it in the thread."""

    def __init__(self, database: Database, uploads: Uploads) -> None:
        self._database = database
        self._uploads = uploads

    async def follow(self, turn: Turn, lease: Lease) -> None:
        """Share the picture of a turn's last report, once; a turn without one has none.

        The answer stands already, so what fails here is logged and given up.

        Raises:
            LeaseLost: another worker has the thread.
        """
        if turn.thread_ts is None or not chart.can_draw():
            return
        async with self._database.connection() as conn:
            told = await conversations.last_result(conn, turn.turn_id, TOOL)
        report = _read(told)
        if report is None or await self._uploads.settled(turn.turn_id):
            return
        picture = await asyncio.to_thread(chart.draw, report)
        for attempt in range(1, TRIES + 1):
            try:
                await self._uploads.share(
                    turn.turn_id,
                    lease,
                    channel_id=turn.channel_id,
                    thread_ts=turn.thread_ts,
                    name="report.png",
                    title=f"Alerts of {report['channel']}",
                    content=picture,
                )
            except PostUnsettled as error:
                log.warning("picture not shared", turn_id=str(turn.turn_id), attempt=attempt, error=str(error))
                await asyncio.sleep(attempt)
            else:
                return


def _read(told: str | None) -> ChannelReport | None:
    """The report that the tool returned; None where it failed or was cut for its size."""
    if told is None:
        return None
    try:
        value: ChannelReport = json.loads(told)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "toil" in value else None
