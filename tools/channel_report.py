"""A channel's report: read from the database, and put together for tool, command line and weekly post."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from storage import budgets, reports
from storage.access import Viewer
from storage.budgets import Balance, Budget
from storage.channels import Channel
from storage.db import Connection
from storage.reports import AlertEvent, HumanReply
from tools.hits import channel_label
from tools.toil import AlertToil, Proposal, count_days, is_frequent, is_long, is_untriaged, keep_ledger, propose

LOOKBACK = timedelta(days=30)  # an incident that opened earlier is not known to have been open
TOP, SHOWN, SHOWN_NAMES, SHOWN_MESSAGES, SHOWN_PROPOSALS = 5, 20, 100, 50, 10


class AlertRow(TypedDict):
    """One alert; ``average_seconds`` is null when it never closed in the window."""

    alert: str
    service: str | None
    priority: str | None
    count: int
    average_seconds: int | None
    human_replies: int
    permalink: str


class ToilRow(TypedDict):
    """What became of an alert's firings, and people's time; ``mostly`` is the commonest label."""

    alert: str
    service: str | None
    fired: int
    acted: int
    self_resolved: int
    ignored: int
    duplicate: int
    mostly: str | None
    human_minutes: int


class ProposalRow(TypedDict):
    """Something to change about an alert, with its evidence."""

    action: str
    alert: str
    service: str | None
    text: str
    evidence: str
    permalinks: list[str]


class RawMessage(TypedDict):
    """A message behind the numbers; times are RFC 3339."""

    time: str
    action: str
    alert: str
    service: str | None
    human_replies: int
    permalink: str


class DayRow(TypedDict):
    """How many alerts opened and closed on a day, by the channel's clock."""

    date: str
    opened: int
    closed: int


class Totals(TypedDict):
    """Sums over all alerts; ``alerts`` counts kinds, ``messages`` the alert messages of the window."""

    alerts: int
    fired: int
    resolved: int
    acted: int
    self_resolved: int
    ignored: int
    duplicate: int
    human_minutes: int
    messages: int


class BudgetRow(TypedDict):
    """A limit on model calls in this channel; amounts in US dollars or tokens."""

    unit: str
    period: str
    limit: float
    spent: float
    reserved: float
    remaining: float
    renews_at: str


class ChannelReport(TypedDict):
    """The report; dates are RFC 3339, durations seconds.

    Keys of the three maps are ``service/alert``; they hold the 100 most frequent, averages of the incidents that
    closed in the window, and people's replies in it. Lists of alerts hold at most 20, ``raw_messages`` the newest 50.
    """

    channel_id: str
    channel: str
    start_date: str
    end_date: str
    timezone: str
    totals: Totals
    alerts: list[AlertRow]
    frequent_alerts: list[AlertRow]
    long_running_alerts: list[AlertRow]
    untriaged_alerts: list[AlertRow]
    proposals: list[ProposalRow]
    toil: list[ToilRow]
    days: list[DayRow]
    incident_counts: dict[str, int]
    incident_durations: dict[str, int]
    triage_msg_counts: dict[str, int]
    budget: list[BudgetRow]
    raw_messages: list[RawMessage]


async def read_report(
    conn: Connection, viewer: Viewer, channel: Channel, since: datetime, until: datetime, budget: Budget
) -> ChannelReport:
    """Report on a channel, as far as the viewer may read it.

    Args:
        conn: a connection.
        viewer: who will read the report, and where.
        channel: the channel.
        since: begin of the window.
        until: its end, exclusive; what happened later does not count, so an old report can be made again.
        budget: the channel's, for what remains of it and for the channel's clock.
    """
    events = await reports.list_alert_events(conn, viewer, channel.channel_id, since - LOOKBACK, until)
    replies = await reports.list_human_replies(conn, viewer, channel.channel_id, since, until)
    standing = await budgets.balances(conn, viewer.team_id, channel.channel_id, budget, until)
    # Counting a busy channel's month takes a moment that the event loop does not have.
    return await asyncio.to_thread(_compose, channel, events, replies, since, until, budget, standing)


def _compose(
    channel: Channel,
    events: list[AlertEvent],
    replies: list[HumanReply],
    since: datetime,
    until: datetime,
    budget: Budget,
    standing: list[Balance],
) -> ChannelReport:
    ledger = keep_ledger(events, replies, since, until)
    fired = [row for row in ledger if row.firings]
    counts: dict[str, int] = defaultdict(int)
    durations: dict[str, list[timedelta]] = defaultdict(list)
    triage: dict[str, int] = defaultdict(int)
    for row in ledger:
        counts[row.name] += len(row.firings)
        durations[row.name] += row.durations
        triage[row.name] += row.replies
    slowest = sorted(filter(is_long, ledger), key=lambda row: -(row.average or timedelta()))
    return ChannelReport(
        channel_id=channel.channel_id,
        channel=channel_label(channel.name, channel.kind),
        start_date=rfc3339(since),
        end_date=rfc3339(until),
        timezone=budget.zone.key,
        totals=_totals(ledger, events, since),
        alerts=[_alert(row) for row in fired[:TOP]],
        frequent_alerts=[_alert(row) for row in fired if is_frequent(row, until - since)][:SHOWN],
        long_running_alerts=[_alert(row) for row in slowest][:SHOWN],
        untriaged_alerts=[_alert(row) for row in fired if is_untriaged(row)][:SHOWN],
        proposals=[_proposal(proposal) for proposal in propose(ledger, budget.zone)][:SHOWN_PROPOSALS],
        toil=[_toil(row) for row in ledger[:SHOWN]],
        days=[DayRow(date=day, opened=o, closed=c) for day, o, c in count_days(events, since, until, budget.zone)],
        incident_counts=dict(list(counts.items())[:SHOWN_NAMES]),
        incident_durations=dict(
            [
                (name, round(sum(took, timedelta()).total_seconds() / len(took)))
                for name, took in durations.items()
                if took
            ][:SHOWN_NAMES]
        ),
        triage_msg_counts=dict(list(triage.items())[:SHOWN_NAMES]),
        budget=[show_balance(balance) for balance in standing],
        raw_messages=_raw(events, replies, since),
    )


def _totals(ledger: list[AlertToil], events: list[AlertEvent], since: datetime) -> Totals:
    return Totals(
        alerts=sum(bool(row.firings) for row in ledger),
        fired=sum(len(row.firings) for row in ledger),
        resolved=sum(row.closings for row in ledger),
        acted=sum(row.count("acted") for row in ledger),
        self_resolved=sum(row.count("self_resolved") for row in ledger),
        ignored=sum(row.count("ignored") for row in ledger),
        duplicate=sum(row.count("duplicate") for row in ledger),
        human_minutes=round(sum((row.time for row in ledger), timedelta()).total_seconds() / 60),
        messages=len({event.ts for event in events if event.at >= since}),
    )


def _alert(row: AlertToil) -> AlertRow:
    return AlertRow(
        alert=row.alert,
        service=row.service,
        priority=row.priority,
        count=len(row.firings),
        average_seconds=round(row.average.total_seconds()) if row.average is not None else None,
        human_replies=row.replies,
        permalink=row.permalinks[-1] if row.permalinks else "",
    )


def _toil(row: AlertToil) -> ToilRow:
    counts = {
        "acted": row.count("acted"),
        "self_resolved": row.count("self_resolved"),
        "ignored": row.count("ignored"),
        "duplicate": row.count("duplicate"),
    }
    return ToilRow(
        alert=row.alert,
        service=row.service,
        fired=len(row.firings),
        acted=counts["acted"],
        self_resolved=counts["self_resolved"],
        ignored=counts["ignored"],
        duplicate=counts["duplicate"],
        mostly=max(counts, key=lambda label: counts[label]) if row.firings else None,
        human_minutes=row.minutes,
    )


def _proposal(proposal: Proposal) -> ProposalRow:
    return ProposalRow(
        action=proposal.action,
        alert=proposal.alert,
        service=proposal.service,
        text=proposal.text,
        evidence=proposal.evidence,
        permalinks=list(proposal.permalinks),
    )


def _raw(events: list[AlertEvent], replies: list[HumanReply], since: datetime) -> list[RawMessage]:
    """The newest alert messages of the window, newest first."""
    said: dict[str, int] = defaultdict(int)
    for reply in replies:
        said[reply.thread_ts] += 1
    return [
        RawMessage(
            time=rfc3339(event.at),
            action=event.action,
            alert=event.alert,
            service=event.service,
            human_replies=said[event.thread_ts],
            permalink=event.permalink,
        )
        for event in reversed(events)
        if event.at >= since
    ][:SHOWN_MESSAGES]


def show_balance(balance: Balance) -> BudgetRow:
    """How a budget stands, as the model sees it."""
    return BudgetRow(
        unit=balance.unit,
        period=balance.period,
        limit=float(balance.limit),
        spent=float(balance.spent),
        reserved=float(balance.reserved),
        remaining=float(balance.remaining),
        renews_at=rfc3339(balance.renews_at),
    )


def rfc3339(moment: datetime) -> str:
    """A time in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
