"""Which tool calls stand behind each block of an answer. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage

from agent import answer_blocks, claims, references
from agent.answer_blocks import Answer
from agent.wording import TITLE, name_call
from tools.hits import PERMALINK
from tools.registry import CatalogueEntry

ADDRESS = r"https?://[^\s\"'<>()\[\]\\|]+"
LINK = re.compile(ADDRESS)
LIST_OF_SOURCES = re.compile(
    r"(?:the |my )?(?:evidence|sources?|references?|based on|footnotes|citations?)\b", re.IGNORECASE
)
ALL_OF_IT = re.compile(r"(?:all|both|these|those|this|everything|the (?:above|list|table|numbers))\b", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w.:])(?:\d{1,2}:\d{2}(?!\d)|\d[\d,]*(?:\.\d+)?(?!\.*\w))")
NAMED = re.compile(
    r"(?<![\w/@.-])(?=[\w/@.-]*[A-Za-z])(?:[\w/@-]*[a-z][A-Z][\w/@-]*|\w+_\w+|[\w-]*\d(?:[\w.-]*\w)?|\w[\w-]*\.[\w.-]*\w)"
)


@dataclass(frozen=True)
class Call:
    """A tool call that succeeded.

    Attributes:
        reference: by which the model names it.
        words: what it did, in plain words without secrets.
        identity: the same for the same tool with the same arguments.
        result: the text that came back.
        entry: the tool, if it is still there.
    """

    reference: str
    words: str
    identity: str
    result: str
    entry: CatalogueEntry | None = field(default=None, compare=False)  # it has no hash

    @cached_property
    def messages(self) -> frozenset[tuple[str, str]]:
        """The messages that the result links to, as ``messages_in``."""
        return frozenset(messages_in(self.result))

    @cached_property
    def links(self) -> frozenset[str]:
        """All addresses in the result."""
        return frozenset(LINK.findall(self.result))

    def holds(self, fact: str) -> bool:
        """Whether a number or name stands in the result, and not as a part of another one."""
        before = r"\d" if ":" in fact else r"\w."  # 10:42 stands in 2026-11-14T10:42:07Z
        written = {fact, fact.replace(",", "")} if fact[0].isdigit() else {fact}
        return any(
            each in self.result and re.search(rf"(?<![{before}]){re.escape(each)}(?!\w|\.\d)", self.result)
            for each in written
        )


def collect(messages: Iterable[AnyMessage], catalogue: Mapping[str, CatalogueEntry]) -> list[Call]:
    """The calls of a conversation whose results have references, in their order; of two with one the later."""
    asked = {}
    calls: dict[str, Call] = {}
    for message in messages:
        if isinstance(message, AIMessage):
            asked.update({str(call["id"]): call for call in message.tool_calls})
        elif isinstance(message, ToolMessage) and message.status != "error":
            reference = message.additional_kwargs.get(references.KEY)
            call = asked.get(message.tool_call_id)
            if isinstance(reference, str) and call is not None:
                name, args = call["name"], call["args"]
                identity = json.dumps([name, args], sort_keys=True, default=str)
                entry = catalogue.get(name)
                title = message.additional_kwargs.get(TITLE) or name_call(entry, name, {})
                calls[reference] = Call(reference, title, identity, message.text, entry)
    return list(calls.values())


def messages_in(text: str) -> set[tuple[str, str]]:
    """The messages that a text links to, as (channel id, ts)."""
    return {(channel_id, f"{seconds}.{fraction}") for channel_id, seconds, fraction in PERMALINK.findall(text)}


def facts_in(text: str) -> list[str]:
    """What in a text can be found again in a result: numbers of three digits or more, and names with signs in them."""
    words = claims.LINK.sub(lambda link: link[1] or link[2] or " ", text)
    numbers = [found for found in NUMBER.findall(words) if sum(map(str.isdigit, found)) > 2]
    return list(dict.fromkeys([*numbers, *NAMED.findall(words)]))


class Backing:
    """An answer, and the calls behind its blocks, which go by their positions.

    Attributes:
        answer: without the model's own list of sources at its end.
        texts: of the blocks.
        for_all: the calls that this list named; they count for every block.
    """

    def __init__(self, answer: Answer, calls: Sequence[Call]) -> None:
        self._calls = {call.reference: call for call in calls}
        self._newest_first = list(reversed(calls))
        self.answer, self.for_all = self._without_list_of_sources(answer)
        self.blocks = self.answer.blocks
        self.texts = [self.answer.text(block) for block in self.blocks]
        self._own = [self._named(text) if self._has_words(at) else [] for at, text in enumerate(self.texts)]
        self._found = [[] if self._own[at] else self._recognise(at) for at in range(len(self.blocks))]
        self._introduces = [text.rstrip().rstrip("*_").endswith(":") for text in self.texts[:-1]] + [False]
        self._led = self._find_led()
        self._given = self._find_given()
        self._after = self._find_after()
        self._behind = self._find_behind()

    def without_references(self, text: str) -> str:
        """Some of the answer's text without what it cites."""
        return references.rewrite(text, lambda _: "", self._calls)

    def unnamed(self, at: int) -> list[Call]:
        """The calls that a block does not name, nor what introduces it, but whose results it links to or quotes."""
        return [] if self._given[at] else self._found[at]

    def behind(self, at: int) -> list[Call]:
        """The calls that a block rests on: its own, its lead's, its list's, its section's, or what is said after it."""
        return self._behind[at]

    def led_by(self, at: int) -> list[int]:
        """The items and tables that a block introduces."""
        return self._led[at]

    def introduces(self, at: int) -> bool:
        """Whether a block ends with a colon and something follows."""
        return self._introduces[at]

    def _has_words(self, at: int) -> bool:
        return self.blocks[at].kind != "code"

    def _named(self, text: str) -> list[Call]:
        return [self._calls[name] for name in dict.fromkeys(references.names(text)) if name in self._calls]

    def _without_list_of_sources(self, answer: Answer) -> tuple[Answer, list[Call]]:
        """Without the list at the end in which the model says what it cites: code writes one."""
        named: set[str] = set()
        for at in range(len(answer.blocks) - 1, -1, -1):
            block = answer.blocks[at]
            if block.kind == "code":
                break
            _, text = answer_blocks.split_prefix(answer.text(block))
            bare = claims.plain(self.without_references(text))
            named |= set(references.names(text))
            if block.kind in {"heading", "paragraph"} and LIST_OF_SOURCES.match(bare) and claims.count_words(bare) <= 2:
                is_left_empty = (
                    bool(answer.links) and at == len(answer.blocks) - 1
                )  # its addresses stand in their links
                if not (named or is_left_empty):
                    break
                calls = [self._calls[name] for name in sorted(named, key=references.number_of) if name in self._calls]
                return replace(answer, lines=answer.lines[: block.first], blocks=answer.blocks[:at]), calls
            if not references.CITED.match(text):
                break
        return answer, []

    def _recognise(self, at: int) -> list[Call]:
        """The calls to whose results a block links, or out of which it has all its numbers and names."""
        block, text = self.blocks[at], self.texts[at]
        if block.kind in {"code", "quote", "heading"}:
            return []
        linked: dict[str, Call] = {}
        for url in LINK.findall(text):
            messages = messages_in(url)
            for call in self._newest_first:
                if messages & call.messages or (not messages and url.rstrip(".,;:!?") in call.links):
                    linked[call.reference] = call
                    break
        if linked or block.kind == "table" or claims.causes(text):
            return list(linked.values())
        facts = facts_in(text)
        if len(facts) < 2:
            return []
        return [call for call in self._newest_first if all(call.holds(fact) for fact in facts)][:1]

    # Each of these goes over all blocks once: what holds for one must not be looked up anew for every other one.

    def _find_led(self) -> list[list[int]]:
        """The items and tables that each block introduces."""
        led: list[list[int]] = [[] for _ in self.blocks]
        for at, block in enumerate(self.blocks):
            if block.lead is not None and block.kind in {"item", "table"}:
                led[block.lead].append(at)
        return led

    def _find_given(self) -> list[list[Call]]:
        """What the leads of items, tables and further paragraphs of items rest on."""
        given: list[list[Call]] = []
        for block in self.blocks:
            if block.lead is None or block.kind == "heading" or (block.kind == "paragraph" and not block.depth):
                given.append([])
            else:  # a lead stands before what it introduces
                given.append(self._own[block.lead] or given[block.lead])
        return given

    def _find_after(self) -> list[list[Call]]:
        """The calls that the sentences right after lists and tables name for all of them."""
        after: list[list[Call]] = []
        calls: list[Call] = []
        for at in range(len(self.blocks) - 1, -1, -1):
            block = self.blocks[at]
            after.append(calls if block.kind in {"item", "table"} else [])
            if not block.depth:
                calls = self._own[at] if block.kind == "paragraph" and self._own[at] and self._is_about_all(at) else []
        return after[::-1]

    def _is_about_all(self, at: int) -> bool:
        """Whether a sentence after a list or table speaks of all of it."""
        words = claims.plain(self.without_references(self.texts[at]))
        return bool(claims.count_words(words) <= 3 or LIST_OF_SOURCES.match(words) or ALL_OF_IT.match(words))

    def _find_behind(self) -> list[list[Call]]:
        behind: list[list[Call]] = []
        section: list[Call] = []  # named by the last heading
        for at, block in enumerate(self.blocks):
            if block.kind in {"code", "quote", "heading"}:
                behind.append([])
            else:
                of_itself = self._own[at] or self._found[at] or self._given[at] or self._below(at)
                behind.append(of_itself or self._after[at] or section or self.for_all)
            if block.kind == "heading":
                section = self._own[at]
        return behind

    def _below(self, at: int) -> list[Call]:
        """What the list or table that a block introduces rests on."""
        if not self.introduces(at):
            return []
        return list(dict.fromkeys(call for each in self.led_by(at) for call in self._own[each] or self._found[each]))
