"""Whether a line says only what the message says that it cites. Words decide, not the model's word for it.

A line passes when each of its sentences stands in one sentence of the message: what carries a fact (numbers, names
with signs in them, quoted code) as whole tokens, its first word, nearly all others in some form; and when either both
deny something or neither does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LEAST_SHARE = 0.8  # of a sentence's plain words that the message must hold: all of four, four of five
TICKS = re.compile(r"`+")
FACT = re.compile(r"[\d_/:@=<>|$\\{}~#&%*^]|\w[.+]\w|[a-z][A-Z]")
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
SLACK_LINK = re.compile(r"<([^<>|\s]+)(?:\|([^<>|]*))?>")
NEGATION = re.compile(
    r"\b(?:not|no|never|none|nothing|nobody|neither|nor|without|cannot|avoid(?:s|ed|ing)?|unable|instead of|rather than"
    r"|(?:is|was|are|were|do|does|did|wo|ca|could|should|would|has|have|had|must|need)n['’]?t)\b",
    re.IGNORECASE,
)
FORBIDS = re.compile(
    rf"(?:{NEGATION.pattern})(?:\s+(?:ever|just|to|run|running|us(?:e|ing)|try|do|execute|type|this|that|the|command|with))*"
    r"\s*:?[\s$>]*$",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    r"[;\n]|\b(?:but|because|since|so|as|while|which|though|although)\b|(?=\b(?:instead of|rather than)\b)",
    re.IGNORECASE,
)
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n[ \t]*\n\s*")
LINE_END = re.compile(r"(?<![:,])\n")
# A fence that nothing closes goes on to the end; other code stands on one line.
CODE = re.compile(
    r"`{3,}(?P<fence>.*?)(?:`{3,}|\Z)|(?<!`)(?P<ticks>`{1,2})(?!`)(?P<span>[^`\n]+)(?P=ticks)(?!`)", re.DOTALL
)
PROMPT = re.compile(r"[ \t]*(?:(?:[\w@.:~/-]*\$|>+|[*-])[ \t]+)?")
STARTS_WORD = re.compile(r"(?:^|[\s(\"“:])\Z")
ENDS_SENTENCE = re.compile(r"[.!?;)\"”]*(?:[ \t]*(?:\n|\Z)|(?<=[.!?;])\s)")
CONTINUED = ("\\", "|", "&&")
GOES_ON = re.compile(r"[ \t]*\n?[ \t]*(?:\||&&|--?\w)")
ENDINGS = ("ations", "ation", "ings", "ing", "edly", "ies", "ed", "es", "er", "ly", "s", "e", "y")
NUMBER_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve twenty thirty fifty hundred thousand half twice
"""
NUMBERS = frozenset(NUMBER_WORDS.split())
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
    """The whole piece of the source that a quote repeats word for word, as it is written there; None when none is.

    A piece is a code span, one line of a code fence or several, or in other text whole words up to the end of the
    line or sentence. A part of a command may do what the command does not. Nor is one found of which the source says
    not to run it. White space counts as equal.
    """
    words = quote.split()
    if not words:
        return None
    pattern = re.compile(r"\s+".join(map(re.escape, words)))
    prose = list(source)
    for code in CODE.finditer(source):
        prose[code.start() : code.end()] = "\0" * (code.end() - code.start())
        kind = "span" if code["span"] is not None else "fence"
        start, end = code.span(kind)
        if _is_forbidden(source, code.start()):
            continue
        for found in pattern.finditer(source, start, end):
            if _is_whole_code(source, start, end, found):
                return found[0]
    for found in pattern.finditer("".join(prose)):
        if _is_whole_prose(found) and not _is_forbidden(source, found.start()):
            return found[0]
    return None


def _is_whole_code(source: str, start: int, end: int, found: re.Match[str]) -> bool:
    """Whether a match fills lines of the code that stands between two places."""
    head = source[source.rfind("\n", start, found.start()) + 1 or start : found.start()]
    stop = source.find("\n", found.end(), end)
    tail = source[found.end() : stop if stop >= 0 else end]
    before = source[start : found.start() - len(head)].rstrip()
    rest = source[found.end() : min(end, found.end() + 200)]
    if tail.strip() or not PROMPT.fullmatch(head):
        return False
    return not before.endswith(CONTINUED) and not _goes_on(found[0], rest)


def _is_whole_prose(found: re.Match[str]) -> bool:
    text, (start, end) = found.string, found.span()
    if not STARTS_WORD.search(text[max(start - 1, 0) : start]) or not ENDS_SENTENCE.match(text, end):
        return False
    return not _goes_on(found[0], text[end : end + 200])


def _goes_on(said: str, rest: str) -> bool:
    """Whether a command goes on in the next line."""
    return said.endswith(CONTINUED) or GOES_ON.match(rest) is not None


def _is_forbidden(source: str, start: int) -> bool:
    return FORBIDS.search(source[max(start - 60, 0) : start]) is not None


@dataclass(frozen=True)
class _Sentence:
    """A sentence; ``clauses`` are those that deny something, each by its words."""

    stems: set[str]
    facts: set[str]
    clauses: list[set[str]]
    text: str

    def denies(self, words: set[str]) -> bool:
        """Whether it denies something of these words."""
        return any(not clause or clause & words for clause in self.clauses)


def is_grounded(text: str, source: str, *, known: Iterable[str] = ()) -> bool:
    """Whether a line keeps to a message.

    Args:
        text: the line.
        source: the message that it cites.
        known: further texts whose words may be used, such as the alert's name.
    """
    given = [_read(sentence) for sentence in _sentences(source)]
    further = _read(" ".join(known))
    tokens = {token for sentence in given for token in sentence.facts}
    for code in _codes(text):
        if code.casefold() not in tokens and find_verbatim(code, source) is None:
            return False
    return all(_stands_in(sentence, given, further) for sentence in SENTENCE.split(text) if sentence.strip())


def _stands_in(text: str, given: list[_Sentence], further: _Sentence) -> bool:
    """Whether the sentence of the message that is most like one of a line says the same."""
    codes = {squeeze(code) for code in _codes(text)}
    plain = " ".join(_plain_parts(text))
    ours, affirmed = _read(plain), NEGATION.sub(" ", plain)
    bare = {_bare(token) for token in _tokens(plain)}
    facts = {word.casefold() for word in bare if FACT.search(word) or word.casefold() in NUMBERS}
    words, said = stems(affirmed), ours.stems | ours.facts | _facts(" ".join(codes))
    if not (words or facts or codes):
        return not ours.clauses
    first = next((stem(word) for word in map(str.casefold, WORD.findall(affirmed)) if word not in EMPTY), None)

    def likeness(sentence: _Sentence) -> int:
        quoted = sum(code in sentence.text for code in codes)
        return len(words & sentence.stems) + len(facts & sentence.facts) + quoted

    best = max(map(likeness, given), default=0)
    for sentence in given:
        if likeness(sentence) != best:
            continue
        held = sentence.stems | further.stems
        if (
            facts <= sentence.facts | further.facts
            and (first is None or first in held)
            and len(words & held) >= LEAST_SHARE * len(words)
            and bool(ours.clauses) == sentence.denies(said)
        ):
            return True
    return False


def _sentences(text: str) -> Iterator[str]:
    """The sentences of a text; those that go over lines also line by line, for not all lines end with a dot."""
    for sentence in SENTENCE.split(text):
        yield sentence
        lines = LINE_END.split(sentence.strip())
        if len(lines) > 1:
            yield from lines


def _read(text: str) -> _Sentence:
    clauses = [clause for clause in CLAUSE.split(text) if NEGATION.search(clause)]
    denied = [NEGATION.sub(" ", clause) for clause in clauses]
    return _Sentence(stems(text), _facts(text), [stems(clause) | _facts(clause) for clause in denied], squeeze(text))


def _tokens(text: str) -> list[str]:
    return SLACK_LINK.sub(r" \1 \2 ", text).replace("`", " ").split()


def _facts(text: str) -> set[str]:
    return {_bare(token).casefold() for token in _tokens(text)} - EMPTY - {""}


def _plain_parts(text: str) -> list[str]:
    """What is not quoted as code; an odd backtick quotes nothing."""
    parts = TICKS.split(text)
    return [*parts[::2], *(parts[-1:] if len(parts) % 2 == 0 else [])]


def _codes(text: str) -> list[str]:
    parts = TICKS.split(text)
    return parts[1 : len(parts) - 1 : 2] if len(parts) % 2 == 0 else parts[1::2]


def wording(text: str, source: str, *, known: Iterable[str] = ()) -> float:
    """The share of a line's words that stand in the message, in some form; 1 for a line without any."""
    words = [word for word in map(str.casefold, WORD.findall(text)) if word not in EMPTY]
    if not words:
        return 1.0
    given = stems(" ".join([source, *known]))
    return sum(stem(word) in given for word in words) / len(words)


def stems(text: str) -> set[str]:
    """The words of a text without their endings, those of CamelCase names apart too."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    return {stem(word) for word in WORD.findall(f"{text} {spaced}".casefold()) if word not in EMPTY}


def _bare(word: str) -> str:
    return word.strip(".,;:!?()[]{}\"'“”‘’*_…")


def stem(word: str) -> str:
    """A word without its ending, the same for most forms of it."""
    ending = next((end for end in ENDINGS if word.endswith(end) and len(word) - len(end) >= 3), "")
    found = word.removesuffix(ending)
    return found[:-1] if len(found) > 3 and found[-1] == found[-2] else found
