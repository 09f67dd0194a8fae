"""Alertmanager and Grafana: ``[FIRING:2] Name (values of labels)``, alone or over the list of a group's alerts."""

from __future__ import annotations

import re

from tools.alerts import names
from tools.alerts.document import Document
from tools.alerts.generic import find_name
from tools.alerts.groups import labelled_alerts
from tools.alerts.model import CLOSE, OPEN, Alert, build_alert, merge
from tools.alerts.parsers.common import one, posted_by, stated
from tools.alerts.states import read_state

TITLE = re.compile(
    r"^\W{0,4}\[(?P<state>(?:FIRING|RESOLVED|Alerting|OK|No ?Data|"
    r"Pending)[^\]]{0,40})\]\s*(?P<name>.{1,300}?)(?:\s+\((?P<values>[^()]{0,400})\))?\s*$",
    re.IGNORECASE,
)


class Alertmanager:
    """The default template, and those that keep its title."""

    name = "alertmanager"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Read the title; labels in the body name the service better than the bare values behind the name."""
        if not posted_by(doc, "alertmanager", "alert manager", "prometheus", "#/alerts"):
            return None
        title = next((match for line in doc.headlines if (match := TITLE.match(line.plain))), None)
        if not title:
            return None
        reading = stated(doc)
        several = labelled_alerts(doc)
        if len({(name, service) for _, name, service, _ in several}) > 1:
            return merge([
                build_alert(self.name, self.name, own or (OPEN if reading.state == "open" else CLOSE), name, service,
                            priority=priority or reading.priority)
                for own, name, service, priority in several
            ])  # fmt: skip
        name = several[0][1] if several else names.clean_name(title["name"])
        service = (several[0][2] if several else None) or names.field_service(doc)
        service = service or names.value_service(title["values"] or "", name)
        priority = (several[0][3] if several else None) or reading.priority
        return one(self.name, doc, read_state(title["state"]), name, service or None, priority=priority)


class Grafana:
    """Grafana's own alerting, with the labels of each alert in the body; and the older one without."""

    name = "grafana"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Read each alert with its labels; firing and resolved ones stand in sections."""
        if not posted_by(doc, "grafana"):
            return None
        title = next((match for line in doc.headlines if (match := TITLE.match(line.plain))), None)
        if not title:
            return None
        state = read_state(title["state"])
        priority = stated(doc).priority
        several = labelled_alerts(doc)
        if several:
            return merge([
                build_alert(self.name, self.name, own or (OPEN if state == "open" else CLOSE), name, service,
                            priority=own_priority or priority)
                for own, name, service, own_priority in several
            ])  # fmt: skip
        name = names.clean_name(title["name"])
        service = names.field_service(doc) or names.value_service(title["values"] or "", name)
        return one(self.name, doc, state, name, service or None, priority=priority)


class GitLabAlerts:
    """Alerts that GitLab forwards: the project in the text, the title below it."""

    name = "gitlab"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Take the service from the project; what else GitLab posts is not this parser's."""
        if "gitlab" not in doc.username.lower() or not doc.heads or not doc.titles:
            return None
        where = re.match(r"^Alert (?P<state>\w+) in (?P<project>.{2,160})$", doc.heads[0].plain)
        if not where:
            return None
        reading = stated(doc)
        name, _ = find_name(doc, reading) if not doc.titles[0].plain else (doc.titles[0].plain, None)
        state = read_state(where["state"]) or reading.state
        return one(self.name, doc, state, name, names.clean_service(where["project"]), priority=reading.priority)
