"""Finds the name of an alert and the service that it is about, in fields, labels and headlines."""

from __future__ import annotations

import re

from tools.alerts.document import Document
from tools.alerts.states import SEVERITY, read_state
from tools.alerts.text import words

NAME_FIELDS = (
    "alertname", "alert name", "alarm name", "monitor name", "rule name", "check name", "trigger name", "alert rule",
    "monitor", "check", "alarm", "policy name", "condition name", "problem name",
)  # fmt: skip
WEAK_NAME_FIELDS = (
    "alert", "rule", "trigger", "alert policy", "policy", "event name", "condition", "problem",
    "incident name", "incident title", "event title", "issue title", "metric name", "test name", "summary", "title",
    "subject", "name", "incident", "reason", "message",
)  # fmt: skip
SERVICE_FIELDS = (
    "service", "service name", "services", "affected service", "impacted service", "affected services", "sf service",
    "app",
    "application", "app name", "application name", "job", "job name", "component", "components", "affected components",
    "microservice", "deployment", "workload", "project", "project name", "namespace", "kubernetes namespace",
    "container", "impacted entities", "impacted entity", "affected entities", "affected resource", "dataset",
    "entity", "entity name", "target", "monitor", "resource", "resource name", "system", "queue",
    "database", "endpoint", "host", "host name", "hostname", "instance", "server", "node", "pod", "device", "cluster",
    "function", "url", "site", "source", "topic",
)  # fmt: skip
LABEL = re.compile(
    r"(?<![\w.])(?P<key>[A-Za-z_][\w.]{0,40})\s?(?:=|:(?!//))\s?[\"'`]?(?P<value>[\w./:@-]{1,120})[\"'`]?"
)
ADDRESS = re.compile(r"^(?:\d{1,3}(?:\.\d{1,3}){3}|[\w-]+(?:\.[\w-]+)+)(?::\d{1,5})?$")
ON = re.compile(
    r"\s+(?:on|for|in|at|from)\s+(?:(?:the )?(?:host|service|server|instance|node|cluster|pod|namespace|app|"
    r"application|project|monitor|database)s?[ :=]+)?(?P<host>[\w{][^\s,;()]{1,120})$",
    re.I,
)
TAGGED = re.compile(r"\s+(?:on|for|by)\s+\{?[a-z_.]+:[^\s{}]+(?:,\s[a-z_.]+:[^\s{}]+)*\}?$", re.I)
METRIC = re.compile(
    r"^(?P<host>[\w.@-]{2,120})/(?P<metric>[\w.-]{2,80})(?P<rest>/[^\s:]*)?(?::\s?(?P<value>[\w.:%\s-]{0,200}\d[\w.:"
    r"%\s-]{0,60}))?$"
)
KNOWN_METRICS = words("cpu mem memory disk load swap ping http https ssh dns ntp uptime users procs processes")
# Words that name no alert, not even together: "New alert notification", "The following alert is".
COMMON = words(
    """
    a an the this your new following is are has been was received and of from for in on
    alert alerts alarm alarms alertmanager manager notification notifications notice monitor monitoring report page
    incident incidents event events issue issues problem update message details detail description summary change
    changed state status info information triggered service server host check robot system security health uptime
    prometheus grafana datadog aws cloudwatch amazon kuma slack pagerduty opsgenie sentry relic zabbix nagios icinga
    """
)
WORD = re.compile(r"\W+")
QUOTED = re.compile(r"[\"“'‘]([^\"“”'‘’]{2,160})[\"”'’]")
PARENTHESES = re.compile(r"\s*\(([^()]{0,400})\)$")
CAMEL = re.compile(r"^[A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+$")
CAMEL_PART = re.compile(r"[A-Z]?[a-z0-9]{3,}|[A-Z]{3,}(?![a-z])")
CLOCK = re.compile(r"^\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?\s+")
VALUE = re.compile(r"\s*\((?:value:? ?)?-?\d[\d.,]*\s?%?\)$", re.IGNORECASE)
PRIORITY_TAG = re.compile(r"^\W*[\[(](?:P\d|SEV-?\d|S\d|prio(?:rity)?:? ?\w+)[\])]\s*", re.IGNORECASE)
NUMBER = re.compile(
    r"^(?:#\d{1,12}|\[#?\d{1,12}\]|(?:incident|alert|issue|event|problem) #?\d{1,12})\s*[:\-–—|]?\s*", re.IGNORECASE
)
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`", "«": "»"}
# What follows a name in the same line: "… - Reason: HTTP 503", "…. It was down for 5 minutes".
REASON = re.compile(
    r"\s*(?:[-–—|(,]\s*(?:reason|cause|details?|error|message|root cause|since|duration|downtime)\b|\.\s+(?:it|the|"
    r"this)\b).*$",
    re.IGNORECASE,
)
THING = re.compile(
    r"^(?:(?:your|the|our) )?(?:site|website|check|monitor|service|server|host|endpoint|url|heartbeat|cron ?job|"
    r"job)\s+(?=\S)",
    re.I,
)
# "shop.example.com since 12:00", "shop.example.com/cart after 5 minutes": an address, and then for how long.
ADDRESS_FOR = re.compile(
    r"^([\w-]+(?:\.[\w-]+)+(?::\d{1,5})?(?:/\S{0,120})?)\s+(?:since|after|for|from|reason)\b.*$", re.IGNORECASE
)
# "… ( microsoft.compute/virtualmachines ) at 5/1/2024 12:00:00 PM": what kind it is, and when.
WHEN = re.compile(
    r"\s+(?:at|on|since) (?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[ T]{0,2})?(?:\d{1,2}:\d{2}(?::\d{2})?(?:\.\d{1,9})?)?\s?"
    r"(?:[AP]M|Z)?(?:\s?\(?UTC\)?)?$",
    re.IGNORECASE,
)
KIND = re.compile(r"\s*\(\s(?!https?:)[\w./-]{1,80}\s\)$")
STATED_LABEL = re.compile(r"\s*\((?:severity|priority|level|status|state)\s?[=:]\s?[\w-]{1,20}\)$", re.IGNORECASE)
ENTIRELY_QUOTED = re.compile(r"^\W{0,3}(?:#\d{1,12}:? )?[\"“][^\"“”]{2,160}[\"”]$")
CLUSTERED = re.compile(r"^[\w-]{1,80}/[\w-]{1,80}/[\w-]{2,120}$")  # cluster/namespace/workload
NOTHING = frozenset(
    {"", "-", "n/a", "na", "none", "null", "unknown", "undefined", "(none)", "not set", "nil", "?", "*unknown*"}
)


def clean_name(name: str) -> str:
    """A name without priorities, numbers, quotes and trailing tags."""
    name = VALUE.sub("", PRIORITY_TAG.sub("", CLOCK.sub("", name.strip())))
    name = NUMBER.sub("", name)
    name = STATED_LABEL.sub("", KIND.sub("", WHEN.sub("", TAGGED.sub("", name))))
    name = ADDRESS_FOR.sub(r"\1", REASON.sub("", name)).strip(" :|–—•·,;\t`").rstrip(" -.!(").lstrip("- ")
    while len(name) > 2 and QUOTES.get(name[0]) == name[-1]:
        name = name[1:-1].strip()
    if name.startswith("(") and name.endswith(")"):
        name = name[1:-1]
    return name


def is_name(text: str) -> bool:
    """Whether a text can name an alert: it is not empty, no state, and not only words like "alert notification"."""
    text = text.strip()
    if len(text) < 2 or text.lower() in NOTHING or not any(char.isalpha() for char in text):
        return False
    said = [word for word in WORD.split(text.lower()) if word]
    if all(word in COMMON or word.isdigit() or read_state(word) for word in said):
        return False
    return read_state(text) is None and not SEVERITY.fullmatch(text)


def field_name(doc: Document) -> str:
    """The alert's name from a field that says so."""
    for key in NAME_FIELDS:
        value = doc.values.get(key, "")
        if is_name(value):
            return clean_name(value)
    return ""


def weak_field_name(doc: Document) -> str:
    """The alert's name from a field that may say so."""
    for key in WEAK_NAME_FIELDS:
        value = doc.values.get(key, "")
        if is_name(value) and len(value) <= 160:
            return clean_name(value)
    return ""


def field_service(doc: Document) -> str:
    """The service from the field or label that says it best."""
    values = doc.values
    for key in SERVICE_FIELDS:
        value = values.get(key, "")
        if value and len(value) <= 120 and value.lower() not in NOTHING and read_state(value) is None:
            return clean_service(value)
    return ""


def clean_service(value: str) -> str:
    """A service without surrounding marks; of ``group / project`` the project, of a list the first."""
    value = value.strip(" `*\"'“”,;").strip()
    if " / " in value:
        value = value.rsplit(" / ", 1)[1]
    if CLUSTERED.match(value):
        value = value.rsplit("/", 1)[1]
    if ", " in value:
        value = value.split(", ", 1)[0]
    return PARENTHESES.sub("", value).strip()


def labels_in(text: str) -> dict[str, str]:
    """``key=value`` and ``key:value`` labels that stand in one line, at most 40."""
    found: dict[str, str] = {}
    for match in LABEL.finditer(text[:2000]):
        found.setdefault(match["key"].lower(), match["value"].rstrip(".,:;"))
        if len(found) >= 40:
            break
    return found


def label_service(labels: dict[str, str]) -> str:
    """The service among labels."""
    for key in SERVICE_FIELDS:
        value = labels.get(key) or labels.get(key.replace(" ", "_"))
        if value and value.lower() not in NOTHING:
            return value
    return ""


NOISE = words(
    """
    true false none null page notify ticket platform infrastructure kaas stable testing prod production staging dev
    development live test default
    kubernetes aws gcp azure capa capz capi eu us monitoring/k8s atlas shield phoenix honeybadger cabbage tenet rocket
    management_cluster workload_cluster cluster tcp udp http https get post ready failed
    running pending succeeded
    """
)


def value_service(values: str, alert: str) -> str:
    """The service among bare label values, as some templates list them behind a name: ``(host:9100 node prod)``.

    Labels come in the order of their names, and job and namespace follow instance; what resembles the alert's
    name is a better guess than what does not.
    """
    words = [
        word
        for word in values.replace(",", " ").split()
        if not SEVERITY.fullmatch(word) and word.lower() not in NOISE and not word.startswith("slack-")
    ]
    words = [word for word in words if not CAMEL.match(word)] or words
    if not words:
        return ""
    squeezed = re.sub(r"[\W_]", "", alert).lower()
    said = set(alert.lower().split())  # words of a sentence are no services
    words = [word for word in words if word.lower() not in said] or words
    parts = {part.lower() for part in CAMEL_PART.findall(alert)}
    alike = [word for word in words if _alike(word, squeezed, parts)]
    plain_words = [word for word in words if not ADDRESS.match(word)]
    plain_words = [word for word in plain_words if plain_words.count(word) == 1] or plain_words
    if alike:
        return min(alike, key=lambda word: (bool(ADDRESS.match(word)), words.index(word)))
    for at, word in enumerate(words[:-1]):
        if ADDRESS.match(word) and not ADDRESS.match(words[at + 1]):
            return words[at + 1]
    return plain_words[0] if plain_words else words[0]


def _alike(word: str, squeezed: str, parts: set[str]) -> bool:
    pieces = [piece for piece in re.split(r"[\W_\d]+", word.lower()) if len(piece) >= 3]
    return any(
        squeezed.startswith(piece) or piece in parts or (len(piece) >= 5 and piece in squeezed) for piece in pieces
    )
