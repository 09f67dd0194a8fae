"""The words of the commands' answers, in Markdown. What they tell of is looked up in ratchet/commanding.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from agent.history import Size
from ratchet.explaining import Decision, Place, Reason, left
from ratchet.settings import config_name
from slack_app.mrkdwn import unmention
from storage.budgets import Balance
from tools.mcp.spec import SEPARATOR
from tools.registry import BUILT_IN, CatalogueEntry

RESET = "Session reset! Starting fresh conversation."
NOTHING_RUNS = "Nothing is running in this thread."
STILL_RUNS = "What runs in this thread was asked for by others: only they or members of the workspace can stop it."
NOT_YOURS = "Somebody else began this conversation: only they or members of the workspace can reset it."
NO_THREAD = "You have no conversation with me here yet. Ask me something; the thread below it is the conversation."
INSTALLED = "Added by your team"
COMMANDS = (
    ("help", "this message"),
    ("tools", "every tool that I can use for you here"),
    ("why NAME", 'why I can or cannot use a tool here, also as "why can\'t you …"'),
    ("session", "what I remember of this thread"),
    ("reset", "I forget this thread and start afresh"),
    ("stop", "I stop what I am doing in this thread"),
)


@dataclass(frozen=True)
class Session:
    """What a thread's conversation holds.

    ``since`` is when its first question came; ``states`` counts the turns without an outcome; ``waiting`` names the
    tools that wait for approval; ``link`` is set where the thread is another one than the command's.
    """

    turns: int
    since: datetime | None
    size: Size
    is_reset: bool
    states: dict[str, int]
    waiting: Sequence[str]
    model: str
    language: str
    balances: Sequence[Balance]
    link: str = ""


def show_help(usable: Sequence[CatalogueEntry], person: Reason, place: Place) -> str:
    """What somebody can have done in a channel, a line a topic, and the other commands."""
    if usable:
        parts = [f"Ask me in a sentence. In {place.label} I can help you with:", _topics(usable)]
    elif not person.allows:
        parts = [
            f"I can look nothing up for you in {place.label}: {person.text} (`{person.where}` in {config_name()}). "
            "I can still talk about what is said in this thread."
        ]
    else:
        parts = [f"I can use no tools in {place.label}. `why` tells which rule says so."]
    listed = "\n".join(f"- `{name}`: {what}" for name, what in COMMANDS)
    return "\n\n".join([*parts, "Commands, by mention, in a direct message, or as `/ratchet help`:", listed])


def show_tools(usable: Sequence[CatalogueEntry], others: Sequence[str], person: Reason, place: Place) -> str:
    """Every tool that somebody may have used in a channel, by topic; and the names of the others."""
    parts = []
    for topic, entries in _by_topic(usable):
        lines = [f"- `{entry.name}`: {_sentence(entry)} ({_effect(entry)})" for entry in entries]
        parts.append("\n".join([f"**{topic}**", *lines]))
    if not usable:
        parts.append(f"I can use no tools for you in {place.label}.")
    if not person.allows:
        parts.append(f"{person.text[0].upper()}{person.text[1:]} (`{person.where}` in {config_name()}).")
    elif others:
        names = ", ".join(f"`{name}`" for name in others)
        parts.append(f"Not in {place.label}: {names}. `why NAME` tells which rule says so.")
    return "\n\n".join(parts)


def show_decision(decision: Decision, place: Place) -> str:
    """Why a tool may be used in a channel or not."""
    verdict = "can" if decision.allowed else "cannot"
    lines = [
        f"- {'✓' if reason.allows else '✗'} {reason.about}: {reason.text} (`{reason.where}`)"
        if " " not in reason.where
        else f"- {'✓' if reason.allows else '✗'} {reason.about}: {reason.text}"
        for reason in decision.reasons
    ]
    head = f"I {verdict} use `{decision.tool}` for you in {place.label}. By {config_name()}:"
    return "\n\n".join(part for part in (head, "\n".join(lines), decision.remedy) if part)


def show_no_match(words: str, usable: Sequence[CatalogueEntry], reasons: Sequence[Reason], place: Place) -> str:
    """That no tool does what somebody asked about, and what else stands in the way."""
    asked = (
        f"None of my tools seems to do that: “{unmention(words)}”."
        if words
        else "Name a tool, such as `why update_doc`."
    )
    parts = [asked]
    parts += [f"{reason.text[0].upper()}{reason.text[1:]} (`{reason.where}`)." for reason in reasons]
    if usable:
        parts.append(f"In {place.label} I can use: {', '.join(f'`{entry.name}`' for entry in usable)}.")
    parts.append("A team can bring a tool of its own: docs/adding-a-tool.md. `why NAME` explains a tool that I have.")
    return "\n\n".join(parts)


def show_session(session: Session) -> str:
    """What a thread's conversation holds."""
    where = f"Your last conversation here is [this thread]({session.link})." if session.link else "This conversation:"
    begun = f"{session.since:%Y-%m-%d %H:%M} UTC" if session.since else "now: nothing was asked yet"
    lines = [
        f"- since {begun}{', when it was reset' if session.is_reset and not session.turns else ''}",
        f"- {_count(session.turns, 'question')}, {_count(session.size.messages, 'message')} in what I remember"
        f" (about {session.size.tokens:,} tokens{', the older ones as a summary' if session.size.summarised else ''})",
    ]
    if session.is_reset:
        lines.append("- reset: nothing of what was said before that reaches me")
    if running := session.states.get("running", 0) + session.states.get("queued", 0):
        lines.append(f"- being worked on: {_count(running, 'question')}")
    if session.states.get("waiting"):
        named = ", ".join(f"`{tool}`" for tool in session.waiting)
        lines.append(f"- waiting for approval: {named or _count(session.states['waiting'], 'question')}")
    lines.append(f"- model: {session.model}; language: {session.language or 'that of the question'}")
    lines += [f"- budget: {left(balance)} left" for balance in session.balances] or ["- budget: no limit"]
    return "\n".join([where, "", *lines])


def _topics(usable: Sequence[CatalogueEntry]) -> str:
    lines = []
    for topic, entries in _by_topic(usable):
        extras = [entry.tool.extras or {} for entry in entries]
        example = next((str(extra["example"]) for extra in extras if extra.get("example")), "")
        shown = f"“{example}”" if example else f"“what does {entries[0].name} say?”"
        asks = " (changes ask for approval first)" if any(entry.effect == "change" for entry in entries) else ""
        lines.append(f"- **{topic}**{asks}: {shown}")
    return "\n".join(lines)


def _by_topic(entries: Iterable[CatalogueEntry]) -> list[tuple[str, list[CatalogueEntry]]]:
    """The tools by topic: the built-in ones first, then those of MCP servers and of packages."""

    def key(entry: CatalogueEntry) -> tuple[bool, str]:
        return entry.source != BUILT_IN, _topic(entry)

    return [(topic, list(group)) for (_, topic), group in groupby(sorted(entries, key=key), key=key)]


def _topic(entry: CatalogueEntry) -> str:
    if topic := (entry.tool.extras or {}).get("topic"):
        return str(topic)
    server, separator, _ = entry.name.partition(SEPARATOR)
    return server if separator else INSTALLED


def _sentence(entry: CatalogueEntry) -> str:
    return " ".join(entry.tool.description.split()).partition(". ")[0].rstrip(".")[:200]


def _effect(entry: CatalogueEntry) -> str:
    return {"read": "reads", "post": "posts", "change": "changes something, needs approval"}[entry.effect]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
