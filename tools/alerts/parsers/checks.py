"""Checks of hosts: Nagios, Icinga, Sensu, Netdata; and of addresses: Gatus, Uptime Kuma, Kapacitor's thresholds."""

from __future__ import annotations

import re

from tools.alerts import names
from tools.alerts.document import Document
from tools.alerts.model import Alert
from tools.alerts.parsers.common import one, posted_by, stated
from tools.alerts.states import State, read_priority, read_state

KINDS: dict[str, State] = {"problem": "open", "recovery": "close"}
KIND = re.compile(r"^\W{0,4}(?:\**\s*)?(?P<kind>[A-Z]{4,24})\b(?P<rest>.*)$")
OBJECT = re.compile(
    r"^[\s:\-–\]]*(?i:(?:service|host)\s+(?:alert|notification|"
    r"problem)?\s*:?\s*)?(?P<object>\S.{0,160}?)\s+is\s+(?P<state>[A-Z]{2,12})\b"
)


class Nagios:
    """``PROBLEM: host/service is CRITICAL``, ``PROBLEM - service on host is CRITICAL!``, or all of it in fields."""

    name = "nagios"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Problems and recoveries; acknowledgements, downtimes and flapping are none."""
        kind = doc.value("notification type", "notificationtype")
        rest = ""
        if not kind and doc.headlines:
            match = KIND.match(doc.headlines[0].plain)
            kind, rest = (match["kind"], match["rest"]) if match else ("", "")
        mine = kind.lower() in KINDS or kind.upper().startswith(("ACKNOWLEDGE", "DOWNTIME", "FLAPPING"))
        if not mine or not (posted_by(doc, "nagios", "icinga", "naemon", "centreon", "checkmk") or OBJECT.match(rest)):
            return None
        state = KINDS.get(kind.lower(), "neutral")
        reading = stated(doc)
        host = doc.value("host", "hostname", "host name", "host alias", "address")
        service = doc.value("service", "service name", "service description")
        found = OBJECT.match(rest)
        if found:
            first, slash, second = found["object"].partition("/")
            thing, on, place = found["object"].rpartition(" on ")
            host = host or (first if slash else place if on else found["object"])
            service = service or (second if slash else thing if on else "")
        if not (host or service) or (rest and not found and not service):
            return None
        priority = read_priority(found["state"]) if found else reading.priority
        return one(self.name, doc, state, service or host, host or None, priority=priority)


NETDATA = re.compile(
    r"^(?P<host>[\w.-]{1,120}) (?P<what>is critical|needs attention|recovered|"
    r"is no longer[\w ]*)[,:]\s*(?P<chart>[^,]{1,200}),\s*(?P<alarm>[\w. -]{1,120}?)(?:\s*=.*)?$",
    re.IGNORECASE,
)


class Netdata:
    """``host is critical, chart (family), alarm = value``."""

    name = "netdata"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Read the title."""
        match = next((found for line in doc.headlines if (found := NETDATA.match(line.plain))), None)
        if not match:
            return None
        what = match["what"].lower()
        state: State = "close" if what.startswith(("recovered", "is no longer")) else "open"
        priority = {"is critical": "HIGH", "needs attention": "LOW"}.get(what)
        return one(self.name, doc, state, match["alarm"], match["host"], priority=priority)  # type: ignore[arg-type]


GATUS = re.compile(r"^An alert for (?P<name>.{1,200}?) has been (?P<state>triggered|resolved)\b")


class Gatus:
    """``An alert for group/endpoint has been triggered …``."""

    name = "gatus"

    def parse(self, doc: Document) -> list[Alert] | None:
        """The endpoint is both what is checked and what is called."""
        for line in doc.lines[:3]:
            match = GATUS.match(line.plain)
            if match:
                return one(self.name, doc, read_state(match["state"]), match["name"], match["name"])
        return None


KAPACITOR = re.compile(
    r"^(?P<host>[\w.@-]{1,120})/(?P<metric>[\w.-]{1,80})(?:/\S{0,120}?)?(?: is (?P<level>[A-Z]{2,8})|"
    r":(?P<value>\s?\S.{0,200}))$"
)


class Kapacitor:
    """``host/metric is CRITICAL``, or ``host/metric:value`` with the level in the colour only."""

    name = "kapacitor"

    def parse(self, doc: Document) -> list[Alert] | None:
        """Read a message of one line with one colour."""
        if len(doc.parts) != 1 or len(doc.lines) != 1 or doc.titles:
            return None
        match = KAPACITOR.match(doc.lines[0].plain)
        state = read_state(match["level"] or "") if match else None
        if not match or not (state or doc.color or match["level"]):
            return None
        level = match["level"] or ""
        state = state or ("open" if doc.color == "bad" or read_priority(level) else "close")
        return one(self.name, doc, state, match["metric"], match["host"], priority=read_priority(level))


KUMA = re.compile(r"\[(?P<name>[^\[\]]{1,150})\]\s*\[\W*(?P<state>Up|Down)\W*\]", re.IGNORECASE)


class UptimeKuma:
    """``[monitor] [🔴 Down] reason``."""

    name = "uptime-kuma"

    def parse(self, doc: Document) -> list[Alert] | None:
        """The monitor is both what is checked and what is called."""
        for text in (*(line.raw for line in (*doc.heads, *doc.lines[:4])), doc.value("message")):
            match = KUMA.search(text)
            if match:
                name = names.clean_name(match["name"])
                return one(self.name, doc, read_state(match["state"]), name, name)
        return None
