"""Whether a sentence says the same as one clause of a document, word after word.

The same words say something else in another order, without their condition, or cut off at one end: "Only admins may
delete projects" holds every word of "Admins may delete", and of "Projects may delete admins". So a sentence restates a
clause when it is all of it, in its order, but for words that carry nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from agent.grounding import FACT, SLACK_LINK, stem

# What may be missing from a sentence, or be added to it.
CARRY_NOTHING_WORDS = """
    a an are be been being do does has have is that the these this those
"""
CARRY_NOTHING = frozenset(CARRY_NOTHING_WORDS.split())
# What may be missing, but not be another; "by" is none of them: it tells who does it from whom it is done to.
MAY_BE_MISSING_WORDS = """
    also and at for in its of our please their to with your
"""
MAY_BE_MISSING = CARRY_NOTHING | frozenset(MAY_BE_MISSING_WORDS.split())
CONDITION_WORDS = """
    after before except if otherwise provided unless until when whenever where while
"""
CONDITIONS = frozenset(CONDITION_WORDS.split())
RESTRICTING_WORDS = """
    although barely but cannot few fewer hardly however instead least less little mere merely more most neither never no
    nobody none nor not nothing only or rarely rather seldom unlike without
"""
RESTRICTING = CONDITIONS | frozenset(RESTRICTING_WORDS.split())
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)*_]*\s+(?![a-z])")
CODE = re.compile(r"`[^`]*`")
FENCE = re.compile(r"[\s>]*(?:`{3}|~{3})")
ITEM = re.compile(r"[\s>]*(?:[-+*]|\d{1,9}[.)])\s+(?:\[[ xX]\]\s+)?")
BLOCK = re.compile(r"\s*(?:#{1,6}\s+|\||>\s?)")
LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
CAN_NOT = re.compile(r"\b(?:can['’]t|cannot)\b", re.IGNORECASE)
WILL_NOT = re.compile(r"\bwon['’]t\b", re.IGNORECASE)
SHORT_NOT = re.compile(r"n['’]t\b", re.IGNORECASE)
SIGNS = re.compile(r"[\w<>=≤≥≠±+%&]")


@dataclass(frozen=True)
class Statement:
    """A sentence of a document.

    Attributes:
        text: the sentence.
        lead: what introduces the list that it stands in, such as ``Never do this:``.
        first_line: the number of the line where it begins, or its lead.
        last_line: the number of the line where it ends.
    """

    text: str
    lead: str
    first_line: int
    last_line: int

    @property
    def quotation(self) -> str:
        """It, word for word, with its lead."""
        return " ".join(part for part in (self.lead, self.text) if part)

    def says(self, sentence: str) -> bool:
        """Whether a sentence is one of its clauses, or all of it, and leaves no condition out."""
        said = _words(sentence)
        if not said or RESTRICTING & set(_words(self.lead)):
            return False
        clauses = [_words(clause) for clause in _clauses(self.text)]
        for number, clause in enumerate(clauses):
            others = (word for other in clauses[:number] + clauses[number + 1 :] for word in other)
            if _restates(said, clause) and not CONDITIONS.intersection(others):
                return True
        return len(clauses) > 1 and _restates(said, _words(self.text))

    def likeness(self, text: str) -> int:
        """How many of a text's words it holds."""
        return len(set(_words(text)) & set(_words(self.text)))


def read(lines: Sequence[str], first_line: int = 1) -> Iterator[Statement]:
    """The sentences of a document's lines, without code blocks.

    Args:
        lines: in Markdown or plain text.
        first_line: the number of the first of them.
    """
    lead, lead_line = "", 0
    for block, is_item in _blocks(lines, first_line):
        numbers = [number for number, _ in block]
        parts = [text for _, text in block]
        starts = list(accumulate((len(part) + 1 for part in parts), initial=0))
        whole = " ".join(parts)
        if not is_item:
            lead = ""
        begin = 0
        text = ""
        for end, after in [*((found.end(), found.end()) for found in SENTENCE_END.finditer(whole)), (len(whole),) * 2]:
            text = whole[begin:end].strip()
            if text:
                first = numbers[sum(start <= begin for start in starts[1:-1])]
                last = numbers[sum(start < end for start in starts[1:-1])]
                yield Statement(text, lead, lead_line if lead else first, last)
            begin = after
        if not is_item and text.endswith(":"):
            lead, lead_line = text, numbers[0]


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [part for part in SENTENCE_END.split(text) if part.strip()]


def _blocks(lines: Sequence[str], first_line: int) -> Iterator[tuple[list[tuple[int, str]], bool]]:
    """The lines of each paragraph, list item, heading and table row; and whether it is an item."""
    block: list[tuple[int, str]] = []
    is_item = in_code = False
    for number, line in enumerate(lines, first_line):
        fence, item = FENCE.match(line), ITEM.match(line)
        begins = item or (None if line.lstrip().startswith(">") and block else BLOCK.match(line))
        if block and (fence or begins or not line.strip()):
            yield block, is_item
            block = []
        if fence:
            in_code = not in_code
        elif line.strip() and not in_code:
            if not block:
                is_item = item is not None or (is_item and line[0].isspace())
            block.append((number, line[begins.end() if begins and "|" not in begins[0] else 0 :].strip(" \t>")))
            if begins and not item and line.lstrip().startswith(("#", "|")):
                yield block, False
                block = []
    if block:
        yield block, is_item


def _clauses(text: str) -> list[str]:
    """What stands between semicolons; those in code part nothing."""
    hidden = CODE.sub(lambda code: "`" * len(code[0]), text)
    cuts = [-1, *(found.start() for found in re.finditer(r";", hidden)), len(text)]
    return [text[start + 1 : end] for start, end in pairwise(cuts) if text[start + 1 : end].strip()]


def _words(text: str) -> list[str]:
    """The words of a text in their order: names and numbers as they are, others without their endings."""
    text = SHORT_NOT.sub(" not", WILL_NOT.sub("will not", CAN_NOT.sub("can not", text)))
    text = SLACK_LINK.sub(r" \1 \2 ", LINK.sub(r"\1", text)).replace("`", " ")
    found = []
    for token in text.split():
        word = token.lstrip("([{\"'“‘*_").rstrip(".,;:!?)]}\"'”’*_…")
        plain = word.casefold()
        if not SIGNS.search(word):
            continue
        if FACT.search(word) or word.startswith("-"):
            found.append(word)
        else:
            found.append(plain if plain in RESTRICTING or plain in MAY_BE_MISSING else stem(plain))
    return found


def _restates(said: Sequence[str], clause: Sequence[str]) -> bool:
    """Whether the words of a sentence are those of a clause, in their order, but for those that carry nothing."""
    at = 0
    for word in said:
        ahead = at
        while ahead < len(clause) and clause[ahead] != word and clause[ahead] in MAY_BE_MISSING:
            ahead += 1
        if ahead < len(clause) and clause[ahead] == word:
            at = ahead + 1
        elif word not in CARRY_NOTHING:
            return False
    return all(word in MAY_BE_MISSING for word in clause[at:])
