"""What a server says of its tools: pinned by SHA-256, limited in size."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp.types import Tool

from tools.json_schema import Schema, SchemaError
from tools.mcp.spec import SEPARATOR

INSTRUCTIONS = "(instructions)"  # stands for a server's instructions among its pins; no tool can have this name
MOST_LISTED = 1_000  # tools that a server may tell of
MOST_TOOLS = 64  # tools of a server that are offered
MOST_SCHEMA_BYTES = 16_000
MOST_DESCRIPTION_CHARS = 2_000
MOST_INSTRUCTION_CHARS = 2_000
MOST_NAME_CHARS = 64  # models' servers take no longer ones


@dataclass(frozen=True)
class Offer:
    """What a server told when it was asked: its instructions, and its tools."""

    instructions: str
    tools: Sequence[Tool]

    def definitions(self) -> dict[str, dict[str, Any]]:
        """By name, what is pinned of each tool, and of the instructions where there are any."""
        said: dict[str, dict[str, Any]] = {
            tool.name: {"name": tool.name, "description": tool.description or "", "inputSchema": tool.inputSchema}
            for tool in self.tools
        }
        if self.instructions.strip():
            said[INSTRUCTIONS] = {"instructions": self.instructions}
        return said


def digest(definition: Mapping[str, Any]) -> str:
    """The SHA-256 (hex) of a definition in canonical JSON."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plain_name(tool: str) -> str:
    """The name by which a tool is pinned. Dots, which MCP permits and models' servers do not, become underscores."""
    return tool.replace(".", "_")


def tool_name(server: str, tool: str) -> str:
    """The name in the catalogue."""
    return f"{server}{SEPARATOR}{plain_name(tool)}"


def objection(server: str, definition: Mapping[str, Any]) -> str | None:
    """Why a tool cannot be offered, or None."""
    name = tool_name(server, str(definition["name"]))
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return "its name has characters that models cannot call"
    if len(name) > MOST_NAME_CHARS:
        return f"its name is longer than {MOST_NAME_CHARS} characters"
    size = len(json.dumps(definition["inputSchema"]))
    if size > MOST_SCHEMA_BYTES:
        return f"its schema has {size:,} bytes, more than {MOST_SCHEMA_BYTES:,}"
    try:
        Schema(schema(definition), trusted=False)
    except SchemaError as error:
        return f"its schema cannot be used: {error}"
    return None


def describe(server: str, definition: Mapping[str, Any]) -> str:
    """The description for the model: whose words they are, and not too many of them."""
    words = _clip(str(definition["description"]), MOST_DESCRIPTION_CHARS) or f"{definition['name']} (not described)."
    return f"From the MCP server {server}, in its own words: {words}"


def schema(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the arguments, as models' servers want it."""
    given = definition["inputSchema"]
    return {**given, "type": "object", "properties": given.get("properties") or {}}


def quote(instructions: str) -> str:
    """A server's instructions as a quotation, each line marked."""
    return "\n".join(f"> {line}" for line in _clip(instructions, MOST_INSTRUCTION_CHARS).splitlines())


def _clip(text: str, most: int) -> str:
    text = "".join(char for char in text if char in "\n\t" or char.isprintable()).strip()
    return text if len(text) <= most else f"{text[:most].rstrip()} …"
