"""Takes a headline apart: states and severities off both ends, what is left is the name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tools.alerts.model import Priority
from tools.alerts.states import (
    ANY_STATE,
    CLOSED,
    MILD,
    NEUTRAL,
    OPENED,
    SEVERE,
    SEVERITY,
    STATE_AT,
    State,
    longest_first,
    read_level,
    read_priority,
    read_state,
    state_of,
)


@dataclass
class Headline:
    """A headline taken apart.

    Attributes:
        name: what is left; empty where the headline is nothing but states.
        state: the state that it gives, if it does.
        strength: how surely, 0 to 1.
        priority: the severity that it gives.
        severity_only: whether the state follows from the severity alone.
        labels: other words in brackets at its beginning.
        sentence: whether the state came as a verb ("is DOWN", "has been resolved").
        place: where it is, from "Alert firing in PLACE".
    """

    name: str
    state: State | None = None
    strength: float = 0.0
    priority: Priority | None = None
    severity_only: bool = False
    labels: list[str] = field(default_factory=list)
    sentence: bool = False
    place: str = ""

    def learn(self, state: State | None, strength: float) -> None:
        """Take a state, unless a surer one is known."""
        if state and (self.state is None or strength > self.strength):
            self.state, self.strength, self.severity_only = state, strength, False

    def learn_severity(self, priority: Priority | None) -> None:
        """Take a severity; alone, it means that something is wrong."""
        if priority and self.priority is None:
            self.priority = priority
        if priority and self.state is None:
            self.state, self.strength, self.severity_only = "open", 0.6, True


THINGS = re.compile(r"\W*(?:up|down|online|offline|unreachable)\W*", re.IGNORECASE)
BRACKET = re.compile(r"[\[({【]([^\[\](){}【】]{1,80})[\])}】]\s*[:\-–—|•]?\s*")
# "[Triggered on {host:web-7}]": a state, and of which group of a monitor.
SCOPED = re.compile(r"\[(?P<state>[A-Za-z][A-Za-z -]{1,30}) (?:on|for) \{(?P<scope>[^{}\[\]]{1,200})\}\]\s*")
PREFIX_KIND = re.compile(
    r"(?:(?:service|host|metric|monitor|new|an?|the|your|this|prometheus|grafana|uptime|system|security|slo|"
    r"(?:slo |budget )?burn(?: rate)?|budget|splunk|elastic|kibana|graylog|zabbix|datadog|sentry|nagios|icinga|"
    r"azure|aws|cloudwatch|pingdom|"
    r"[a-z]+ monitor)\s+){0,3}(?:alert|alarm|incident|problem|notification|alerts|trigger|monitor|check|"
    r"issue|"
    r"event)\s*(?:#\s?[\w.-]{1,40}|\d{1,12})?\s*(?=[:\-–—|]|(?:is |has |was |now |been |got |status |"
    r"state )*(?P<next>\w))",
    re.IGNORECASE,
)
VERBS = (
    r"(?:(?:alert|alarm|incident|monitor|status|state|it|check)\s+)?(?:(?:is|are|has|have|was|were|now|again|"
    r"currently|been|just|got|went|came|gone|turned|became|changed to|still|also|back|being|auto(?:matically)?|"
    r"successfully|in|:)\s+){0,5}"
)
OPEN_VERB = rf"(?P<open>{longest_first(OPENED)}|{longest_first(SEVERE)}|{longest_first(MILD)})"
ANY_VERB = rf"(?:{OPEN_VERB}|(?P<close>{longest_first(CLOSED)})|(?P<neutral>{longest_first(NEUTRAL)}))"
TAIL = re.compile(
    rf"(?:^|\s+|\s*[:|–—\-]+\s*)(?P<verbs>{VERBS}){ANY_VERB}(?:\s+state|\s+status|\s+again|\s+now)?[\s.!]*$",
    re.IGNORECASE,
)
# "web-1 is DOWN since 09:12", "checkout has been triggered due to …": a verb, a state, and then a reason or nothing.
SENTENCE = re.compile(
    r"(?:^|\s)(?:(?:is|are|has|have|was|were|went|came|got|turned|became|seems|appears|looks)\s+)"
    r"(?:(?:now|again|currently|been|just|gone|to be|"
    r"still|also|back|in|auto(?:matically)?|successfully|an? state of|a|an|the)\s+){0,4}"
    rf"{ANY_VERB}(?P<after>\s*(?:$|[:.,;!|(–—]|-\s)|\s+(?:health|state|status|again|now|due|because|since|for|"
    rf"after|at|as|on|by|with|in|"
    r"from|until|when|while|and|but|\d))",
    re.IGNORECASE,
)
SEVERE_KIND = re.compile(
    r"\s+(?:(?:azure |cloud |system )?monitor )?(?:alert|alarm|incident|problem)\b\s*", re.IGNORECASE
)
LASTED = re.compile(r"\s+(?:in|after)\s+[\w ,]{1,40}:\s*", re.IGNORECASE)
HARD_SEPARATOR = re.compile(r"\s*(?:[:|•·–—»]|-+(?=\s)|-> )\s*")


def read_headline(line: str) -> Headline:
    """Take a plain line apart: states and severities off both ends, what is left is the name."""
    head = Headline(name=line[:300])
    _strip_lead(head)
    _strip_tail(head)
    head.name = head.name.strip(" :|-–—•·,\t")
    return head


def _strip_lead(head: Headline) -> None:
    for _ in range(6):
        rest = head.name.lstrip(" :|-–—•·,.>!*")
        scoped = SCOPED.match(rest)
        level = read_level(scoped["state"]) if scoped else None
        if scoped and level and level.state:
            head.learn(level.state, 0.95)
            head.learn_severity(level.priority)
            head.place = head.place or scoped["scope"].split(",")[0].partition(":")[2].strip()
            head.name = rest[scoped.end() :]
            continue
        bracket = BRACKET.match(rest)
        if bracket:
            inside = bracket[1].strip()
            state = read_state(inside)
            severity = SEVERITY.fullmatch(inside)
            if not state and not severity and ":" in inside:  # [Severity: HIGH], [FIRING: 2 | RESOLVED: 1]
                state, severity = (
                    read_state(inside.split(":", 1)[1]),
                    SEVERITY.fullmatch(inside.split(":", 1)[1].strip()),
                )
            if state == "open" and inside.lower() in {"error", "alert", "new"}:
                head.learn_severity("HIGH" if inside.lower() == "error" else None)
                head.learn(state, 0.7)
            elif state:
                head.learn(state, 0.95)
                if head.labels and THINGS.fullmatch(inside):  # [thing] [Down] reason
                    head.name = head.labels[-1]
                    return
            elif severity:
                head.learn_severity(read_priority(inside))
            elif len(rest) > bracket.end():
                head.labels.append(inside)
            else:
                break
            head.name = rest[bracket.end() :]
            continue
        if not _strip_word(head, rest):
            head.name = rest
            break


def _strip_word(head: Headline, rest: str) -> bool:
    """Take one leading state, severity or kind ("Alert:", "Incident #3") off; False where there is none."""
    severity = SEVERITY.match(rest)
    state = STATE_AT.match(rest)
    if state and (not severity or state.end() >= severity.end()):
        after = rest[state.end() :]
        shouted = state[0].upper() == state[0] and len(state[0]) > 1
        hard = HARD_SEPARATOR.match(after) or LASTED.match(after)
        if hard or not after.strip() or (shouted and after.startswith(" ")):
            name = state_of(state)
            word = state[0].lower()
            weak = word in {
                "error",
                "alert",
                "new",
                "failed",
                "failure",
                "started",
                "active",
                "completed",
                "success",
                "updated",
                "unknown",
                "back",
                "test",
            }
            if word == "error":
                head.learn_severity("HIGH")
            head.learn(name, 0.7 if weak else 0.9)
            head.name = after[hard.end() :] if hard else after
            return True
        joined = re.match(r"\s+(?:alert|alarm|incident|problem|issue)?\s*(?:for|on|in|at|from)\s+", after)
        if joined and state[0].lower() not in {"back", "new", "open", "missing", "error", "test", "started"}:
            head.learn(state_of(state), 0.85)
            head.name = after[joined.end() :]
            return True
    if severity:
        after = rest[severity.end() :]
        hard = HARD_SEPARATOR.match(after)
        shouted = severity[0].upper() == severity[0]
        kind = SEVERE_KIND.match(after)
        if hard or kind or not after.strip() or (shouted and after.startswith(" ")):
            head.learn_severity(read_priority(severity[0]))
            head.name = after[hard.end() :] if hard else after[kind.end() :] if kind else after
            return True
        follows = STATE_AT.match(after.lstrip()) or SEVERITY.match(after.lstrip())
        if follows and after.startswith(" ") and HARD_SEPARATOR.match(after.lstrip()[follows.end() :] + " "):
            head.learn_severity(read_priority(severity[0]))
            head.name = after
            return True
    return _strip_kind(head, rest)


def _strip_kind(head: Headline, rest: str) -> bool:
    kind = PREFIX_KIND.match(rest)
    if not kind or kind.end() == 0:
        return False
    after = rest[kind.end() :]
    hard = HARD_SEPARATOR.match(after)
    if hard:
        head.name = after[hard.end() :]
        head.learn("open", 0.55) if kind[0].strip().lower() in {
            "alert",
            "alarm",
            "problem",
            "new alert",
            "new incident",
        } else None
        return True
    joined = re.match(r"(?:for|on|in)\s+", after, re.IGNORECASE)
    if joined:
        head.name = after[joined.end() :]
        return True
    state = re.match(rf"(?P<verbs>{VERBS})(?:{ANY_STATE})\b", after, re.IGNORECASE)
    if state:
        follow = after[state.end() :]
        hard = HARD_SEPARATOR.match(follow)
        joined = re.match(r"\s+(?P<word>for|on|in|at)\s+", follow)
        if joined and joined["word"] != "for" and ":" not in follow:
            head.place = follow[joined.end() :].strip()
            follow, joined = "", None
        if hard or joined or not follow.strip(" .!"):
            head.learn(state_of(state), 0.9)
            head.name = follow[(hard or joined).end() :] if hard or joined else ""  # type: ignore[union-attr]
            return True
    return False


# "web-1 / Filesystem - OK -> CRITICAL": where it comes from, and where it goes.
ARROW = re.compile(r"(?:^|[\s:|(\[–—-])(?P<since>[A-Za-z]{2,12}) -> (?P<to>[A-Za-z]{2,12})[\])]?$")
# "Rule 'Too slow' recovered for group 'checkout'": a quoted name and a state, with or without a verb.
CALLED = re.compile(
    rf"^(?:[a-z]+ (?=alert|alarm|monitor|rule))?(?:(?:the|your|alert|alerting|rule|monitor|check|alarm|watch|"
    rf"trigger|detector|condition|probe|slo) ){{0,3}}[\"'“‘](?P<name>[^\"“”]{{2,160}}?)[\"'”’] {VERBS}{ANY_VERB}\b"
    r"(?:\s+for (?:group|host|service|monitor|alert) [\"'“]?(?P<place>[\w./:-]{2,80}))?",
    re.IGNORECASE,
)


def _strip_tail(head: Headline) -> None:
    called = CALLED.match(head.name)
    if called and head.state is None:
        _learn_word(head, called, _word(called), 0.85)
        head.place = head.place or called["place"] or ""
        head.name = called["name"]
        return
    for _ in range(4):
        name = head.name.rstrip(" :|-–—•·,.!\t")
        arrow = ARROW.search(name, max(0, len(name) - 40)) if " -> " in name else None
        if arrow and read_level(arrow["since"]).state and read_level(arrow["to"]).state:
            head.learn(read_level(arrow["to"]).state, 0.96)
            head.learn_severity(read_priority(arrow["to"]))
            head.name = name[: arrow.start()]
            continue
        bracket = re.search(r"\s*[\[(]([^\[\]()]{1,60})[\])]$", name[-80:])
        if bracket:
            inside = bracket[1].strip()
            state, severity = read_state(inside), SEVERITY.fullmatch(inside)
            if state or severity:
                head.learn(state, 0.85) if state else head.learn_severity(read_priority(inside))
                head.name = name[: len(name) - len(bracket[0])]
                continue
        if _strip_sentence(head, name):
            continue
        head.name = name
        return


TELLING = frozenset(
    {
        "resolved",
        "recovered",
        "triggered",
        "firing",
        "alerting",
        "reopened",
        "back to normal",
        "unreachable",
        "acknowledged",
    }
)


# "web-1 recovered: disk_space of / = 60%": what happened to a thing, and then its value.
TOLD = re.compile(r"^(?P<name>\S{2,80}) (?P<state>recovered|resolved|cleared|triggered|alerting):\s")
# "web-1 HTTP CRITICAL: connection refused": capitals in the middle, and then what happened.
SHOUT = re.compile(
    r"^(?P<name>\S.{1,120}?) (?P<state>CRITICAL|WARNING|OK|UNKNOWN|DOWN|UP|FIRING|RESOLVED|RECOVERED|ALARM)"
    r"\s?[:–-](?:\s|$)"
)
THING_STATES = frozenset({"Down", "Offline", "Unreachable"})
PLACE = re.compile(
    r"\s*(?:for|on|in)\s+(?:(?:group|host|service|device|monitor|server|"
    r"instance)\s+)?['\"“]?(?P<place>[\w./:-]{2,80})['\"”]?:?$"
)


def _strip_sentence(head: Headline, name: str) -> bool:
    """Take a state behind the name off: behind a verb, in capitals, or parted by a mark."""
    leading = head.state is not None
    for match in SENTENCE.finditer(name):
        word = _word(match)
        if match.start() == 0 or (leading and not word.isupper()):
            continue
        _learn_word(head, match, word, 0.9)
        place = PLACE.match(name, match.start("after"))
        head.place = head.place or (place["place"] if place else "")
        head.sentence = True
        head.name = name[: match.start()]
        return True
    shout = None if leading else SHOUT.match(name) or TOLD.match(name)
    if shout:
        head.learn(read_state(shout["state"]), 0.85)
        head.learn_severity(read_priority(shout["state"]))
        head.sentence = True
        head.name = shout["name"]
        return True
    tail = TAIL.search(name, max(0, len(name) - 70)) or _before_parenthesis(name)
    if tail is None or (tail.start() == 0 and leading):
        return False
    word = _word(tail)
    shouted = word.isupper() and len(word) > 1
    parted = bool(re.match(r"\s*[:|–—]|\s+-", tail[0]))
    if leading and not shouted:
        return False
    if not (tail["verbs"].strip() or shouted or parted or word.lower() in TELLING or word in THING_STATES):
        return False
    _learn_word(head, tail, word, 0.9 if tail["verbs"].strip() or shouted else 0.8)
    head.sentence = True
    head.name = name[: tail.start()]
    return True


def _before_parenthesis(name: str) -> re.Match[str] | None:
    """``NAME: UP (downtime 3m)``."""
    opening = name.rfind(" (")
    return TAIL.search(name[:opening], max(0, opening - 70)) if opening > 0 and name.endswith(")") else None


def _word(match: re.Match[str]) -> str:
    return next(str(match[group]) for group in ("open", "close", "neutral") if match[group])


def _learn_word(head: Headline, match: re.Match[str], word: str, strength: float) -> None:
    head.learn("open" if match["open"] else "close" if match["close"] else "neutral", strength)
    if match["open"]:
        head.learn_severity(read_priority(word))
