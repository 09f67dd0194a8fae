"""Answers questions out of passages of the documentation, and of nothing else (behaviour A20).

The model proposes sentences; code decides. An answer that cites nothing, or lines that were not among those given, is
none. A sentence stays when it keeps to the words of the lines that it cites (agent/grounding.py) and says the same as
one clause of them (agent/statements.py); when it only has the words, these lines are quoted in its place. A command
stays when it stands there word for word.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field

import prompts
from agent import statements
from agent.grounding import find_verbatim, is_grounded, squeeze
from agent.redaction import Redactor
from storage.documents import cite

INPUT_CHARS = 24_000  # of all passages that the model is shown
QUESTION_CHARS = 3000
TEXT_CHARS = 400  # of a sentence; a longer one is dropped
CODE_CHARS = 1000
MOST_SENTENCES = 6


class DraftSentence(BaseModel):
    """A sentence as the model proposes it."""

    text: str = Field(description="one sentence in the words of the passage")
    source: str = Field(description="id of the passage that it comes from")
    first_line: int = Field(description="number of the first line that says it")
    last_line: int = Field(description="number of the last one")
    code: str | None = Field(None, description="a command, character for character, or null")


class DocsDraft(BaseModel):
    """An answer as the model proposes it; empty where the passages hold none."""

    sentences: list[DraftSentence]


Ask = Callable[[list[BaseMessage]], Awaitable[DocsDraft]]


@dataclass(frozen=True)
class Passage:
    """Lines of a document, the first of which is number ``first_line``."""

    url: str
    title: str
    headings: tuple[str, ...]
    first_line: int
    lines: tuple[str, ...]

    @property
    def last_line(self) -> int:
        """The number of its last line."""
        return self.first_line + len(self.lines) - 1

    def text(self, first: int, last: int) -> str:
        """The text of some of its lines."""
        return "\n".join(self.lines[first - self.first_line : last - self.first_line + 1])


@dataclass(frozen=True)
class DocsSentence:
    """A sentence of an answer, or a quotation, with the lines of the passage that say it."""

    text: str
    code: str | None
    passage: Passage
    first_line: int
    last_line: int

    @property
    def citation(self) -> str:
        """The link to these lines."""
        return cite(self.passage.url, self.first_line, self.last_line)


async def answer(question: str, passages: Sequence[Passage], ask: Ask, *, redactor: Redactor) -> list[DocsSentence]:
    """The answer to a question; empty where the passages hold none, or the model does not keep to them.

    Args:
        question: what somebody wrote.
        passages: what was found, best first.
        ask: puts messages before the model and returns its draft.
        redactor: takes secrets out of what the model sees.

    Raises:
        ModelError: what ``ask`` raises.
    """
    shown = choose(passages, redactor)
    if not shown:
        return []
    data = [json.dumps({"question": redactor.clean(question[:QUESTION_CHARS])}, ensure_ascii=False)]
    data += [_show(source, passage) for source, passage in shown.items()]
    return check(await ask([SystemMessage(prompts.render("docs_answer")), HumanMessage("\n".join(data))]), shown)


def choose(passages: Sequence[Passage], redactor: Redactor) -> dict[str, Passage]:
    """The passages that the model is shown, by the ids that it may cite; the last one is cut where it is too long."""
    shown: dict[str, Passage] = {}
    room = INPUT_CHARS
    for passage in passages:
        kept: list[str] = []
        # As a whole: a key may go over lines. Where that took lines away, their numbers would no longer be true.
        cleaned = redactor.clean("\n".join(passage.lines)).split("\n")
        if len(cleaned) != len(passage.lines):
            continue
        for line in cleaned:
            room -= len(line) + 8
            if room < 0:
                break
            kept.append(line)
        if kept:
            shown[f"d{len(shown) + 1}"] = Passage(
                passage.url, passage.title, passage.headings, passage.first_line, tuple(kept)
            )
        if room < 0:
            break
    return shown


def check(draft: DocsDraft, shown: dict[str, Passage]) -> list[DocsSentence]:
    """The sentences of a draft that keep to the lines that they cite, each once.

    None where any cites lines that were not shown, or where half of them or more do not keep to theirs: what is left
    would be no answer.
    """
    kept: list[DocsSentence] = []
    dropped = 0
    for sentence in draft.sentences:
        passage = shown.get(sentence.source.strip().strip("[]"))
        first, last = sentence.first_line, sentence.last_line
        if passage is None or not passage.first_line <= first <= last <= passage.last_line:
            return []
        found = _supported(sentence, passage, first, last) or _supported(
            sentence, passage, passage.first_line, passage.last_line
        )
        if found is None:
            dropped += 1
        elif found not in kept:
            kept.append(found)
    return kept[:MOST_SENTENCES] if 2 * dropped < len(draft.sentences) else []


def _supported(sentence: DraftSentence, passage: Passage, first: int, last: int) -> DocsSentence | None:
    """The sentence, if these lines say it; a quotation of them, if they only hold its words."""
    said = passage.text(first, last)
    text = squeeze(sentence.text)
    if not text or len(text) > TEXT_CHARS or not is_grounded(text, said, known=(passage.title, *passage.headings)):
        return None
    code = None
    if sentence.code and len(sentence.code) <= CODE_CHARS:
        code = find_verbatim(sentence.code.strip().strip("`").removeprefix("$ "), said)
        if code is None:
            return None
    # Of the whole passage: the cited lines may cut a sentence off from its condition.
    every = statements.read(passage.lines, passage.first_line)
    cited = [each for each in every if each.first_line <= last and first <= each.last_line]
    if all(any(each.says(part) for each in cited) for part in statements.sentences(text)):
        return DocsSentence(text, code, passage, first, last)
    best = max(cited, key=lambda each: each.likeness(text), default=None)
    if best is None or len(best.quotation) > TEXT_CHARS or best.text.startswith("|"):
        return None
    return DocsSentence(f"“{best.quotation}”", code, passage, best.first_line, best.last_line)


def _show(source: str, passage: Passage) -> str:
    return json.dumps(
        {
            "id": source,
            "title": passage.title,
            "section": " > ".join(passage.headings),
            "lines": {str(number): line for number, line in enumerate(passage.lines, passage.first_line)},
        },
        ensure_ascii=False,
    )
