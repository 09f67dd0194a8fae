"""Reads alerts out of messages: which alert, of which service, firing or resolved.

``read`` is all that others need. It does no I/O, takes time linear in the (capped) size of a message, and never
raises.
"""

from __future__ import annotations

from tools.alerts.document import Document, build_document
from tools.alerts.generic import GenericReader
from tools.alerts.model import Alert, AlertAction, AlertMessage, Parser, Priority, build_alert, overall
from tools.alerts.parsers.availability import Statuspage, UptimeRobot
from tools.alerts.parsers.checks import Gatus, Kapacitor, Nagios, Netdata, UptimeKuma
from tools.alerts.parsers.cloudwatch import CloudWatch
from tools.alerts.parsers.errors import ErrorTrackers, Sentry
from tools.alerts.parsers.prometheus import Alertmanager, GitLabAlerts, Grafana
from tools.alerts.parsers.services import Datadog, IncidentServices
from tools.alerts.signs import resembles_alert

__all__ = [
    "PARSERS", "Alert", "AlertAction", "AlertMessage", "Priority", "build_alert", "is_doubtful", "overall", "read",
    "read_by",
]  # fmt: skip

DOUBTFUL = 0.6

# The first that takes a message reads it; the generic reader takes every one.
PARSERS: tuple[Parser, ...] = (
    Grafana(),
    Alertmanager(),
    GitLabAlerts(),
    CloudWatch(),
    IncidentServices(),
    Datadog(),
    Sentry(),
    ErrorTrackers(),
    Nagios(),
    Netdata(),
    Gatus(),
    Kapacitor(),
    UptimeKuma(),
    UptimeRobot(),
    Statuspage(),
    GenericReader(),
)


def read(message: AlertMessage, *, without: frozenset[str] = frozenset()) -> list[Alert]:
    """The alerts that a message reports; none (an empty list) where it reports none.

    Args:
        message: as Slack tells it. What a person writes is never an alert.
        without: names of parsers that are left out.
    """
    return read_by(message, without=without)[1]


def read_by(message: AlertMessage, *, without: frozenset[str] = frozenset()) -> tuple[str, list[Alert]]:
    """The same, with the name of the parser that took the message ("" where none did)."""
    if not message.is_bot:
        return "", []
    doc = _document(message)
    for parser in PARSERS:
        if parser.name not in without:
            alerts = parser.parse(doc)
            if alerts is not None:
                return parser.name, alerts
    return "", []


def is_doubtful(message: AlertMessage, confidences: list[float]) -> bool:
    """Whether somebody should look again: a state was guessed, or nothing was found in what resembles an alert.

    Args:
        message: as Slack tells it.
        confidences: of the alerts that were read in it.
    """
    if not message.is_bot:
        return False
    if confidences:
        return min(confidences) < DOUBTFUL
    return resembles_alert(_document(message))


def _document(message: AlertMessage) -> Document:
    return build_document(message.username, message.text, message.attachments, message.blocks, is_bot=message.is_bot)
