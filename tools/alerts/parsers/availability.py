"""What the public sees: UptimeRobot's monitors and Statuspage's incidents and components."""

from __future__ import annotations

import re

from tools.alerts import names
from tools.alerts.document import Document
from tools.alerts.model import Alert, Priority
from tools.alerts.parsers.common import one, posted_by
from tools.alerts.states import State

MONITOR = re.compile(
    r"^\W*(?:Monitor is (?P<state>UP|DOWN)\s*:\s*(?P<name>\S.{0,200}?)"
    r"|(?:Monitor )?(?P<first>\S.{0,200}?) is (?P<then>UP|DOWN)\b)"
    r"\s*(?:\(\s*<?https?:[^)]{0,300}\))?\s*(?:-\s*Reason\b.*|\.\s.*|[.!]?)$"
)


class UptimeRobot:
    """``Monitor is DOWN: name ( address ) - Reason: …``, ``Monitor is UP: name. It was down for …``."""

    name = "uptimerobot"

    def parse(self, doc: Document) -> list[Alert] | None:
        """The monitor is both what is checked and what is called."""
        if not posted_by(doc, "uptimerobot", "uptime robot"):
            return None
        for line in (*doc.heads, *doc.lines[:4]):
            match = MONITOR.match(line.plain)
            if match:
                state: State = "open" if "DOWN" in (match["state"], match["then"]) else "close"
                name = names.clean_name(match["name"] or match["first"])
                return one(self.name, doc, state, name, name)
        return None


PHASES: dict[str, State] = {
    "investigating": "open",
    "identified": "open",
    "monitoring": "open",
    "update": "open",
    "resolved": "close",
    "postmortem": "neutral",
    "scheduled": "neutral",
    "in progress": "neutral",
    "verifying": "neutral",
    "completed": "neutral",
}
HEALTH: dict[str, State] = {
    "operational": "close",
    "degraded performance": "open",
    "partial outage": "open",
    "major outage": "open",
    "under maintenance": "neutral",
}
SEVERE = {"partial outage", "major outage", "major", "critical"}
PHASE = re.compile(rf"\b(?P<phase>{'|'.join(PHASES)})\b", re.IGNORECASE)
LEAD = re.compile(
    rf"^\W*(?:\[?(?:{'|'.join(PHASES)})\]?\s*[-–—:|]?\s+)?"
    r"(?:(?:new |status )?incident(?: (?:update|updated|resolved|created|identified|reported))?\s*[-–—:|]\s*)?"
    r"(?P<name>\S.{0,200})$",
    re.IGNORECASE,
)
COMPONENT = re.compile(
    rf"^\W*(?P<name>\S.{{0,120}}?)\W* (?:has )?(?:changed|went|moved|updated)? ?(?:from (?:{'|'.join(HEALTH)}) )?"
    rf"(?:to|is|is now) (?P<health>{'|'.join(HEALTH)})\b",
    re.IGNORECASE,
)


class Statuspage:
    """``Investigating - name``, ``New incident: name`` with ``Status: …``, ``name changed from … to Major Outage``."""

    name = "statuspage"

    def parse(self, doc: Document) -> list[Alert] | None:
        """An incident is open until it is resolved; maintenance that was planned is none."""
        if not posted_by(doc, "status", "stspg.io"):
            return None
        lines = [*doc.heads, *doc.lines[:6]]
        for line in [*doc.titles[:1], *lines[:3]]:
            changed = COMPONENT.match(line.plain)
            if changed:
                health = changed["health"].lower()
                name = names.clean_name(changed["name"])
                priority: Priority = "HIGH" if health in SEVERE else "LOW"
                return one(self.name, doc, HEALTH[health], name, name, priority=priority)
        if not posted_by(doc, "statuspage", "stspg.io"):
            return None  # other pages call their incidents as they like
        if any("maintenance" in line.plain.lower() for line in lines[:2]):
            return []
        told = " ".join(line.plain[:60] for line in [*doc.titles[:1], *lines[:3]])
        said = doc.value("status", "state", "current status") or told
        phase = PHASE.search(said)
        if not phase:
            return None
        title = [*doc.titles, *lines][0]
        lead = LEAD.match(title.plain)
        name = names.clean_name(lead["name"]) if lead else ""
        if not name or PHASE.fullmatch(name) or len(name) > 120:
            return None
        service = doc.value("components", "affected components", "component", "components affected")
        impact = doc.value("impact", "severity").lower()
        severity: Priority | None = ("HIGH" if impact in SEVERE else "LOW") if impact else None
        return one(self.name, doc, PHASES[phase["phase"].lower()], name, service or None, priority=severity)
