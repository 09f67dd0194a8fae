"""How sure an answer may call itself of what it says. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent import references
from agent.backing import Call

WORDS = ("low", "medium", "high")
LEVEL = r"(?:very )?(?:high|medium|moderate|low)|\d{1,3}\s?%"
TOLD = re.compile(
    rf"""
    (?<![ \t])[ \t]*(?:[—–-]\s*)?(?:[(\[]\s*)?(?:\*\*|_)?\bconfidence(?:\s+level)?(?:\*\*|_)?\s*[:=]\s*(?:\*\*|_)?\s*
    (?P<told>{LEVEL.replace(" ", "[ ]")})(?:\*\*|_)?(?:\s*[)\]])?
    | (?<![ \t])[ \t]*[(\[]\s*(?P<said>{LEVEL.replace(" ", "[ ]")})[ -]confidence\s*[)\]]
    """,
    re.IGNORECASE | re.VERBOSE,
)
CLOSING = '"”’)*_'  # signs that may stand behind the period of a sentence
UNSAID = 1  # where the model does not say it


def most(behind: Sequence[Call], facts: Sequence[str]) -> int:
    """How sure a claim may be called at most, as a position in ``WORDS``.

    Two different calls make it high, one medium, none low; one step less where nothing of what the claim names
    (``backing.facts_in``) stands in their results.
    """
    different = len({call.identity for call in behind})
    checked = not facts or any(call.holds(fact) for call in behind for fact in facts)
    return max(0, min(different, 2) - (0 if checked else 1))


def limit(text: str, highest: int) -> tuple[str, bool]:
    """The text with each confidence in one form and no higher than given, and whether there is any."""
    if not _may_tell(text):
        return text, False
    told = False

    def shown(found: re.Match[str]) -> str:
        nonlocal told
        told = True
        level = min(_level(found["told"] or found["said"]), highest)
        return f"{' ' if found.start() or found[0][0].isspace() else ''}{_words(level)}"

    return references.outside_code(text, lambda part: TOLD.sub(shown, part)), told


def without(text: str) -> str:
    """The text without what it says of its confidence."""
    return TOLD.sub("", text) if _may_tell(text) else text


def _may_tell(text: str) -> bool:
    return "confidence" in text.casefold()


def add(text: str, start: int, sentence: str, highest: int) -> str:
    """The text with a confidence at the end of a sentence that begins at ``start``."""
    words = sentence.rstrip().rstrip(CLOSING)
    at = start + len(words) - words.endswith((".", "!", ";", ":"))
    return f"{text[:at].rstrip()} {_words(min(highest, UNSAID))}{text[at:]}"


def _words(level: int) -> str:
    return f"(confidence: {WORDS[level]})"


def _level(said: str) -> int:
    if said.endswith("%"):
        percent = int(re.sub(r"\D", "", said))
        return 2 if percent >= 75 else 1 if percent >= 40 else 0
    return 2 if "high" in said.lower() else 0 if "low" in said.lower() else 1
