"""Reads a plain question: what is wanted, about what, where, when; with the questions before it in mind."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from sandbox.models.chat import ChatRequest, Turn
from sandbox.models.intents import Intent, find_intent, key_terms
from sandbox.models.windows import EVER, Window, find_window

_LINK = re.compile(r"https?://[^\s|<>)]+/archives/[A-Z0-9]+/p\d+[^\s|<>)]*")
_CHANNEL = re.compile(
    r"(?:\b(?:in|from|of|for)\s+)?(?:the\s+)?(#[\w-]*[a-z_-][\w-]*|(?-i:\b[CG](?=[A-Z]*\d)[A-Z0-9]{8,}\b))(?:\s+channel)?",
    re.I,
)
_NAMED_CHANNEL = re.compile(
    r"\b(?:in\s+)?(?:the\s+)?(?!this\b|that\b|which\b|what\b|each\b)([a-z0-9]+(?:[-_][a-z0-9]+)+)\s+channel\b", re.I
)
_NOW = re.compile(r"\bnow\b\D{0,20}(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2}))", re.I)
_HERE = re.compile(r"You are in (#[\w-]+)")
_ORDINALS = {"first": 0, "1st": 0, "top": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3}
_ORDINAL = re.compile(
    r"\b(first|1st|top|second|2nd|third|3rd|fourth|4th|last|fifth|5th)\s+(?:one|alert|alarm|message|hit|result|thread)\b",
    re.I,
)
_ITEM = re.compile(r"^\d+\. \*\*(?P<name>.+?)\*\*(?P<rest>.*)$", re.MULTILINE)
_FOLLOW_UP = re.compile(
    r"^(?:(?:ok|okay|thanks|great|cool)[,.!]?\s+)?(?:and|but|or|what about|how about|only|just|same|also|then|now)\b",
    re.I,
)
_NARROWING = re.compile(r"\b(?:only|just)\b", re.I)
_SHIFT = re.compile(
    r"\b(?:(?:the\s+)?(?P<unit>hour|day|week|month|period)\s+before|before\s+that|(?:the\s+)?previous\s+(?P<other>hour|day|week|month|period))(?:\s+that)?\b",
    re.I,
)
_PRONOUN = re.compile(
    r"\b(?:it|them|these|those|the (?:alert|issue|problem|incident|error))\b|\b(?:this|that)(?=\s*(?:one\b|[?.!,]|$))",
    re.I,
)
_LIMIT = re.compile(r"\b(?:top|first|last|latest)\s+(\d{1,2})\b(?!\s*(?:h|d|w|min|hour|day|week|month))", re.I)


@dataclass(frozen=True)
class Ask:
    """A question, resolved.

    Attributes:
        text: The question itself, without what was put before it and without Slack's markup.
        intent: What is wanted.
        query: Key terms.
        channel: `#name` or id.
        window: The span of time that it names.
        author: Whose messages.
        link: The message or thread that it points at.
        limit: How many items it asks for.
        explicit: Whether the intent stands in the question itself.
        here: Whether it says "it" of what the thread around it is about.
    """

    text: str
    intent: Intent = "search"
    query: str = ""
    channel: str | None = None
    window: Window | None = None
    author: Literal["any", "human", "bot"] = "any"
    link: str | None = None
    limit: int | None = None
    explicit: bool = False
    here: bool = False


@dataclass(frozen=True)
class Listing:
    """The last numbered list of an answer: what it answered, its items with their links."""

    intent: Intent = "search"
    items: tuple[tuple[str, str | None], ...] = ()
    latest: bool = True


def read_now(request: ChatRequest) -> datetime:
    """The time that the system prompt names, else the clock's."""
    match = _NOW.search(request.system)
    return datetime.fromisoformat(match[1]) if match else datetime.now(UTC)


def read_ask(request: ChatRequest, turns: list[Turn]) -> Ask:
    """The current question, after the ones before it in the conversation."""
    now, here = read_now(request), _HERE.search(request.system)
    ask: Ask | None = None
    listing = Listing()
    for turn in turns:
        plain = clean(turn.question)
        if here:
            plain = re.sub(r"\b(?:this channel|in here)\b", here[1], plain)
        ask = _read(plain, ask, listing, now)
        items = tuple((item["name"], _url(item["rest"])) for item in _ITEM.finditer(turn.answer))
        listing = Listing(ask.intent, items) if items else replace(listing, latest=False)
    return ask or Ask("")


def _url(text: str) -> str | None:
    match = re.search(r"\]\((https?://[^)]+)\)", text)
    return match[1] if match else None


def clean(text: str) -> str:
    """The question: the last paragraph if context was put before it, without mentions and Slack's brackets."""
    text = text.strip()
    if text.startswith("Earlier in this thread:"):
        text = re.split(r"\n\s*\n", text)[-1]
    text = re.sub(r"<#\w+\|([^>]+)>", r"#\1", text)
    text = re.sub(r"<#(\w+)\|?>", r"\1", text)
    text = re.sub(r"<[@!][^>]*>|^@\w+", " ", text)
    text = re.sub(r"<(https?://[^|>]+)(?:\|[^>]*)?>", r"\1", text)
    return " ".join(text.split())


def _read(text: str, previous: Ask | None, listing: Listing, now: datetime) -> Ask:
    link = _LINK.search(text)
    rest = text.replace(link[0], " ") if link else text
    shift = _SHIFT.search(rest)
    rest = _SHIFT.sub(" ", rest) if previous and shift else rest
    window, rest = find_window(rest, now)
    named = _CHANNEL.search(rest) or _NAMED_CHANNEL.search(rest)
    channel = (named[1] if named[1][0] in "#CG" else f"#{named[1]}") if named else None
    rest = rest.replace(named[0], " ") if named else rest
    intent = find_intent(text)
    limit = _LIMIT.search(text)
    ask = Ask(
        text,
        intent="thread" if link and intent not in {"fix"} else intent or "search",
        query=_query(rest, intent),
        channel=channel,
        window=window,
        author=_author(text),
        link=link[0] if link else None,
        limit=int(limit[1]) if limit else None,
        explicit=bool(link) or intent is not None,
        here=previous is None and intent == "fix" and _PRONOUN.search(text) is not None,
    )
    if intent == "alerts" and re.search(r"\bwhen\b.*\blast\b|\blast time\b", text, re.I):
        ask = replace(ask, window=ask.window or EVER)
    if previous is None:
        return ask
    if previous.window and shift:
        ask = replace(ask, window=previous.window.before((shift["unit"] or shift["other"] or "").lower(), now))
    elif shift:
        week = find_window("this week", now)[0] or EVER
        ask = replace(ask, window=week.before((shift["unit"] or shift["other"] or "").lower(), now))
    return _follow(ask, previous, listing, shifted=shift is not None)


def _follow(ask: Ask, previous: Ask, listing: Listing, *, shifted: bool) -> Ask:
    """Take from the question before what this one leaves out."""
    pointed = _point_at(ask, previous, listing)
    if pointed:
        return pointed
    short = len(ask.text.split()) <= 6 and (ask.window or ask.channel) and not ask.query
    follows = bool(_FOLLOW_UP.search(ask.text)) or shifted or (short and not ask.explicit)
    if not follows or ask.intent in {"help", "channels"}:
        return ask
    window, channel = ask.window or previous.window, ask.channel or previous.channel
    if ask.explicit and ask.intent != "search":
        return replace(ask, window=window, channel=channel)
    intent = previous.intent
    if intent in {"help", "channels", "thread"} or (intent == "usage" and (ask.channel or ask.query)):
        return replace(ask, window=ask.window, channel=ask.channel)
    query = ask.query or previous.query
    if ask.query and intent in {"search", "fix"} and _NARROWING.search(ask.text):
        query = " ".join(dict.fromkeys(f"{previous.query} {ask.query}".split()))
    author = ask.author if ask.author != "any" else previous.author
    limit = ask.limit or previous.limit
    return replace(
        ask, intent=intent, query=query, window=window, channel=channel, author=author, limit=limit, explicit=True
    )


def _point_at(ask: Ask, previous: Ask, listing: Listing) -> Ask | None:
    """Resolve "the first one", "it": an item of the last list, else what the question before was about."""
    ordinal, items = _ORDINAL.search(ask.text), listing.items
    if ordinal and items:
        word = ordinal[1].lower()
        name, url = items[-1] if word == "last" else items[min(_ORDINALS.get(word, 4), len(items) - 1)]
    elif not ask.query and not ask.link and ask.intent in {"fix", "alerts", "recent"} and _PRONOUN.search(ask.text):
        if not items or not listing.latest or listing.intent != "alerts":
            link = previous.link if ask.intent == "fix" else None
            return replace(ask, query=previous.query, channel=ask.channel or previous.channel, link=link)
        name, url = items[0]
    else:
        return None
    wants = ask.intent if ask.explicit else previous.intent
    if listing.intent == "alerts":
        if url and re.search(r"\b(?:read|open|show|thread)\b", ask.text, re.I) and ask.intent != "fix":
            return replace(ask, intent="thread", link=url)
        if wants == "alerts" and not re.search(r"\bfire", ask.text, re.I):
            wants = "fix"
        return replace(ask, intent=wants if wants in {"alerts", "recent"} else "fix", query=name, link=None)
    return replace(ask, intent="fix" if wants == "fix" else "thread", query=ask.query or previous.query, link=url)


def _query(text: str, intent: Intent | None) -> str:
    terms = key_terms(_LIMIT.sub(" ", _ORDINAL.sub(" ", text)))
    if intent == "alerts":
        terms = " ".join(
            term for term in terms.split() if term.lower() not in {"open", "active", "unresolved", "still"}
        )
    return terms


def _author(text: str) -> Literal["any", "human", "bot"]:
    if re.search(
        r"\b(?:people|humans?|someone|somebody|anyone|anybody|who (?:said|wrote|mentioned|asked|talked))\b", text, re.I
    ):
        return "human"
    return "bot" if re.search(r"\b(?:bots?|integrations?)\b", text, re.I) else "any"
