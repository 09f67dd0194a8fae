"""Reads an alert out of a bot's message: which alert, of which service, firing or resolved.

This is a reader of conventions, not of single systems: monitoring tools write the state as a word in
brackets, after a colon or at the end of the headline, next to the alert's name. What it does not recognise
is no alert.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

AlertAction = Literal["none", "open_incident", "close_incident"]

FIRING = r"firing|fired|triggered|alarm|alerting|critical|crit|warning|warn|problem|down|error|fatal|no[ _]data"
RESOLVED = r"resolved|recovered|recovery|ok|okay|up|closed|normal|cleared|healthy"
STATE = rf"(?P<open>{FIRING})|(?P<close>{RESOLVED})"
EMOJI = re.compile(r":[a-z0-9_+-]+:")
MARKUP = re.compile(r"[*`~]+|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)")
LINK = re.compile(r"<[^|>]*\|([^>]*)>")
TAIL = re.compile(r"\s+(?:\||\(|—|–|- https?:|<?https?:).*$")
NAME = r"(?P<name>[^\n]{2,200}?)"

# Headlines, most telling first; each has a state and a name.
HEADLINES = [
    re.compile(rf"^\W*\[\s*(?:{STATE})(?:\s*:\s*\d+)?[^\]]*\]:?\s*{NAME}$", re.IGNORECASE | re.MULTILINE),
    re.compile(rf"^\W*(?:{STATE}):\s*{NAME}$", re.IGNORECASE | re.MULTILINE),
    re.compile(
        rf"^\W*{NAME}\s+(?:is(?: now)?|went|status:?|→|->)\s+(?:{STATE})\b[^\n]*$", re.IGNORECASE | re.MULTILINE
    ),
    re.compile(rf"\balert for {NAME} has been (?:{STATE})\b", re.IGNORECASE),
    re.compile(rf"^\W*(?:alarm|alert|monitor|incident)\s+{NAME}\s+(?:{STATE})\b[^\n]*$", re.IGNORECASE | re.MULTILINE),
    re.compile(rf"^\W*{NAME}\s+[\[(](?:{STATE})[\])]\s*$", re.IGNORECASE | re.MULTILINE),
]
STATE_FIELD = re.compile(
    rf"^(?:current state|new state|state|status):\s*\W*(?:{STATE})\b", re.IGNORECASE | re.MULTILINE
)
NAME_FIELD = re.compile(
    r"^(?:alarm name|alert name|alertname|alarm|monitor|check):\s*(?P<name>[^\n]{2,200})$", re.I | re.M
)
NAME_LABEL = re.compile(r"^\W*alertname\s*=\s*(?P<name>[\w:.-]{2,200})", re.I | re.M)
FIELD = re.compile(r"[A-Za-z][\w ]{1,30}:\s")
SERVICE_FIELD = re.compile(
    r"^\W*(?:service|job|application|app|component)\s*[:=]\s*(?P<name>[\w./-]{2,80})", re.I | re.M
)
NOT_ALERTS = re.compile(
    r"\b(?:pull request|commit|deploy(?:ed|ment|ing)?|pipeline|build|workflow|job (?:failed|succeeded)|branch|merged|"
    r"synced|release[ds]?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class AlertReading:
    """What a message says about an alert."""

    action: AlertAction
    alert: str
    service: str | None


def read_alert(text: str, *, is_bot: bool) -> AlertReading | None:
    """Read a message's visible text; None when it reports no alert. People talking about alerts report none."""
    if not is_bot or not text:
        return None
    plain = _plain(text[:8000])
    service = SERVICE_FIELD.search(plain)
    reading = _headline(plain, HEADLINES[:2]) or _fields(plain)
    if reading is None and not NOT_ALERTS.search(plain.split("\n", 1)[0]):
        reading = _headline(plain, HEADLINES[2:])
    if reading is None:
        return None
    action, name = reading
    label = NAME_LABEL.search(plain)
    return AlertReading(
        action=action, alert=label["name"] if label else name, service=service["name"] if service else None
    )


def _headline(plain: str, patterns: list[re.Pattern[str]]) -> tuple[AlertAction, str] | None:
    for pattern in patterns:
        match = pattern.search(plain)
        if match:
            name = _clean(match["name"])
            if name:
                return _action(match), name
    return None


def _fields(plain: str) -> tuple[AlertAction, str] | None:
    """A state in a field of its own, and the name in another, or in the line above the fields."""
    state = STATE_FIELD.search(plain)
    if not state:
        return None
    name = NAME_FIELD.search(plain)
    above = [line for line in plain[: state.start()].splitlines() if line.strip() and not FIELD.match(line)]
    cleaned = _clean(name["name"] if name else above[-1] if above else "")
    return (_action(state), cleaned) if cleaned else None


def _action(match: re.Match[str]) -> AlertAction:
    return "open_incident" if match["open"] else "close_incident"


def _plain(text: str) -> str:
    return "\n".join(MARKUP.sub("", EMOJI.sub("", LINK.sub(r"\1", line))).strip() for line in text.splitlines())


def _clean(name: str) -> str:
    return TAIL.sub("", name).strip(" :|-–—•\t\"'")[:200]
