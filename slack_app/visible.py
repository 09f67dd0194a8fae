"""What a person sees of a Slack message: its text, blocks and attachments, flattened to lines.

Alerts often have an empty ``text`` and everything else in attachments.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

from slack_app.files import parse_files

LONGEST = 100_000
DEEPEST = 12


def visible_text(message: dict[str, Any]) -> str:
    """The message as lines of plain text, in the order in which Slack shows it."""
    lines: list[str] = []
    blocks = list(_blocks(message.get("blocks")))
    text = str(message.get("text") or "")
    if text and not (blocks and _says(blocks, text)):
        lines.append(text)
    lines.extend(blocks)
    for attachment in _dicts(message.get("attachments")):
        lines.extend(_attachment(attachment))
    for file in parse_files(message.get("files")):
        lines.extend((file.line, file.preview))
    flat = "\n".join(line for line in lines if line.strip())
    return html.unescape(flat).replace("\x00", "")[:LONGEST]


def _says(blocks: list[str], text: str) -> bool:
    """Whether the blocks say what ``text`` says: clients then send it as a fallback, which nobody sees."""
    shown = "".join("\n".join(blocks).split())
    return "".join(text.split()) in shown or len(shown) >= len("".join(text.split()))


def _attachment(attachment: dict[str, Any]) -> Iterator[str]:
    before = [str(attachment.get(key) or "") for key in ("pretext", "author_name", "title", "text")]
    inner = list(_blocks(attachment.get("blocks")))
    fields = []
    for field in _dicts(attachment.get("fields")):
        title, value = str(field.get("title") or ""), str(field.get("value") or "")
        fields.append(f"{title}: {value}" if title else value)
    if not any(before[2:]) and not inner and not fields:
        before.append(str(attachment.get("fallback") or ""))
    yield from before
    yield from inner
    yield from fields
    yield str(attachment.get("footer") or "")


def _blocks(blocks: Any, depth: int = 0) -> Iterator[str]:
    if depth <= DEEPEST:
        for block in _dicts(blocks):
            yield from _block(block, depth)


def _block(block: dict[str, Any], depth: int) -> Iterator[str]:
    kind = block.get("type")
    if kind == "rich_text":
        yield from (_rich(element, depth) for element in _dicts(block.get("elements")))
        return
    if kind == "table":
        rows = block.get("rows")
        for row in rows if isinstance(rows, list) else []:
            yield " | ".join(_text(cell) or _rich(cell, depth) for cell in _dicts(row))
        return
    yield _text(block.get("text"))
    for part in (*_dicts(block.get("fields")), *_dicts(block.get("elements"))):
        if part.get("type") in ("mrkdwn", "plain_text"):
            yield _text(part)
    yield str(block.get("alt_text") or "")
    yield from _blocks(block.get("blocks"), depth + 1)


def _dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; nothing of what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("text")
    return value if isinstance(value, str) else ""


def _rich(element: dict[str, Any], depth: int) -> str:
    if depth > DEEPEST:
        return ""
    kind = element.get("type")
    if kind == "text":
        return str(element.get("text") or "")
    if kind == "link":
        return f"<{element.get('url')}|{element['text']}>" if element.get("text") else str(element.get("url") or "")
    if kind == "user":
        return f"<@{element.get('user_id')}>"
    if kind == "channel":
        return f"<#{element.get('channel_id')}>"
    if kind == "emoji":
        return f":{element.get('name')}:"
    joiner = "\n" if kind == "rich_text_list" else ""
    return joiner.join(_rich(part, depth + 1) for part in _dicts(element.get("elements")))
