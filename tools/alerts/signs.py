"""Finds what a whole message says of the state, the severity and the duration of what it reports."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta

from tools.alerts import names
from tools.alerts.document import Document, Line
from tools.alerts.headlines import Headline, read_headline
from tools.alerts.model import Priority
from tools.alerts.others import other_business
from tools.alerts.states import State, read_level, read_priority
from tools.alerts.text import EMOJI, plain, read_duration

STATE_FIELDS = (
    "current state", "new state", "state", "status", "alert state", "alert status", "current status", "new status",
    "alarm state", "monitor status", "monitor state", "incident status", "incident state", "notification type",
    "transition", "event type", "alert type", "check status", "check state", "state value", "event", "condition",
    "type", "action", "result",
)  # fmt: skip
SEVERITY_FIELDS = ("severity", "priority", "level", "urgency", "criticality", "impact", "alert severity", "alert level")
DURATION_FIELDS = (
    "duration", "downtime", "outage duration", "incident duration", "down for", "downtime duration", "total downtime",
    "time to resolve", "lasted", "resolved in", "problem duration", "alert duration",
)  # fmt: skip
LASTED = re.compile(
    r"\b(?:was down for|down for|lasted|lasting|resolved (?:after|in)|after being down for|duration|downtime)(?: of|"
    r" was|:| for)*\s+((?:\d+(?:\.\d+)?\s?[a-z]+[,\s]*(?:and )?){1,6}|\d{1,3}:\d\d(?::\d\d)?)",
    re.IGNORECASE,
)
MARKED = re.compile(r"(?<![`*\w])[`*]{1,3}([^`*\n]{1,30})[`*]{1,3}(?![`*\w])")
SENTENCE = re.compile(
    r"\balerts?(?: (?:for|on|in|from))? [\"'“]?(?P<name>[^\n\"]{2,160}?)[\"'”]? (?:has|have|was|is) (?:been |"
    r"now )?(?P<state>triggered|resolved|fired|firing|recovered|closed|cleared|opened|raised|created)\b(?: (?:for|"
    r"on|in) [\"'“]?(?P<place>[\w./:-]{2,120})[\"'”]?$)?",
    re.IGNORECASE,
)
# Words without which a colour, an emoji or a severity alone is no alert.
SUBJECT = re.compile(
    r"\b(?:alerts?|alarms?|monitor(?:ing)?|thresholds?|latency|cpu|disk|memory|mem|swap|usage|utili[sz]ation|"
    r"error rate|errors?|exceptions?|timeouts?|timed out|unreachable|unavailable|outage|incident|health ?checks?|"
    r"heartbeat|certificate|ssl|http \d{3}|5xx|4xx|replicas?|pods?|nodes?|queue|backlog|saturat\w+|requests?/s|rps|"
    r"qps|packet loss|restart\w*|crash\w*|oom\w*|probe|throughput|lag|requests?|connections?|storage|volume|"
    r"inode\w*|db|database|response time|p9\d|slo|burn rate|anomal\w+|failed logins?|severity|[A-Z]\w+(?:Error|"
    r"Exception)|(?:greater|less|higher|lower|more) than|above|below|exceed\w*|spike)\b|[<>]=? ?\d|\d ?%",
    re.IGNORECASE,
)
BROKEN = re.compile(
    r"\b(?:fail(?:s|ed|ing|ures?)?|down|lost|missed|miss(?:es|ing)|expire[sd]?|expiring|rejected|denied|full|"
    r"exhausted|slow|stuck|delayed|behind|unable|cannot|can't|refused|too (?:many|high|low|few|long|slow)|"
    r"not (?:ready|running|responding)|stopped|dead|high|low)\b",
    re.IGNORECASE,
)
ERROR = re.compile(r"\b[A-Z]\w+(?:Error|Exception)\b")
MONITOR = re.compile(
    r"alert|alarm|monitor|watch|uptime|status|pager|prometheus|grafana|incident|probe|health|sentinel|"
    r"(?<!ship)(?<!shop)ping|check(?!out)|nagios|zabbix|icinga|sensu|metric|observ|telemetry|guard|detector|"
    r"datadog|new ?relic|netdata|honeycomb|instana|dynatrace|kibana|elastic|splunk|graylog|sentry|opsgenie|cronitor",
    re.IGNORECASE,
)
READING = re.compile(
    r"^[\w.@-]{2,80}/[\w./-]{2,120}(?::[\w.:%\s-]{0,200}\d[\w.:%\s-]{0,60})?$|"
    r"^[\w./@-]{2,120}:\s?-?\d[\d.]*\s?\w{0,3}%?$"
)
CALM = re.compile(
    r"\b(?:back to normal|no longer|recovered|resolved|is ok|all clear|healthy again|back (?:up|online))\b", re.I
)
PARENTHESES = re.compile(r"\(([^()]{1,400})\)(?: \||$)")
SEVERITY_LABEL = re.compile(r"\bseverity\s?[=:]\s?[\"']?(\w+)", re.IGNORECASE)
SEVERITY_LABELS = re.compile(r"critical|warning|page|notify|info|p[1-5]|sev-?[0-5]|ticket", re.IGNORECASE)


# What makes "is down", "open" or "high" a monitor's word: a thing that is watched, or a word of the trade.
WATCHED = re.compile(
    r"\b(?:api|services?|servers?|hosts?|sites?|websites?|endpoints?|urls?|sensors?|devices?|checks?|jobs?|clusters?|"
    r"apps?|instances?|interfaces?|gateways?|routers?|switch(?:es)?|links?|vpn|dns|brokers?|workers?|containers?|"
    r"processes|process|(?i:firing|resolved|recovered|triggered|problem|no data)|backups?|cron|replication|rule)\b|"
    r"(?<![\w.])[A-Za-z]\w*(?:[-_./:@]\w+)+|\b[A-Z][a-z0-9]+[A-Z]\w|\b(?:DOWN|UP|OK|CRITICAL|WARNING|FAILED|ERROR)\b|"
    r"[\[\]]"
)
AMOUNT = re.compile(
    r"\b(?:is|are|was|closed|opened) (?:down|up|off)(?: by)? (?:[$€£]\d|\d[\d.,]{0,9} ?(?:%|points|pts))", re.IGNORECASE
)
WITNESSES = frozenset(
    {
        *(set(names.SERVICE_FIELDS) - {"project", "resource", "source", "topic", "system", "site", "container"}),
        *(*names.NAME_FIELDS, *DURATION_FIELDS, "severity", "alert severity", "alert", "rule", "trigger", "reason"),
        *("cause", "error", "threshold", "condition", "current state", "new state", "runbook", "labels", "tags"),
    }
)


@dataclass
class Reading:
    """What was found so far."""

    state: State | None = None
    confidence: float = 0.0
    priority: Priority | None = None
    heads: list[tuple[Line, Headline]] = field(default_factory=list)


def read_message_state(doc: Document, *, strict: bool = False) -> Reading:
    """Whether something opens or closes, and how surely.

    Args:
        doc: the message.
        strict: the message sounds like other business: only a state in an alert's own form counts.
    """
    reading = Reading(heads=[(line, take_apart(line)) for line in doc.headlines])
    if not reading.heads and doc.fallbacks:
        reading.heads = [(line, take_apart(line)) for line in doc.fallbacks[:1]]
    reading.priority = _priority(doc, reading)
    states: list[tuple[float, State]] = []
    for at, (line, head) in enumerate(reading.heads):
        if head.state and not head.severity_only:
            states.append((head.strength - at * 0.01, head.state))
        sentence = SENTENCE.search(line.plain)
        if sentence:
            states.append((0.9, _of_word(sentence["state"])))
    for key in STATE_FIELDS:
        value = doc.values.get(key)
        level = read_level(value) if value else None
        if level and level.state:
            weak = key in {"type", "event", "condition", "action", "result"} or (
                level.priority and level.state == "open"
            )
            states.append((0.6 if weak else 0.93, level.state))
            break
    if not any(strength >= 0.8 for strength, _ in states):
        states.extend(_below(doc))
    if states:
        reading.confidence, reading.state = max(states, key=lambda found: found[0])
        if reading.confidence < 0.8 and not strict:
            reading.state = _weigh(doc, reading)
    elif not strict:
        reading.state, reading.confidence = _guess(doc, reading)
    if reading.state and not _witnessed(doc, reading):
        reading.state = None
    if strict and reading.confidence < 0.85:
        reading.state = None
    return reading


def take_apart(line: Line) -> Headline:
    """A line's headline; a state in code marks or in bold counts as one in brackets."""
    raw = line.raw
    if ("`" in raw or "*" in raw) and len(raw) < 400:
        marked = MARKED.sub(lambda match: f"[{match[1]}]" if _is_label(raw, match) else match[0], raw)
        if marked != raw:
            return read_headline(plain(marked))
    return read_headline(line.plain)


def _is_label(raw: str, match: re.Match[str]) -> bool:
    """Whether a marked word is a state, and no part of a sentence: nothing but other marks stands before it."""
    before = EMOJI.sub("", MARKED.sub("", raw[: match.start()]))
    return read_level(match[1]).state is not None and not any(char.isalpha() for char in before)


def _of_word(word: str) -> State:
    return "close" if word.lower() in {"resolved", "recovered", "closed", "cleared"} else "open"


def _below(doc: Document) -> list[tuple[float, State]]:
    """States in the first lines of the body, where no headline gives one."""
    found: list[tuple[float, State]] = []
    for at, line in enumerate(doc.lines[:6]):
        sentence = SENTENCE.search(line.plain)
        if sentence:
            found.append((0.88, _of_word(sentence["state"])))
            continue
        head = take_apart(line)
        if head.state and not head.severity_only and head.strength >= 0.85:
            found.append((head.strength - 0.1 - at * 0.01, head.state))
    return found


def _witnessed(doc: Document, reading: Reading) -> bool:
    """Whether anything but an everyday word ("is down", "open") says that a monitor wrote this."""
    if doc.color or MONITOR.search(doc.username):
        return True
    text = "\n".join(line.plain for line, _ in reading.heads)
    if AMOUNT.search(text):
        return False
    sign = "bad" if reading.state == "open" else "good"
    if any(line.sign == sign or "*" in line.raw or "`" in line.raw for line, _ in reading.heads):
        return True
    return bool(WATCHED.search(text) or SUBJECT.search(text)) or not WITNESSES.isdisjoint(doc.values)


def _weigh(doc: Document, reading: Reading) -> State | None:
    """A weak state must not contradict the colour and the emoji."""
    signs = {doc.color, *(line.sign for line, _ in reading.heads[:2])} - {""}
    if reading.state == "open" and signs == {"good"}:
        return "close" if reading.confidence < 0.7 else "open"
    if reading.state == "close" and doc.color == "bad" and reading.confidence < 0.7:
        return "open"
    return reading.state


def _guess(doc: Document, reading: Reading) -> tuple[State | None, float]:
    """A state from severity, emoji and colour, where the message is about something that can break."""
    text = "\n".join([*(line.plain for line, _ in reading.heads), *(line.plain for line in doc.lines[:8])])
    fields = any(key in doc.values for key in SEVERITY_FIELDS) or any(key in doc.values for key in names.NAME_FIELDS)
    about = (
        bool(SUBJECT.search(text))
        or fields
        or bool(doc.color == "bad" and (MONITOR.search(doc.username) or BROKEN.search(text)))
    )
    measured = any(READING.match(line.plain) for line, _ in reading.heads)
    emoji = next((line.sign for line, _ in reading.heads if line.sign), "")
    severe = any(head.severity_only for _, head in reading.heads)
    below = [take_apart(line) for line in doc.lines[:2]]
    severe = severe or any(head.severity_only and head.priority == "HIGH" for head in below)
    if severe:
        return ("close", 0.6) if doc.color == "good" or emoji == "good" else ("open", 0.7)
    if not (about or measured):
        return None, 0.0
    calm = doc.color == "good" or emoji == "good" or (not doc.color and MONITOR.search(doc.username))
    if calm and CALM.search(text[:400]):
        return "close", 0.65
    if doc.color:
        if measured or fields or doc.color in (emoji, "bad"):
            return ("open" if doc.color == "bad" else "close"), 0.5 if not measured else 0.6
        if len({line.plain for line in doc.lines + doc.titles}) == 1 and len(text) < 160:
            return "close", 0.4
        return None, 0.0
    labelled = fields or any(SEVERITY_LABEL.search(line.plain) for line, _ in reading.heads)
    if reading.priority and labelled:
        return ("close", 0.55) if emoji == "good" else ("open", 0.6)
    if emoji and (fields or BROKEN.search(text[:200]) or ERROR.search(text[:200]) or (emoji == "bad" and doc.titles)):
        return ("open" if emoji == "bad" else "close"), 0.5
    return None, 0.0


def resembles_alert(doc: Document) -> bool:
    """Whether a message in which no state was found may be an alert all the same."""
    if other_business(doc) == "never":
        return False
    text = "\n".join(line.plain for line in (*doc.headlines, *doc.lines[:8]))
    signs = doc.color or any(line.sign for line in doc.headlines)
    return bool(SUBJECT.search(text)) and bool(signs or MONITOR.search(doc.username) or BROKEN.search(text))


def _priority(doc: Document, reading: Reading) -> Priority | None:
    """The stated priority: a field's first, then the headlines'."""
    for key in SEVERITY_FIELDS:
        priority = read_priority(doc.values.get(key, ""))
        if priority:
            return priority
    for _, head in reading.heads:
        if head.priority:
            return head.priority
    for key in STATE_FIELDS[:12]:
        level = read_level(doc.values[key]) if key in doc.values else None
        if level and level.priority and level.state == "open":
            return level.priority
    for line in doc.lines[:3]:
        marked = take_apart(line) if "`" in line.raw or "*" in line.raw else None
        if marked and marked.state and marked.priority:
            return marked.priority
    for line in doc.lines[:8]:
        label = SEVERITY_LABEL.search(line.plain)
        if label:
            return read_priority(label[1])
    for line in (*(line for line, _ in reading.heads), *doc.fallbacks[:1]):
        listed = PARENTHESES.search(line.plain)
        for word in listed[1].split() if listed else []:
            if SEVERITY_LABELS.fullmatch(word):
                return read_priority(word)
    return None


def find_duration(doc: Document) -> timedelta | None:
    """How long it lasted, where the message says so."""
    value = doc.value(*DURATION_FIELDS)
    found = read_duration(value) if value else None
    if found:
        return found
    for line in (*doc.heads[:2], *doc.titles[:2], *doc.lines[:12]):
        match = LASTED.search(line.plain)
        if match:
            return read_duration(match[1])
    return None
