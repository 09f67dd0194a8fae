"""What an MCP tool returned, as text of limited length."""

from __future__ import annotations

import json

from mcp.types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

MOST_CHARS = 64_000  # a little under what the model is shown of any tool's result, in bytes


def as_text(result: CallToolResult) -> str:
    """The result's text; pictures, sounds and files are named only."""
    parts = [_text(block) for block in result.content]
    if not parts and result.structuredContent is not None:
        parts = [json.dumps(result.structuredContent, ensure_ascii=False)]
    text = "\n".join(parts).replace("\x00", "").strip()
    if len(text) > MOST_CHARS:
        text = f"{text[:MOST_CHARS]}\n[cut: the result had {len(text):,} characters; ask for less]"
    return text or "(no result)"


def _text(block: ContentBlock) -> str:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, ImageContent | AudioContent):
        return f"[{block.type}, {block.mimeType}, {len(block.data) * 3 // 4:,} bytes, not shown]"
    if isinstance(block, ResourceLink):
        return f"[{block.name}: {block.uri}]"
    if isinstance(block, EmbeddedResource) and isinstance(block.resource, TextResourceContents):
        return block.resource.text
    return f"[file, {block.resource.mimeType or 'unknown kind'}, not shown]"
