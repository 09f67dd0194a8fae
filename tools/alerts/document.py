"""A message laid out for reading: its headlines, its fields and labels, its lines, its colours.

Every part is capped, so that the time to read a message does not depend on who wrote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tools.alerts.text import Sign, color_sign, emoji_sign, plain

MOST_LINES = 150
LONGEST_LINE = 600
LONGEST_TEXT = 12_000
MOST_PARTS = 60
DEEPEST = 6
# ``*Key:* value``, ``Key: value``, ``- key = value``: a short key at the beginning of a line.
PAIR = re.compile(
    r"^[\W_]{0,6}(?P<key>[A-Za-z][\w ./()-]{0,38}?)[*_`]{0,3}\s*(?:[:=]|=>)[*_`]{0,3}(?:\s+|(?=[`*\"'<\[]|$)|(?<==))"
    r"(?P<value>.{0,500})$"
)
BOLD = re.compile(r"^\W{0,4}\*{1,2}(?P<key>[^*\n]{2,40}?):?\*{1,2}:?\s*$")
KEY = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Line:
    """A line as written, and what it says without markup."""

    raw: str

    @cached_property
    def plain(self) -> str:
        """Without markup, emoji and addresses."""
        return plain(self.raw)

    @cached_property
    def sign(self) -> Sign:
        """Of its first telling emoji."""
        return emoji_sign(self.raw)


@dataclass
class Document:
    """A message, or one attachment of it.

    Attributes:
        username: what the poster calls itself.
        titles: titles and header blocks, in order.
        heads: what stands above or instead of titles: the first line of the text, pretexts.
        lines: all other lines.
        fallbacks: what Slack shows in notifications only.
        footers: footers and context blocks.
        fields: (key, value) of fields, by order; keys in lower case, words parted by one space.
        colors: of the attachments.
        links: where titles lead to.
        actions: labels of buttons.
        parts: each attachment as a document of its own.
        is_bot: whether an integration wrote it.
    """

    username: str = ""
    titles: list[Line] = field(default_factory=list)
    heads: list[Line] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    fallbacks: list[Line] = field(default_factory=list)
    footers: list[Line] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    colors: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    parts: list[Document] = field(default_factory=list)
    is_bot: bool = True

    @cached_property
    def color(self) -> Sign:
        """What the colours say, where they agree."""
        signs = {color_sign(color) for color in self.colors} - {""}
        return signs.pop() if len(signs) == 1 else ""

    @cached_property
    def all_fields(self) -> list[tuple[str, str]]:
        """The fields, then the ``key: value`` pairs of the lines."""
        return [*self.fields, *self.pairs]

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """``key: value`` and ``key = value`` lines, and bold keys with the line below them."""
        found: list[tuple[str, str]] = []
        lines = self.lines
        for at, line in enumerate(lines):
            pair = PAIR.match(line.raw)
            if pair:
                value = plain(pair["value"])
                if value:
                    found.append((key_of(pair["key"]), value))
                elif at + 1 < len(lines) and lines[at + 1].plain:
                    found.append((key_of(pair["key"]), lines[at + 1].plain))
            elif at + 1 < len(lines) and "*" in line.raw:
                bold = BOLD.match(line.raw)
                if bold and lines[at + 1].plain:
                    found.append((key_of(bold["key"]), lines[at + 1].plain))
        return found

    @cached_property
    def values(self) -> dict[str, str]:
        """The first value of each key."""
        found: dict[str, str] = {}
        for key, value in self.all_fields:
            found.setdefault(key, value)
        return found

    def value(self, *keys: str) -> str:
        """The value of the first key that is there, or an empty string."""
        for key in keys:
            if self.values.get(key):
                return self.values[key]
        return ""

    @cached_property
    def visible(self) -> str:
        """Headlines and lines as written, for signatures."""
        parts = (self.heads, self.titles, self.lines, self.footers)
        return "\n".join(line.raw for part in parts for line in part)[:LONGEST_TEXT]

    @cached_property
    def headlines(self) -> list[Line]:
        """What names the message, most telling first; never empty lines."""
        lines = [*self.titles[:4], *self.heads[:4]]
        lines += [] if lines else self.lines[:1]
        return [line for line in lines if line.plain or line.sign]


def key_of(text: str) -> str:
    """A field's key in lower case, words parted by one space."""
    return KEY.sub(" ", text).strip().lower()


class _Builder:
    """Fills a document from Slack's objects; whatever is not what Slack sends is skipped."""

    def __init__(self, doc: Document) -> None:
        self.doc = doc
        self.left = LONGEST_TEXT

    def split(self, text: Any) -> list[Line]:
        if not isinstance(text, str) or not text or self.left <= 0:
            return []
        text = text[: self.left]
        self.left -= len(text)
        return [Line(line.strip()[:LONGEST_LINE]) for line in text.splitlines()[:MOST_LINES] if line.strip()]

    def text(self, text: Any) -> None:
        lines = self.split(text)
        if lines and not self.doc.heads and not self.doc.titles:
            self.doc.heads.append(lines[0])
        room = MOST_LINES - len(self.doc.lines)
        self.doc.lines.extend(lines[:room] if room > 0 else [])

    def add_field(self, title: Any, value: Any) -> None:
        key, shown = _string(title), _string(value)
        if len(self.doc.fields) >= MOST_PARTS or not shown or self.left <= 0:
            return
        shown = shown[:LONGEST_LINE]
        self.left -= len(shown)
        if key:
            self.doc.fields.append((key_of(key[:60]), plain(shown)))
        else:
            self.text(shown)

    def attachment(self, attachment: dict[str, Any]) -> None:
        doc = self.doc
        doc.colors.extend(filter(None, [_string(attachment.get("color"))]))
        doc.heads.extend(self.split(attachment.get("pretext"))[:3])
        doc.titles.extend(self.split(attachment.get("title"))[:2])
        doc.links.extend(filter(None, [_string(attachment.get("title_link"))[:LONGEST_LINE]]))
        doc.footers.extend(self.split(attachment.get("author_name"))[:1])
        self.text(attachment.get("text"))
        for part in _dicts(attachment.get("fields")):
            self.add_field(part.get("title"), part.get("value"))
        self.blocks(attachment.get("blocks"))
        doc.footers.extend(self.split(attachment.get("footer"))[:2])
        doc.fallbacks.extend(self.split(attachment.get("fallback"))[:2])
        doc.actions.extend(_string(action.get("text"))[:60] for action in _dicts(attachment.get("actions")))

    def blocks(self, blocks: Any, depth: int = 0) -> None:
        for block in _dicts(blocks):
            if depth <= DEEPEST:
                self.block(block, depth)

    def block(self, block: dict[str, Any], depth: int) -> None:
        kind = block.get("type")
        if kind == "header":
            self.doc.titles.extend(self.split(_text(block.get("text")))[:1])
        elif kind == "rich_text":
            self.text(_rich(block, 0)[:LONGEST_TEXT])
        elif kind == "context":
            for part in _dicts(block.get("elements")):
                self.doc.footers.extend(self.split(_text(part))[:3])
        elif kind == "actions":
            self.doc.actions.extend(_text(part.get("text"))[:60] for part in _dicts(block.get("elements")))
        else:
            self.text(_text(block.get("text")))
            for part in _dicts(block.get("fields")):
                self.block_field(_text(part))
            self.blocks(block.get("blocks"), depth + 1)

    def block_field(self, text: str) -> None:
        """A field of a section: ``*Key*`` and below it the value, or ``*Key:* value``."""
        head, below, value = text.partition("\n")
        if below and len(head) <= 60:
            self.add_field(head, value.split("\n", 1)[0])
            return
        pair = PAIR.match(text[:LONGEST_LINE])
        if pair and pair["value"]:
            self.add_field(pair["key"], pair["value"])
        else:
            self.text(text)


def build_document(username: Any, text: Any, attachments: Any, blocks: Any, *, is_bot: bool) -> Document:
    """Lay out a message; anything that is not shaped as Slack shapes it is left out."""
    doc = Document(username=_string(username)[:100], is_bot=is_bot)
    builder = _Builder(doc)
    builder.text(text)
    builder.blocks(blocks)
    for attachment in _dicts(attachments)[:20]:
        part = Document(username=doc.username, is_bot=is_bot)
        _Builder(part).attachment(attachment)
        doc.parts.append(part)
        builder.attachment(attachment)
    return doc


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value[:MOST_PARTS] if isinstance(item, dict)] if isinstance(value, list) else []


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("text")
    return value if isinstance(value, str) else ""


def _rich(element: dict[str, Any], depth: int) -> str:
    if depth > DEEPEST:
        return ""
    kind = element.get("type")
    if kind in ("text", "link"):
        text = _string(element.get("text")) or _string(element.get("url"))
        style = element.get("style")
        return f"*{text}*" if isinstance(style, dict) and style.get("bold") and text.strip() else text
    if kind == "emoji":
        return f":{_string(element.get('name'))}:"
    inside = [_rich(part, depth + 1) for part in _dicts(element.get("elements"))]
    return ("\n" if kind in ("rich_text", "rich_text_list") else "").join(inside)
