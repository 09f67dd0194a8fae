"""The paragraphs, list items and tables of an answer in Markdown, by the lines that they stand on. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference

from agent import references
from agent.references import SPAN

LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")  # as the parser counts them
CLOSING = re.compile(r"\s*(`{3,}|~{3,})\s*")
BOLD = re.compile(r"\s*(\*\*|__)(?!\s)[^*_\n]{1,80}\1:?\s*")
# [text][label], [text][] and [text]; or a code span.
LINK = re.compile(rf"{SPAN.pattern}|(?<!\\)\[(?P<text>(?:`[^`\n]*`|[^\[\]`])*+)\](?:\[(?P<label>[^\[\]]*)\])?(?![\[(])")
PREFIX = re.compile(r"(?:[ \t>]*(?:[-+*]|\d{1,9}[.)])(?:[ \t]+|$)(?:\[[ xX]\][ \t]+)?)*[ \t>]*")


@dataclass(frozen=True)
class Block:
    """A leaf of the text, on the lines ``first`` to ``last`` - 1.

    Attributes:
        kind: ``item`` is the first paragraph of a list item; further ones in it are paragraphs; ``quote`` is any in a
            quotation; ``heading`` also a paragraph that is bold throughout.
        first: the number of its first line, from 0.
        last: the number of the line after it.
        group: the list that an item belongs to.
        lead: the position, among the blocks, of what introduces it: for an item what stands before its list or the
            item that the list stands in; for a further paragraph of an item that item; for others the block before.
        depth: how many lists it stands in.
    """

    kind: Literal["paragraph", "item", "table", "heading", "quote", "code"]
    first: int
    last: int
    group: int = -1
    lead: int | None = None
    depth: int = 0


@dataclass(frozen=True)
class Answer:
    """An answer, taken apart.

    Attributes:
        lines: with their ends; those that define links are empty.
        blocks: in their order.
        unclosed: the fence that is left open.
        links: the addresses that are defined, by their labels in the parser's form.
    """

    lines: list[str]
    blocks: list[Block]
    unclosed: str = ""
    links: Mapping[str, str] = field(default_factory=dict)

    def text(self, block: Block) -> str:
        """The block as it is written, with the line ends within it; its links bear their addresses."""
        text = "".join(self.lines[block.first : block.last]).rstrip("\r\n")
        return LINK.sub(self._inline, text) if self.links and block.kind != "code" else text

    def _inline(self, found: re.Match[str]) -> str:
        text = found["text"]
        url = text is not None and self.links.get(normalizeReference(found["label"] or text))
        if not url or references.CITED.fullmatch(found[0]):
            return found[0]
        return f"[{'source' if references.FOREIGN.fullmatch(f'[{text}]') else text}]({url})"


def read(text: str) -> Answer:
    """Take an answer apart."""
    lines = LINE.findall(text)
    blocks: list[Block] = []
    lists: list[tuple[int, int | None]] = []  # those that are open: (group, lead)
    items: list[int | None] = []  # the first block of each open item
    quotes = groups = 0
    unclosed = ""
    found: dict[str, Any] = {}
    for token in _parser().parse(text, found):
        first, last = token.map or (0, 0)
        last = min(last, len(lines))
        depth, before = len(lists), len(blocks) - 1
        lead = before if before >= 0 and blocks[before].depth == depth else None
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                lists.append((groups, lead))
                groups += 1
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
            case "list_item_open":
                items.append(None)
            case "list_item_close":
                items.pop()
            case "blockquote_open":
                quotes += 1
            case "blockquote_close":
                quotes -= 1
            case "table_open":
                blocks.append(Block("quote" if quotes else "table", first, last, lead=lead, depth=depth))
            case "fence" | "code_block":
                blocks.append(Block("code", first, last, lead=lead, depth=depth))
                if token.type == "fence" and not token.level and not _is_closed(lines[first:last], token.markup):
                    unclosed = token.markup
            case "heading_open":
                blocks.append(Block("quote" if quotes else "heading", first, last, depth=depth))
            case "paragraph_open":
                if quotes:
                    blocks.append(Block("quote", first, last, lead=lead, depth=depth))
                elif items and items[-1] is None:
                    blocks.append(Block("item", first, last, *lists[-1], depth=depth))
                else:
                    bold = BOLD.fullmatch("".join(lines[first:last]))
                    kind: Literal["heading", "paragraph"] = "heading" if bold and not items else "paragraph"
                    blocks.append(Block(kind, first, last, lead=items[-1] if items else lead, depth=depth))
                if items and items[-1] is None:
                    items[-1] = len(blocks) - 1
    defined = found.get("references", {})
    for each in [*defined.values(), *found.get("duplicate_refs", [])]:
        for at in range(*each["map"]):
            lines[at] = ""
    links = {label: each["href"].replace("(", "%28").replace(")", "%29") for label, each in defined.items()}
    return Answer(lines, blocks, unclosed, links)


def split_prefix(text: str) -> tuple[str, str]:
    """What marks a block as an item or quotation at its beginning, and the rest."""
    found = PREFIX.match(text)
    end = found.end() if found else 0
    return text[:end], text[end:]


def _is_closed(lines: list[str], markup: str) -> bool:
    found = CLOSING.fullmatch(lines[-1]) if len(lines) > 1 else None
    return found is not None and found[1][0] == markup[0] and len(found[1]) >= len(markup)


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("inline")
