"""Whether a line says only what the message says that it cites. Words decide, not the model's word for it.

A line passes when everything in it that carries a fact (numbers, names with signs in them, quoted code, a negation)
stands in the message, and so do nearly all of its other words, in some form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LEAST_SHARE = 0.75  # of a line's plain words that the message must hold
TICKS = re.compile(r"`+")
FACT = re.compile(r"[\d_/:@=<>|$\\{}~#&%*^]|\w[.+]\w|[a-z][A-Z]")
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
NEGATION = re.compile(
    r"\b(?:not|no|never|none|nothing|without|cannot|isn|wasn|aren|don|doesn|didn|won|can|couldn|shouldn)['’]t\b"
    r"|\b(?:not|no|never|none|nothing|without|cannot)\b",
    re.IGNORECASE,
)
ENDINGS = ("ations", "ation", "ings", "ing", "edly", "ies", "ed", "es", "er", "ly", "s", "e", "y")
EMPTY_WORDS = """
    a about after again all also an and any are as at be because been before being both but by can could did do does
    down each for from had has have he her here his how if in into is it its just may more most my of off on once only
    or other our out over own same she should so some such than that the their them then there these they this those
    through to too under until up us very was we were what when where which while who why will with would you your
"""
EMPTY = frozenset(EMPTY_WORDS.split())


def squeeze(text: str) -> str:
    """The text with every run of white space as one blank, so that line breaks do not matter."""
    return " ".join(text.split())


def find_verbatim(quote: str, source: str) -> str | None:
    """The place of the source that a quote repeats word for word, as it is written there; None when it does not.

    White space counts as equal.
    """
    words = quote.split()
    if not words:
        return None
    found = re.search(r"\s+".join(map(re.escape, words)), source)
    return found[0] if found else None


def is_grounded(text: str, source: str, *, known: Iterable[str] = ()) -> bool:
    """Whether a line keeps to a message.

    Args:
        text: the line.
        source: the message that it cites.
        known: further texts whose words may be used, such as the alert's name.
    """
    flat = squeeze(source)
    parts = TICKS.split(text)  # what is quoted as code stands at the odd places
    if any(squeeze(code) not in flat for code in parts[1::2]):
        return False
    folded, given = flat.casefold(), " ".join([flat, *known]).casefold()
    plain = " ".join(parts[::2])
    facts = [fact for fact in map(_bare, plain.split()) if FACT.search(fact)]
    if any(fact.casefold() not in given for fact in facts):
        return False
    if NEGATION.search(plain) and not NEGATION.search(folded):
        return False
    return wording(plain, source, known=known) >= LEAST_SHARE


def wording(text: str, source: str, *, known: Iterable[str] = ()) -> float:
    """The share of a line's words that stand in the message, in some form; 1 for a line without any."""
    words = [word for word in map(str.casefold, WORD.findall(text)) if word not in EMPTY]
    if not words:
        return 1.0
    given = stems(" ".join([source, *known]))
    return sum(_stem(word) in given for word in words) / len(words)


def stems(text: str) -> set[str]:
    """The words of a text without their endings, those of CamelCase names apart too."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    return {_stem(word) for word in WORD.findall(f"{text} {spaced}".casefold()) if word not in EMPTY}


def _bare(word: str) -> str:
    return word.strip(".,;:!?()[]{}\"'“”‘’*_<>…")


def _stem(word: str) -> str:
    """A word without its ending, the same for most forms of it."""
    ending = next((end for end in ENDINGS if word.endswith(end) and len(word) - len(end) >= 3), "")
    stem = word.removesuffix(ending)
    return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] else stem
