"""Error trackers: Sentry, Rollbar, Bugsnag. A new or returning error is an alert that stays open."""

from __future__ import annotations

import re

from tools.alerts import names
from tools.alerts.document import Document
from tools.alerts.model import Alert, Priority
from tools.alerts.others import other_business
from tools.alerts.parsers.common import one, posted_by, stated
from tools.alerts.states import State

FOOTER = re.compile(r"^(?P<short>(?P<project>[A-Z][A-Z0-9_-]{0,60}?)-[A-Z0-9]{1,8}) via ")
PROJECT = re.compile(r"\bproject: ?(?P<project>[\w.-]{1,80})", re.IGNORECASE)
METRIC = re.compile(r"^(?P<state>Critical|Warning|Resolved): (?P<name>.{2,250})$")
ENDED = re.compile(
    r"\b(?:marked .{0,200}as resolved|resolved (?:issue|an issue)|issue (?:was )?resolved|archived|ignored|assigned)\b",
    re.I,
)
ROLLBAR = re.compile(
    r"^(?:\[(?P<project>[^\]]{1,80})\]\s*)?(?:(?P<env>[\w-]{1,40}) - )?(?P<event>New|Reactivated|Resolved|Reopened|"
    r"\d+th|High occurrence)[\w ]{0,30}:?\s*#\d+:?\s*(?P<name>.{2,250})$"
)
FROM = re.compile(
    r"^(?:new )?(?:handled |unhandled )?(?P<what>error|exception|spike|regression)\b.{0,80}? (?:from|"
    r"in) (?P<project>[\w.-]{1,80})\W*$",
    re.I,
)


class Sentry:
    """Issue alerts (the title is the error) and metric alerts (``Critical: name``)."""

    name = "sentry"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Read the title and the project; assignments and the like are none."""
        if not posted_by(doc, "sentry"):
            return None
        places = [line.plain for line in (*doc.titles, *doc.lines[:4], *doc.heads)]
        for place in places:
            metric = METRIC.match(place)
            if metric:
                word = metric["state"]
                state: State = "close" if word == "Resolved" else "open"
                priority: Priority | None = {"Critical": "HIGH", "Warning": "LOW"}.get(word)  # type: ignore[assignment]
                return one(self.name, doc, state, metric["name"], _project(doc), priority=priority)
        if any(ENDED.search(place) for place in places[:2]):
            name = next((names.clean_name(line.plain) for line in doc.titles), "")
            return one(
                self.name, doc, "close" if "resolved" in " ".join(places[:2]).lower() else None, name, _project(doc)
            )
        if other_business(doc) == "never" or not (doc.colors or doc.titles or doc.footers) or doc.color == "good":
            return None
        own = [line.plain for part in doc.parts for line in (*part.titles, *part.heads)] + places
        name = next((place for place in own if names.is_name(place)), "")
        return one(self.name, doc, "open", name.strip(), _project(doc), priority=stated(doc).priority, confidence=0.9)


def _project(doc: Document) -> str | None:
    for line in doc.footers:
        footer, project = FOOTER.match(line.plain), PROJECT.search(line.plain)
        if project:
            return project["project"]
        if footer:
            return footer["project"]
    return doc.value("project", "project name") or None


class ErrorTrackers:
    """``[project] environment - New error: #12 title``, ``New error in production from project``."""

    name = "rollbar"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Read the title; the project is the service."""
        if not posted_by(doc, "rollbar", "bugsnag", "honeybadger", "airbrake", "raygun"):
            return None
        for line in doc.headlines:
            rollbar = ROLLBAR.match(line.plain)
            if rollbar:
                state: State = "close" if rollbar["event"] == "Resolved" else "open"
                return one(self.name, doc, state, rollbar["name"], rollbar["project"] or names.field_service(doc))
            told = FROM.match(line.plain)
            if told and doc.titles:
                return one(self.name, doc, "open", doc.titles[0].plain, told["project"], priority=stated(doc).priority)
        return None
