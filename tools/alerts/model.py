"""What is read, and what comes of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

from tools.alerts.document import Document

AlertAction = Literal["none", "open_incident", "close_incident"]
Priority = Literal["HIGH", "LOW"]
OPEN: AlertAction = "open_incident"
CLOSE: AlertAction = "close_incident"
LONGEST_NAME = 200
# A reading changes while the alert lasts: "95% > 90%" (the limit stays), "is 7%", "at 0.93", "312 ms".
NUMBER = r"(?<![\w.-])-?\d[\d.,]{0,15}"
UNIT = r"\s?(?:%|(?:ms|[µn]s|sec(?:ond)?s?|s|[kmgt]i?b|bytes?|rps|qps|req/s)\b)"
READING = re.compile(rf"{NUMBER}(?:{UNIT})?\s?(?:[<>]=?|[≤≥=]|==)\s?(?=-?\d)", re.IGNORECASE)
LIMIT = (
    r"(?<!over )(?<!above )(?<!below )(?<!under )(?<!than )(?<!exceeds )(?<!exceeded )(?<!reached )"
    r"(?<![<>=] )(?<![<>=≤≥])"
)
MEASURED = re.compile(rf"{LIMIT}{NUMBER}{UNIT}|\b(?:is|at|currently|value|=)\s?{NUMBER}(?![\w.:-])", re.IGNORECASE)
COMPARED = re.compile(r"\s?[<>]=?\s?(?=#)|[<>]=?(?=\s?-?\d)")


@dataclass(frozen=True)
class AlertMessage:
    """A message as Slack tells it; ``attachments`` and ``blocks`` are Slack's own objects, or None."""

    username: str = ""
    text: str = ""
    attachments: Any = None
    blocks: Any = None
    is_bot: bool = True


@dataclass(frozen=True)
class Alert:
    """One alert that a message reports.

    Attributes:
        action: open_incident or close_incident.
        alert: its name, at most 200 characters.
        service: what it is about, where the message says so.
        priority: where the message states one.
        duration: how long the incident lasted, where the message says so.
        fingerprint: 16 hex digits of the source, the service and the alert; the same when firing and when resolved.
        parser: which parser read it.
        confidence: 0 to 1; below 0.6 the state was guessed from an emoji, a severity or a colour.
    """

    action: AlertAction
    alert: str
    service: str | None
    priority: Priority | None
    duration: timedelta | None
    fingerprint: str
    parser: str
    confidence: float


class Parser(Protocol):
    """Reads the messages of one alerting system, or of one family."""

    name: str

    def parse(self, doc: Document) -> list[Alert] | None:
        """The alerts; none (an empty list) where the message is this system's but reports none; None: not mine."""


def build_alert(
    parser: str,
    source: str,
    action: AlertAction,
    alert: str,
    service: str | None,
    *,
    priority: Priority | None = None,
    duration: timedelta | None = None,
    confidence: float = 0.95,
) -> Alert:
    """An alert with its fingerprint; ``source`` names the system that sent it."""
    alert = alert[:LONGEST_NAME].strip()
    service = (service or "")[:LONGEST_NAME].strip() or None
    key = "\x1f".join((source.casefold(), (service or "").casefold(), _identity(alert, service)))
    fingerprint = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:16]
    return Alert(action, alert, service, priority, duration, fingerprint, parser, confidence)


def _identity(alert: str, service: str | None) -> str:
    """What of a name stays the same while the alert lasts: no readings, and no service that is told apart."""
    name = alert.casefold()
    if service and name.endswith(service.casefold()):
        name = re.sub(r"\s(?:on|for|in|at|from)\s?$", "", name[: -len(service)]) or name
    if any(char.isdigit() for char in name):
        name = MEASURED.sub("#", COMPARED.sub("<", READING.sub("<", name)))
    return name.strip() or alert.casefold()


def merge(alerts: Sequence[Alert]) -> list[Alert]:
    """One alert for each fingerprint, what opens first: where it fires in one place, it is not over."""
    kept: dict[str, Alert] = {}
    for alert in sorted(alerts, key=lambda alert: alert.action != OPEN):
        kept.setdefault(alert.fingerprint, alert)
    return list(kept.values())


def overall(alerts: Sequence[Alert]) -> AlertAction:
    """What a whole message does: it opens where any of its alerts does."""
    if any(alert.action == OPEN for alert in alerts):
        return OPEN
    return CLOSE if alerts else "none"
