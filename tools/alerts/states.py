"""The words for states and severities, alone or as what a field says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tools.alerts.model import Priority

State = Literal["open", "close", "neutral"]

OPENED = (
    "firing|fired|triggered|trigger|alarm|in alarm|alarming|alerting|alert|problem|down|offline|unreachable|outage|"
    "opened|open|created|raised|active|activated|started|failing|failed|failure|degraded|degraded performance|"
    "partial outage|major outage|full outage|unhealthy|unavailable|no data|nodata|missing data|data missing|"
    "missing|late|breached|breach|violated|violation|investigating|identified|monitoring|escalating|regressed|"
    "regression|"
    "re-?opened|re-?triggered|re-?notify|renotify|unknown|insufficient data|not ok|not responding|unresolved|ongoing|"
    "stopped responding|timed out|not reported|not reporting|not checked in|stopped reporting|exceeded|new|"
    "new alert|new incident|new issue|error|crash-?loop-?back-?off|image-?pull-?back-?off|oom-?killed|evicted|"
    "not ?ready"
)
CLOSED = (
    "resolved|auto-?resolved|recovered|recovery|ok|okay|up|closed|normal|back to normal|cleared|clear|healthy|"
    "online|operational|restored|fixed|inactive|ended|back up|back online|back|passing|all clear|reporting again|"
    "working again|running again|responding again|solved|deactivated|returned to normal|no longer alerting|"
    "no longer firing|available|reachable|responding"
)
NEUTRAL = (
    "acknowledged|acknowledgement|acknowledge|acked|ack'd|ack|snoozed|silenced|silence|muted|unmuted|suppressed|"
    "paused|unpaused|maintenance|under maintenance|scheduled|in progress|downtime ?start(?:ed)?|"
    "downtime ?end(?:ed)?|downtime ?cancell?ed|downtime ?removed|downtime|flapping ?start(?:ed)?|"
    "flapping ?stop(?:ped)?|flapping ?disabled|flapping ?end|flapping|assigned|reassigned|unassigned|escalated|"
    "pending|disabled|enabled|test|delegated|custom|note added|commented|archived|ignored|merged|draft|verifying|"
    "updated|starting|completed|success|succeeded|successful"
)
SEVERE = (
    "critical|crit|fatal|emergency|emerg|disaster|panic|blocker|severe|page|urgent|error|err|major|high|"
    "sev ?-?[012]|s[012]|p ?-?[012]|priority ?[12]"
)
MILD = (
    "warning|warn|minor|info|information|informational|notice|notify|low|medium|moderate|average|ticket|debug|"
    "not classified|sev ?-?[3456]|s[345]|p ?-?[3456]|priority ?[345]"
)
WORDS = {"open": OPENED, "close": CLOSED, "neutral": NEUTRAL}

COUNT = r"(?:\s*(?:[:#x×]\s*\d+|\(\d+\)))?"


def longest_first(words: str) -> str:
    """Alternatives for an expression, so that none hides a longer one."""
    return "|".join(sorted(words.split("|"), key=len, reverse=True))


ANY_STATE = "|".join(f"(?P<{name}>{longest_first(words)})" for name, words in WORDS.items())
ANY_SEVERITY = f"(?P<severe>{longest_first(SEVERE)})|(?P<mild>{longest_first(MILD)})"
# A whole phrase that is nothing but a state or a severity, such as the inside of brackets or a field's value.
PHRASE = re.compile(
    rf"(?:is |now |status:? |state:? |alert |incident |prometheus |monitor |new )*(?:{ANY_STATE}){COUNT}[.!]*",
    re.IGNORECASE,
)
STATE_AT = re.compile(rf"(?:{ANY_STATE}){COUNT}(?![\w'’]|-\w)", re.IGNORECASE)
SEVERITY = re.compile(rf"(?:severity:? |priority:? )?(?:{ANY_SEVERITY})\b", re.IGNORECASE)
TRANSITION = re.compile(r"^\W*[\w ]{2,30}? (?:->|to) (?P<to>[A-Za-z ]{2,30})\W*$")
FIRING_COUNT = re.compile(r"\b(?:firing|alerting|open|triggered)\s*[:=(]?\s*(\d+)", re.IGNORECASE)


@lru_cache(maxsize=4096)
def read_state(phrase: str) -> State | None:
    """The state that a whole phrase is, such as ``FIRING:2`` or ``OK -> ALARM``; None where it is more than that."""
    phrase = phrase.strip(" .!:|-–—\"'")
    if not phrase or len(phrase) > 60:
        return None
    transition = TRANSITION.match(phrase)
    if transition:
        target = read_level(transition["to"].strip())
        if target.state:
            return target.state
    firing = FIRING_COUNT.search(phrase)
    if firing and "," in phrase:  # [FIRING:1, RESOLVED:2]
        return "open" if int(firing[1][:9]) else "close"
    match = PHRASE.fullmatch(phrase)
    return state_of(match) if match else None


@dataclass(frozen=True)
class Level:
    """A state, or a severity that implies one where nothing else is said."""

    state: State | None = None
    priority: Priority | None = None


@lru_cache(maxsize=4096)
def read_level(phrase: str) -> Level:
    """What a field's value says: its first words, up to a mark of punctuation, are a state or a severity."""
    phrase = phrase.strip(" .!:|-–—\"'")[:80]
    for part in (phrase, re.split(r"[,;(/|:]| - | for | since | at | after | by | on ", phrase, maxsplit=1)[0].strip()):
        state = read_state(part)
        severity = SEVERITY.fullmatch(part)
        if state or severity:
            priority = read_priority(part)
            return Level(state or "open", priority)
    return Level()


@lru_cache(maxsize=4096)
def read_priority(phrase: str) -> Priority | None:
    """HIGH or LOW, where a phrase begins with a severity."""
    match = SEVERITY.match(phrase.strip(" .!:|-–—\"'[]()"))
    if not match:
        return None
    return "HIGH" if match["severe"] else "LOW"


def state_of(match: re.Match[str]) -> State | None:
    """The state whose group matched."""
    for name in ("open", "close", "neutral"):
        if match[name]:
            return name
    return None
