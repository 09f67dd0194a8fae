"""CloudWatch alarms, as functions on their topic post them and as AWS's chatbot does."""

from __future__ import annotations

import re

from tools.alerts.document import Document
from tools.alerts.model import Alert
from tools.alerts.parsers.common import field_state, one, shown, stated
from tools.alerts.states import read_state

CHATBOT = re.compile(r"CloudWatch Alarm \| (?P<name>[^|]{1,255}?) \| [a-z]{2}-[a-z-]+-\d")
SUBJECT = re.compile(r"^(?P<state>ALARM|OK|INSUFFICIENT_DATA): \"(?P<name>[^\"]{1,255})\" in ")
DIMENSIONS = ("loadbalancer", "dbinstanceidentifier", "dbclusteridentifier", "functionname", "queuename", "clustername",
              "servicename", "tablename", "topicname", "instanceid", "cacheclusterid", "domainname", "streamname",
              "autoscalinggroupname", "apiname", "bucketname")  # fmt: skip
DIMENSION = re.compile(r"\b([A-Za-z]{4,24})\s?[=:]\s?\"?([\w./-]{2,120})")


class CloudWatch:
    """The alarm's name is its identity; a dimension names the resource, else the alarm stands for it."""

    name = "cloudwatch"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Read the alarm's fields, the chatbot's title, or the topic's subject line."""
        name, state = doc.value("alarm name", "alarmname"), None
        for line in (*doc.headlines, *doc.lines[:3]):
            chatbot, subject = CHATBOT.search(line.plain), SUBJECT.search(line.plain)
            if chatbot:
                name = name or chatbot["name"]
            elif subject:
                name, state = name or subject["name"], read_state(subject["state"])
        if not name:
            return None
        state = state or field_state(
            doc, "current state", "new state", "new state value", "alarm state", "state", "status"
        )
        reading = stated(doc)
        return one(
            self.name,
            doc,
            state or reading.state or shown(doc),
            name,
            _resource(doc) or name,
            priority=reading.priority,
        )


def _resource(doc: Document) -> str | None:
    found = {
        match[1].lower(): match[2] for match in DIMENSION.finditer(doc.value("dimensions", "alarm dimensions")[:600])
    }
    return next((found[key] for key in DIMENSIONS if key in found), None)
