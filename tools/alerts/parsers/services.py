"""Incident services: PagerDuty, Opsgenie, Squadcast, Splunk On-Call; and Datadog."""

from __future__ import annotations

import re

from tools.alerts import names
from tools.alerts.document import Document
from tools.alerts.generic import find_name
from tools.alerts.model import Alert
from tools.alerts.others import other_business
from tools.alerts.parsers.common import one, posted_by, shown, stated
from tools.alerts.states import State

NUMBERED = re.compile(
    r"^\W{0,4}(?:incident\s+)?(?P<before>[A-Za-z]+)?\W{0,4}(?:incident\s+)?\[?#(?P<number>\d+)\]?(?:\s+(?P<after>[a-"
    r"z]+ed))?[\s:]{0,3}(?P<name>\S.{1,250})$",
    re.IGNORECASE,
)
STATES: dict[str, State] = {
    "triggered": "open", "opened": "open", "created": "open", "reopened": "open", "retriggered": "open",
    "resolved": "close", "closed": "close", "acknowledged": "neutral", "unacknowledged": "neutral",
    "escalated": "neutral", "reassigned": "neutral", "snoozed": "neutral", "annotated": "neutral",
    "delegated": "neutral",
}  # fmt: skip
TOLD = re.compile(rf"^\W*(?:new )?(?:alert|incident) (?:\w+ ){{0,2}}?(?P<state>{'|'.join(STATES)})\b")


class IncidentServices:
    """``Triggered #4711: title`` with the service in a field."""

    name = "pagerduty"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Read number, state and title; acknowledgements and the like are none."""
        if not posted_by(doc, "pagerduty", "opsgenie", "squadcast", "victorops", "splunk on-call"):
            return None
        if other_business(doc) == "never":
            return []
        states = [
            STATES[word]
            for line in doc.headlines
            for word in re.findall(r"[a-z]+", line.plain.lower()[:80])
            if word in STATES
        ]
        if not states:  # "Alert closed via …" below a title that says nothing of it
            told = (TOLD.match(line.plain.lower()) for line in doc.lines[:3])
            states = [STATES[match["state"]] for match in told if match]
        if states and states[0] == "neutral":
            return []
        reading = stated(doc)
        for line in (*doc.headlines, *doc.lines[:3]):
            match = NUMBERED.match(line.plain)
            word = (match["before"] or match["after"] or "").lower() if match else ""
            if (
                not match
                or match["name"].startswith(("has ", "was ", '"'))
                or (word not in STATES and line in doc.lines)
            ):
                continue
            state = STATES.get(word) or (states[0] if states else reading.state or shown(doc))
            name = names.clean_name(match["name"])
            return one(self.name, doc, state, name, names.field_service(doc) or None, priority=reading.priority)
        return None


TITLE = re.compile(
    r"^\W{0,3}(?P<state>(?:re-?)?triggered|recovered|warn(?:ing)?|no data|alert|resolved)(?:\]|"
    r":)\s*(?P<name>.{2,280})$",
    re.IGNORECASE,
)
CONDITION = re.compile(r"\s+(?:[<>]=?|==)\s+-?[\d.]+.*$")


class Datadog:
    """``Triggered: [P2] name on {host:web-1}``; tags name the service."""

    name = "datadog"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Read the monitor's transition."""
        if not posted_by(doc, "datadog"):
            return None
        title = next(
            (match for line in (*doc.titles, *doc.headlines, *doc.lines[:2]) if (match := TITLE.match(line.plain))),
            None,
        )
        if not title or other_business(doc) == "never":
            return None
        reading = stated(doc)
        word = title["state"].lower()
        state: State = "close" if word in {"recovered", "resolved"} else "open"
        tagged = names.TAGGED.search(title["name"])
        labels = names.labels_in(tagged[0]) if tagged else {}
        labels.update({k: v for k, v in names.labels_in(doc.value("tags", "tag")).items() if k not in labels})
        service = names.label_service(labels) or find_name(doc, reading)[1]
        priority = reading.priority or ("LOW" if word.startswith("warn") else None)
        return one(
            self.name, doc, state, CONDITION.sub("", names.clean_name(title["name"])), service, priority=priority
        )
