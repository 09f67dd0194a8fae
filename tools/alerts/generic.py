"""Reads alerts of systems that nobody told it of, from what their messages have in common.

Monitoring tools write the state as a word in brackets or in capitals at an end of the headline, as a verb behind
the name, or in a field; some only colour the message. What is left of the headline is the alert's name; fields and
labels name the service. A message that tells of something else (tools/alerts/others.py) is none, and what shows no
sign of an alert is none either.
"""

from __future__ import annotations

import re

from tools.alerts import names
from tools.alerts.document import PAIR, Document, Line, key_of
from tools.alerts.groups import labelled_alerts
from tools.alerts.headlines import Headline, read_headline
from tools.alerts.model import CLOSE, OPEN, Alert, build_alert, merge
from tools.alerts.others import other_business
from tools.alerts.signs import (
    DURATION_FIELDS,
    SENTENCE,
    SEVERITY_FIELDS,
    STATE_FIELDS,
    Reading,
    find_duration,
    read_message_state,
    take_apart,
)

NAME = "generic"
NOTES = ("info", "additional info", "details", "output", "check output", "time", "date", "since", "started", "link")
FRAME = ("environment", "env", "region", "group", "team", "account", "location", "tags", "period", "dataset")
DETAILS = frozenset(
    {*FRAME, *names.SERVICE_FIELDS, *STATE_FIELDS, *SEVERITY_FIELDS, *DURATION_FIELDS, "reason", *NOTES}
)
RULE_FIELDS = ("alert policy", "policy", "rule", "trigger", "condition")
PLACE = re.compile(r"^(?:in|on|for|at) (?P<place>[\w./ -]{2,120})$", re.IGNORECASE)
PLACES = re.compile(r"^(?P<name>.{2,200}?) +\((?P<values>[^()]{1,400})\)$")


class GenericReader:
    """The last of the parsers: takes every message."""

    name = NAME

    def parse(self, doc: Document) -> list[Alert] | None:
        """The alerts, or none; never None."""
        verdict = other_business(doc)
        if verdict == "never":
            return []
        if len(doc.parts) > 1:
            single = [alert for part in doc.parts for alert in self._read(part, verdict == "unless stated")]
            if len({alert.fingerprint for alert in single}) > 1:
                return merge(single)
        return self._read(doc, verdict == "unless stated")

    def _read(self, doc: Document, strict: bool) -> list[Alert]:
        reading = read_message_state(doc, strict=strict)
        if reading.state not in ("open", "close"):
            return []
        action = OPEN if reading.state == "open" else CLOSE
        duration = find_duration(doc) if action == CLOSE else None
        several = labelled_alerts(doc)
        if several:
            return merge([
                build_alert(NAME, doc.username.casefold(), own or action, name, service,
                            priority=priority or reading.priority, duration=duration, confidence=reading.confidence)
                for own, name, service, priority in several
            ])  # fmt: skip
        name, service = find_name(doc, reading)
        if not name:
            return []
        return [
            build_alert(NAME, doc.username.casefold(), action, name, service, priority=reading.priority,
                        duration=duration, confidence=reading.confidence)
        ]  # fmt: skip


def find_name(doc: Document, reading: Reading) -> tuple[str, str | None]:
    """The alert's name and its service."""
    service = names.field_service(doc) or None
    name, found = _named(doc, reading)
    name = name or service or ""
    if service and name and service.casefold() == name.casefold():  # the field names the check; the host has it
        service = (
            names.clean_service(doc.value("host", "hostname", "host name", "entity", "node", "server"))
            or found
            or service
        )
    return name, service or found


def _named(doc: Document, reading: Reading) -> tuple[str, str | None]:
    """The name, and the service where it stands near it."""
    name = names.field_name(doc)
    if name:
        return name, _nearby(doc) or _resource(name)
    place = next((names.clean_service(head.place) for _, head in reading.heads if head.place), None)
    for head, text in _candidates(doc, reading):
        where = PLACE.match(text)
        if where:
            place = place or names.clean_service(where["place"])
            continue
        tagged = names.TAGGED.search(text)
        name = names.clean_name(names.THING.sub("", text) if head.sentence else text)
        if names.is_name(name) and not _is_brand(doc, name):
            whole = name if names.ENTIRELY_QUOTED.match(text) else ""
            name, found = split_name(name, head)
            name = whole or name
            service = names.label_service(names.labels_in(tagged[0])) if tagged else ""
            return name, service or found or place or head.place or _nearby(doc) or _labelled(head) or _resource(name)
    name = names.weak_field_name(doc)
    return name, place or (_resource(name) if name else None)


def _candidates(doc: Document, reading: Reading) -> list[tuple[Headline, str]]:
    """Where the name may stand: the headlines that give a state first, the first lines last."""
    stated: list[tuple[Headline, str]] = []
    rest: list[tuple[Headline, str]] = []
    for line in (*(line for line, _ in reading.heads), *doc.lines[:4]):
        sentence = SENTENCE.search(line.plain)
        if sentence:
            stated.append((Headline("", sentence=True, place=sentence["place"] or ""), sentence["name"]))
            break
    for line, head in reading.heads:
        if _is_detail(line):
            continue
        (stated if head.state and not head.severity_only else rest).append((head, head.name))
    rule = [(Headline(""), names.clean_name(doc.values[key])) for key in ("rule", "trigger") if key in doc.values]
    lines = [(head, head.name) for line in doc.lines[:5] if not _is_detail(line) and (head := take_apart(line)).name]
    rules = [(Headline(""), names.clean_name(doc.values[key])) for key in RULE_FIELDS if key in doc.values]
    condition = doc.values.get("condition", "")
    if len(condition) > 3 and any(condition in head.name for _, head in reading.heads):  # "… on 'High error rate'"
        return [(Headline(""), condition), *stated, *rest]
    return [*stated, *(rule if not doc.titles else []), *rest, *rules, *lines]


def _is_detail(line: Line) -> bool:
    """Whether a line is a field such as ``Host: web-1``, which names no alert."""
    pair = PAIR.match(line.raw)
    return pair is not None and key_of(pair["key"]) in DETAILS


def _nearby(doc: Document) -> str | None:
    """The service among tags and labels, or among the values that a notification lists behind the name."""
    labels = names.labels_in(doc.value("tags", "labels", "tag", "metric tags")) or _line_labels(doc)
    service = names.label_service(labels)
    if service:
        return service
    for line in doc.fallbacks[:1]:
        listed = PLACES.match(line.plain.partition(" | ")[0].strip(" |"))
        if listed and " " in listed["values"]:
            return names.value_service(listed["values"], read_headline(listed["name"]).name) or None
    return None


def split_name(name: str, head: Headline) -> tuple[str, str | None]:
    """A headline's name apart from the host or the labels that stand with it."""
    listed = PLACES.match(name)
    if listed:
        first = listed["name"]
        if names.ADDRESS.match(listed["values"]):  # Checkout page (shop.example.com)
            return first, listed["values"]
        if " " not in first or (
            head.strength >= 0.9 and not names.LABEL.search(listed["values"]) and " " in listed["values"]
        ):
            words = first.split()
            alert = words[0] if len(words) > 1 and names.CAMEL.match(words[0]) else first
            return alert, names.value_service(listed["values"], alert)
        service = names.label_service(names.labels_in(listed["values"]))
        inside = re.match(r"(?:instance|host|node|pod|service|job|app) ([\w./:@-]+)$", listed["values"])
        return name, service or (inside[1] if inside else None)
    measured = names.METRIC.match(name)
    if measured and (
        measured["value"] or "_" in measured["metric"] or measured["metric"].lower() in names.KNOWN_METRICS
    ):
        return measured["metric"], measured["host"]
    if re.match(r"^[\w./@-]{2,120}:-?\d[\d.]*%?$", name):
        return name.rpartition(":")[0], None
    on = names.ON.search(name)
    if on and re.search(r"[\d.\-_/:]|^['\"].+['\"]$", on["host"]):
        host = names.clean_service(on["host"].strip("{}").rpartition(":")[2] if "{" in on["host"] else on["host"])
        apart = head.sentence or (" " not in name[: on.start()] and re.search(r"[A-Z_-]", name[: on.start()]))
        return (name[: on.start()] if apart else name), host
    quoted = names.QUOTED.search(name)
    if quoted and len(quoted[1]) > 0.5 * len(name):
        return quoted[1], None
    return name, None


def _labelled(head: Headline) -> str | None:
    """A bracket before the name: an application, or a project."""
    labels = [
        label for label in head.labels if names.is_name(label) and " " not in label and label.lower() not in names.NOISE
    ]
    return labels[0] if labels else None


def _resource(name: str) -> str | None:
    """A name that is a thing rather than a condition stands for the service: an endpoint, a host, a check."""
    if " " in name or names.CAMEL.match(name):
        return name if " " in name and len(name.split()) <= 3 else None
    return name


def _is_brand(doc: Document, text: str) -> bool:
    """Whether a headline only says who posts: the name of the tool."""
    words = {word for word in re.split(r"\W+", text.lower()) if word}
    poster = {word for word in re.split(r"\W+", doc.username.lower()) if word}
    return bool(words) and (
        words <= poster
        or (
            words - poster <= {"alert", "alerts", "notification", "monitoring", "monitor", "uptime", "status", "alarm"}
            and bool(words & poster)
        )
    )


def _line_labels(doc: Document) -> dict[str, str]:
    """Labels that stand several to a line."""
    for line in doc.lines[:40]:
        if "=" in line.raw or ("," in line.raw and ":" in line.raw):
            labels = names.labels_in(line.plain)
            if len(labels) >= 2:
                return labels
    return {}
