"""How well the alert classifier reads messages whose truth is known.

Definitions:
    action: what a whole message does (open_incident, close_incident or none). Precision, recall and F1 are over
        messages of the action open_incident or close_incident; a message read with the wrong one of the two counts
        as a false positive and as a false negative.
    false_alarm_rate: the share of messages of the action none that were read as alerts.
    alert_exact, service_exact: the share of alert messages whose first alert bears exactly an accepted name or
        service; a message for which none is accepted is not graded.
    A system without alert messages has an F1 of 1 while it raises no false alarm, else 0.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.alerts import Alert, AlertMessage, overall, read_by

GENERIC = "generic"
ACTIONS = ("open_incident", "close_incident", "none")


class DataError(Exception):
    """The data cannot be read; the message names the file and the line."""


@dataclass(frozen=True)
class Row:
    """A message with its truth; ``alerts`` and ``services`` are the accepted names, empty: not graded."""

    row_id: str
    system: str
    message: AlertMessage
    action: str
    alerts: frozenset[str]
    services: frozenset[str]


@dataclass(frozen=True)
class Mistake:
    """A row that was read wrong, and in what: ``action``, ``alert`` or ``service``."""

    row: Row
    wrong: tuple[str, ...]
    read: Alert | None


@dataclass
class Score:
    """Counts over messages; times in seconds of one core."""

    messages: int = 0
    seconds: float = 0.0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    negatives: int = 0
    false_alarms: int = 0
    alerts_graded: int = 0
    alerts_right: int = 0
    services_graded: int = 0
    services_right: int = 0
    mistakes: list[Mistake] = field(default_factory=list, repr=False)

    @property
    def precision(self) -> float:
        """Of what was read as an alert, the share with the right action."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Of the alerts, the share read with the right action."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        if not self.true_positives + self.false_negatives:
            return 0.0 if self.false_positives else 1.0
        return _share(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)

    def as_dict(self) -> dict[str, float]:
        """The figures as they are printed; shares are between 0 and 1."""
        return {
            "action_f1": round(self.f1, 4),
            "action_precision": round(self.precision, 4),
            "action_recall": round(self.recall, 4),
            "false_alarm_rate": round(_share(self.false_alarms, self.negatives, empty=0.0), 4),
            "alert_exact": round(_share(self.alerts_right, self.alerts_graded), 4),
            "service_exact": round(_share(self.services_right, self.services_graded), 4),
            "messages": self.messages,
            "messages_per_second": round(self.messages / self.seconds) if self.seconds else 0,
        }

    def add(self, row: Row, found: list[Alert]) -> None:
        """Count one message."""
        self.messages += 1
        action, first = overall(found), found[0] if found else None
        wrong = [] if action == row.action else ["action"]
        if row.action == "none":
            self.negatives += 1
            self.false_alarms += action != "none"
        self.true_positives += action == row.action != "none"
        self.false_positives += action not in (row.action, "none")
        self.false_negatives += row.action not in (action, "none")
        if row.alerts:
            self.alerts_graded += 1
            right = first is not None and first.alert in row.alerts
            self.alerts_right += right
            wrong += [] if right else ["alert"]
        if row.services:
            self.services_graded += 1
            right = first is not None and first.service in row.services
            self.services_right += right
            wrong += [] if right else ["service"]
        if wrong:
            self.mistakes.append(Mistake(row, tuple(wrong), first))


@dataclass(frozen=True)
class Report:
    """The scores: of all messages, of each system, and of each system without the parsers that read it."""

    overall: Score
    systems: dict[str, Score]
    leave_one_out: dict[str, Score] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        shown: dict[str, Any] = {
            "overall": self.overall.as_dict(),
            "systems": {name: score.as_dict() for name, score in self.systems.items()},
        }
        if self.leave_one_out:
            shown["leave_one_out"] = {name: score.as_dict() for name, score in self.leave_one_out.items()}
        return shown


def load_rows(path: Path) -> list[Row]:
    """Read a file of JSON lines.

    Raises:
        DataError: it cannot be read, or a line is not what it must be.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(_row(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
                raise DataError(f"{path}, line {number}: not a message with its truth ({why})") from None
    if not rows:
        raise DataError(f"{path} holds no messages")
    return rows


def _row(raw: dict[str, Any]) -> Row:
    truth = raw["expected"]
    if truth["action"] not in ACTIONS:
        raise ValueError(f"unknown action: {truth['action']}")
    message = AlertMessage(
        username=raw.get("bot_username") or "",
        text=raw.get("text") or "",
        attachments=raw.get("attachments"),
        blocks=raw.get("blocks"),
        is_bot=not raw.get("user"),
    )
    gradable = truth["action"] != "none"
    return Row(
        row_id=str(raw.get("id") or ""),
        system=str(raw["source_system"]),
        message=message,
        action=truth["action"],
        alerts=_accepted(truth.get("alert"), truth.get("alert_accept")) if gradable else frozenset(),
        services=_accepted(truth.get("service"), truth.get("service_accept")) if gradable else frozenset(),
    )


def _accepted(first: str | None, others: Iterable[str] | None) -> frozenset[str]:
    return frozenset(name for name in (first, *(others or ())) if name)


def evaluate(rows: list[Row], *, leave_one_out: bool = False) -> Report:
    """Read every row with all parsers; where asked, also each system without those that read it."""
    total = Score()
    systems: dict[str, Score] = defaultdict(Score)
    parsers: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        began = time.process_time()
        parser, found = read_by(row.message)
        spent = time.process_time() - began
        parsers[row.system].add(parser)
        for score in (total, systems[row.system]):
            score.seconds += spent
            score.add(row, found)
    left_out: dict[str, Score] = defaultdict(Score)
    for row in rows if leave_one_out else []:
        began = time.process_time()
        _, found = read_by(row.message, without=frozenset(parsers[row.system] - {GENERIC}))
        left_out[row.system].seconds += time.process_time() - began
        left_out[row.system].add(row, found)
    return Report(total, dict(sorted(systems.items())), dict(sorted(left_out.items())))


def _share(part: int, whole: int, *, empty: float = 1.0) -> float:
    return part / whole if whole else empty
