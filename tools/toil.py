"""What alerts cost people, and what to do about it: pairs openings with closings, labels each firing, proposes.

Pure: it takes rows and returns values, so that a test can count the same things in another way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Literal
from zoneinfo import ZoneInfo

from storage.reports import AlertEvent, HumanReply

Label = Literal["acted", "self_resolved", "ignored", "duplicate"]
LABELS: tuple[Label, ...] = ("acted", "self_resolved", "ignored", "duplicate")
REMINDER = timedelta(hours=24)  # an alert that fires again sooner, and was not closed, reminds of the same incident
FIRST_REPLY = timedelta(minutes=5)  # to notice, look and write
LONGEST_GAP = timedelta(minutes=15)  # a longer pause was spent on something else
NIGHT_BEGINS, NIGHT_ENDS = 22, 7  # hours, by the channel's clock
FREQUENT_A_WEEK = 5
LONG = timedelta(hours=72)
SHORT = timedelta(hours=1)  # what lasts longer would fire with a higher threshold too
MOSTLY = 0.8


@dataclass
class Incident:
    """One alert from its opening to its closing; ``openings`` after the first are reminders of it."""

    fingerprint: str
    openings: list[AlertEvent] = field(default_factory=list)
    closing: AlertEvent | None = None

    @property
    def duration(self) -> timedelta | None:
        """What the closing message says itself, else from the first opening to the closing."""
        if self.closing is None or self.closing.duration is not None:
            return self.closing.duration if self.closing else None
        return self.closing.at - self.openings[0].at if self.openings else None


@dataclass(frozen=True)
class Firing:
    """An opening with what became of it; ``closed_at`` is None while the incident is open."""

    event: AlertEvent
    label: Label
    closed_at: datetime | None
    replies: tuple[datetime, ...]


@dataclass
class AlertToil:
    """One alert in the window. ``durations`` are those of the incidents that closed in it, wherever they opened."""

    fingerprint: str
    alert: str
    service: str | None
    priority: str | None
    firings: list[Firing] = field(default_factory=list)
    closings: int = 0
    durations: list[timedelta] = field(default_factory=list)
    replies: int = 0
    time: timedelta = timedelta()
    permalinks: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """``service/alert``, or the alert alone where no other service is known."""
        return full_name(self.alert, self.service)

    @property
    def minutes(self) -> int:
        """Estimated minutes of people's time."""
        return round(self.time.total_seconds() / 60)

    @property
    def average(self) -> timedelta | None:
        """How long it takes on average until it closes."""
        return sum(self.durations, timedelta()) / len(self.durations) if self.durations else None

    def count(self, label: Label) -> int:
        """How many firings bear a label."""
        return sum(firing.label == label for firing in self.firings)


@dataclass(frozen=True)
class Proposal:
    """Something to change about an alert, and why; the permalinks lead to at most three of the messages behind it."""

    action: Literal["delete", "raise_threshold", "silence_at_night", "write_runbook"]
    alert: str
    service: str | None
    text: str
    evidence: str
    permalinks: tuple[str, ...]
    weight: float


def full_name(alert: str, service: str | None) -> str:
    """``service/alert``; an alert without a service, or named as its service, stands alone."""
    return alert if service is None or service.casefold() == alert.casefold() else f"{service}/{alert}"


def pair(events: Iterable[AlertEvent]) -> list[Incident]:
    """Pair openings with closings of the same fingerprint.

    An opening while the incident is open reminds of it. Some systems never say that an alert is over: where no
    closing follows, an opening more than 24 hours after the one before begins a new incident, and the old one stays
    without an end. A closing without an opening is an incident of its own.
    """
    waiting: dict[str, list[AlertEvent]] = defaultdict(list)
    incidents: list[Incident] = []
    for event in sorted(events, key=lambda e: (e.at, e.action == "close_incident", e.ts)):
        if event.action == "close_incident":
            incidents.append(Incident(event.fingerprint, waiting.pop(event.fingerprint, []), event))
        else:
            waiting[event.fingerprint].append(event)
    for fingerprint, openings in waiting.items():
        for number, event in enumerate(openings):
            if number == 0 or event.at - openings[number - 1].at > REMINDER:
                incidents.append(Incident(fingerprint))
            incidents[-1].openings.append(event)
    return incidents


def time_in_thread(replies: Iterable[HumanReply]) -> timedelta:
    """Estimate of the time that people spent in a thread.

    Each person counts 5 minutes for the first reply, and the gaps between their own replies, each at most
    15 minutes. Reading without writing, and work elsewhere, is not seen.
    """
    last: dict[str, datetime] = {}
    spent = timedelta()
    for reply in sorted(replies, key=lambda reply: reply.posted_at):
        before = last.get(reply.user_id)
        spent += min(reply.posted_at - before, LONGEST_GAP) if before else FIRST_REPLY
        last[reply.user_id] = reply.posted_at
    return spent


def keep_ledger(
    events: Sequence[AlertEvent], replies: Sequence[HumanReply], since: datetime, until: datetime
) -> list[AlertToil]:
    """The toil ledger of a window: what became of each alert, most frequent first.

    Args:
        events: openings and closings up to ``until``, and some from before ``since``, so that incidents that
            were open then are known.
        replies: people's replies of the window in the threads of these alerts.
        since: begin of the window.
        until: its end, exclusive.
    """
    said: dict[str, list[HumanReply]] = defaultdict(list)
    for reply in replies:
        said[reply.thread_ts].append(reply)
    sharing: dict[str, set[str]] = defaultdict(set)
    for event in events:
        sharing[event.thread_ts].add(event.fingerprint)
    opened: dict[str, dict[str, list[datetime]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        if event.action == "open_incident":
            opened[event.fingerprint][event.thread_ts].append(event.at)
    newest: dict[str, AlertEvent] = {event.fingerprint: event for event in events}
    ledger = {
        fingerprint: AlertToil(fingerprint, event.alert, event.service, event.priority)
        for fingerprint, event in newest.items()
    }
    for incident in pair(events):
        _enter(ledger[incident.fingerprint], incident, said, opened[incident.fingerprint], since, until)
    for thread_ts, thread in said.items():
        for fingerprint in sharing.get(thread_ts, ()):
            ledger[fingerprint].replies += len(thread)
            ledger[fingerprint].time += time_in_thread(thread) / len(sharing[thread_ts])
    rows = [row for row in ledger.values() if row.firings or row.closings or row.replies]
    return sorted(rows, key=lambda row: (-len(row.firings), row.service or "", row.alert))


def _enter(
    row: AlertToil,
    incident: Incident,
    said: Mapping[str, list[HumanReply]],
    openings: Mapping[str, list[datetime]],
    since: datetime,
    until: datetime,
) -> None:
    """Enter an incident; ``openings`` says when this alert opened in each thread."""
    closing = incident.closing
    if closing and since <= closing.at < until:
        row.closings += 1
        if incident.duration is not None:
            row.durations.append(incident.duration)
    for number, opening in enumerate(incident.openings):
        if not since <= opening.at < until:
            continue
        answers = _between(opening.thread_ts, opening, said, openings)
        if closing and number == 0 and closing.thread_ts != opening.thread_ts:
            answers += _between(closing.thread_ts, opening, said, openings)
        label: Label = "acted" if answers else "duplicate" if number else "self_resolved" if closing else "ignored"
        times = tuple(sorted(reply.posted_at for reply in answers))
        row.firings.append(Firing(opening, label, closing.at if closing else None, times))
        row.permalinks.append(opening.permalink)


def _between(
    thread_ts: str, opening: AlertEvent, said: Mapping[str, list[HumanReply]], openings: Mapping[str, list[datetime]]
) -> list[HumanReply]:
    """What people wrote in a thread from an opening on, before the alert's next opening there."""
    later = [at for at in openings.get(thread_ts, ()) if at > opening.at]
    return [
        reply
        for reply in said.get(thread_ts, ())
        if opening.at <= reply.posted_at and (not later or reply.posted_at < min(later))
    ]


def is_frequent(row: AlertToil, window: timedelta) -> bool:
    """Whether it fired more than five times, and more than five times a week."""
    return len(row.firings) > max(FREQUENT_A_WEEK, FREQUENT_A_WEEK * (window / timedelta(days=7)))


def is_long(row: AlertToil) -> bool:
    """Whether it takes more than 72 hours on average until it closes."""
    return row.average is not None and row.average > LONG


def is_untriaged(row: AlertToil) -> bool:
    """Whether it fired and nobody wrote a word about it."""
    return bool(row.firings) and not row.replies


def propose(ledger: Iterable[AlertToil], zone: ZoneInfo) -> list[Proposal]:
    """What to change, the most telling first."""
    found = [
        proposal
        for row in ledger
        for proposal in (_delete(row), _raise(row), _silence(row, zone), _document(row))
        if proposal
    ]
    return sorted(found, key=lambda proposal: (-proposal.weight, proposal.service or "", proposal.alert))


def _delete(row: AlertToil) -> Proposal | None:
    """It fires, nothing ends it, and nobody cares."""
    ignored, total = row.count("ignored"), len(row.firings)
    if total < 3 or row.replies or row.priority == "HIGH" or ignored + row.count("duplicate") < MOSTLY * total:
        return None
    return _proposal(
        row,
        "delete",
        "Delete it, or send it where nobody is called by it",
        f"it fired {_times(total)}, was never reported as over {_times(ignored)}, and nobody replied",
        weight=total,
    )


def _raise(row: AlertToil) -> Proposal | None:
    """It ends by itself nearly always, and soon."""
    alone = [firing for firing in row.firings if firing.label == "self_resolved"]
    firings = len(row.firings) - row.count("duplicate")
    if len(alone) < 3 or len(alone) < MOSTLY * firings:
        return None
    seconds = median((f.closed_at - f.event.at).total_seconds() for f in alone if f.closed_at)
    if seconds > SHORT.total_seconds():
        return None
    return _proposal(
        row,
        "raise_threshold",
        "Raise its threshold, or let it wait longer before it fires",
        f"it ended without anybody {len(alone)} of {_times(firings)}, half of them within {spell(seconds)}",
        weight=len(alone),
        shown=[f.event.permalink for f in alone],
    )


def _silence(row: AlertToil, zone: ZoneInfo) -> Proposal | None:
    """At night nobody reacts to it."""
    nightly = [firing for firing in row.firings if is_night(firing.event.at, zone)]
    answered = any(is_night(reply, zone) for firing in nightly for reply in firing.replies)
    if len(nightly) < 3 or answered or row.priority == "HIGH":
        return None
    later = sum(bool(firing.replies) for firing in nightly)
    by_day = f", {later} of them were looked at by day" if later else ""
    return _proposal(
        row,
        "silence_at_night",
        f"Silence it from {NIGHT_BEGINS}:00 to {NIGHT_ENDS:02}:00",
        f"it fired {_times(len(nightly))} at night ({zone.key}), and nobody replied before the morning{by_day}",
        weight=len(nightly) * 0.9,
        shown=[firing.event.permalink for firing in nightly],
    )


def _document(row: AlertToil) -> Proposal | None:
    """People work on it again and again."""
    acted = [firing for firing in row.firings if firing.label == "acted"]
    if len(acted) < 2 or row.minutes < 20:
        return None
    return _proposal(
        row,
        "write_runbook",
        "Write a runbook from what was said in its threads",
        f"people spent about {spell(row.minutes * 60)} on {len(acted)} firings, in {row.replies} replies",
        weight=row.minutes / 5,
        shown=[firing.event.permalink for firing in acted],
    )


def _proposal(
    row: AlertToil,
    action: Literal["delete", "raise_threshold", "silence_at_night", "write_runbook"],
    text: str,
    evidence: str,
    *,
    weight: float,
    shown: Sequence[str] | None = None,
) -> Proposal:
    links = row.permalinks if shown is None else shown
    return Proposal(action, row.alert, row.service, text, evidence, tuple(links[-3:]), weight)


def is_night(moment: datetime, zone: ZoneInfo) -> bool:
    """Whether it is between 22:00 and 07:00 there."""
    return not NIGHT_ENDS <= moment.astimezone(zone).hour < NIGHT_BEGINS


def count_days(
    events: Iterable[AlertEvent], since: datetime, until: datetime, zone: ZoneInfo
) -> list[tuple[str, int, int]]:
    """For each day of the window by the channel's clock: its date, and how many alerts opened and closed."""
    counted = Counter((event.at.astimezone(zone).date(), event.action) for event in events if since <= event.at < until)
    day, last = since.astimezone(zone).date(), (until - timedelta(microseconds=1)).astimezone(zone).date()
    days = []
    while day <= last:
        days.append((day.isoformat(), counted[day, "open_incident"], counted[day, "close_incident"]))
        day += timedelta(days=1)
    return days


def spell(seconds: float) -> str:
    """A duration in words: ``45 s``, ``12 min``, ``3 h 10 min``, ``4 d 2 h``."""
    if seconds < 60:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
