"""The weekly report: every Monday at 9:00 by the channel's clock, once, where the channel's policy asks for it.

A report that is due is a row that only one worker can insert, in the transaction that enqueues its job. What the job
writes depends on the moment that it was due at, not on when it runs. What became due while Ratchet was down is made
up for, unless that is a day ago.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import structlog

from ratchet.policies import Policies
from ratchet.reports import chart
from ratchet.reports.text import NO_PICTURE, render
from slack_app.directory import Directory
from slack_app.identity import Identity
from slack_app.jobs import Enqueue, Job
from slack_app.outbox import Outbox
from slack_app.parts import split
from slack_app.questions import NAMESPACE
from slack_app.uploads import Uploads
from storage import channels, leases, posts, reports
from storage.access import Viewer
from storage.channels import Channel
from storage.db import Database
from storage.leases import Lease
from tools.channel_report import ChannelReport, read_report

log = structlog.get_logger()
FEATURE = "report"
MONDAY, HOUR = 0, 9
LATEST = timedelta(days=1)
PICTURE = "report.png"


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def due_before(now: datetime, zone: ZoneInfo) -> datetime:
    """The last Monday 9:00 of a place that is not after ``now``, in UTC."""
    local = now.astimezone(zone)
    monday = local.date() - timedelta(days=(local.weekday() - MONDAY) % 7)
    due = datetime.combine(monday, time(HOUR), zone).astimezone(UTC)
    return due if due <= now else week_before(due, zone)


def week_before(due: datetime, zone: ZoneInfo) -> datetime:
    """The same time of day a week earlier by the place's clock: 167 to 169 hours when the clocks change."""
    local = due.astimezone(zone)
    return datetime.combine(local.date() - timedelta(days=7), local.time(), zone).astimezone(UTC)


def report_job(team_id: str, channel_id: str, due: datetime) -> Job:
    """The job that makes one report."""
    return Job("report", f"report:{team_id}:{channel_id}", {"channel_id": channel_id, "due": due.isoformat()})


class WeeklyReports:
    """Finds what is due, and posts it."""

    def __init__(
        self,
        database: Database,
        *,
        policies: Policies,
        identity: Identity,
        directory: Directory,
        outbox: Outbox,
        uploads: Uploads,
        enqueue: Enqueue,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._policies = policies
        self._identity = identity
        self._directory = directory
        self._outbox = outbox
        self._uploads = uploads
        self._enqueue = enqueue
        self.clock = clock

    async def enqueue_due(self) -> int:
        """Claim and enqueue the reports that are due now and that nobody makes; returns how many.

        A report whose job gave up, such as when Slack was away for long, is claimed and enqueued again.
        """
        if not self._policies.does_unasked_somewhere(FEATURE):
            return 0
        now, claimed = self.clock(), 0
        team_id = self._identity.team_id
        async with self._database.connection() as conn:
            for channel in await channels.list_all(conn, team_id):
                if channel.kind == "im" or not self._policies.does_unasked(FEATURE, channel.channel_id, channel.name):
                    continue
                due = due_before(now, self._policies.budget(channel.channel_id, channel.name).zone)
                if now - due >= LATEST:
                    continue
                job = report_job(team_id, channel.channel_id, due)
                async with conn.transaction():
                    if await reports.claim(conn, team_id, channel.channel_id, due, lock=job.lock):
                        await self._enqueue(conn, [job])
                        claimed += 1
        return claimed

    async def post(self, channel_id: str, due: datetime) -> None:
        """Make one report and post it with its picture; done again after a crash, nothing comes twice.

        Raises:
            LeaseLost: another worker makes it.
            PostUnsettled: Slack is away; call again later.
        """
        team_id = self._identity.team_id
        turn_id = uuid5(NAMESPACE, f"report:{team_id}:{channel_id}:{due.isoformat()}")
        async with self._database.connection() as conn:
            channel = await channels.get(conn, team_id, channel_id)
            lease = await leases.take(conn, f"report:{team_id}:{channel_id}")
        if channel is None:
            return
        report = await self._read(channel, due)
        async with self._database.connection() as conn:
            intended = await posts.list_for_turn(conn, turn_id)
        if not intended:  # its words stay, even if Ratchet has learned more since
            note = "" if chart.can_draw() else NO_PICTURE
            await self._intend(turn_id, lease, channel, render(report, note=note))
        delivered = await self._outbox.deliver(turn_id, lease)
        first = delivered[0]
        if first.ts and chart.can_draw() and not await self._uploads.settled(turn_id):
            picture = await asyncio.to_thread(chart.draw, report)
            await self._uploads.share(
                turn_id,
                lease,
                channel_id=channel_id,
                thread_ts=first.ts,
                name=PICTURE,
                title=f"Alerts of {report['channel']}",
                content=picture,
            )
        async with self._database.connection() as conn:
            await reports.set_posted(conn, team_id, channel_id, due)
        log.info("report posted", channel_id=channel_id, due=due.isoformat(), state=first.state)

    async def _read(self, channel: Channel, due: datetime) -> ChannelReport:
        """What Ratchet itself may read in that channel: it is a member, or the channel is public."""
        me = self._identity.bot_user_id
        await self._directory.refresh(channel.team_id, me)
        budget = self._policies.budget(channel.channel_id, channel.name)
        viewer = Viewer(channel.team_id, me, channel.channel_id)
        async with self._database.connection() as conn:
            return await read_report(conn, viewer, channel, week_before(due, budget.zone), due, budget)

    async def _intend(self, turn_id: UUID, lease: Lease, channel: Channel, text: str) -> None:
        async with self._database.connection() as conn, conn.transaction():
            await leases.hold(conn, lease)
            await reports.open_turn(conn, turn_id, channel.team_id, channel.channel_id, text)
            for part, piece in enumerate(split(text)):
                await posts.insert(
                    conn,
                    turn_id=turn_id,
                    part=part,
                    channel_id=channel.channel_id,
                    thread_ts=None,
                    text=piece,
                    module=FEATURE,
                )
