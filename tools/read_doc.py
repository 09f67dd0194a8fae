"""Tool: a whole document of the team's documentation (behaviour A22)."""

from __future__ import annotations

from typing import TypedDict

from langchain_core.tools import ToolException, tool

from storage import documents
from storage.documents import cite
from tools.context import Runtime

LONGEST = 24_000  # characters of one page


class DocumentPage(TypedDict):
    """Lines of a document, word for word, from ``first_line`` on; ``source`` is the link to exactly these."""

    source: str
    title: str
    first_line: int
    last_line: int
    lines: int
    text: str
    note: str | None


@tool(
    parse_docstring=True,
    extras={
        "effect": "read",
        "doing": "Reading {identifier}",
        "outcome": "lines {first_line} to {last_line}",
        "topic": "Documentation",
    },
)
async def read_doc(identifier: str, runtime: Runtime, first_line: int = 1) -> DocumentPage:
    """Read a document of the team's documentation.

    Use it when a passage that search_docs found is not enough. Returns all of it, or of a long one a page of whole
    lines and a note on where the next one begins.

    Args:
        identifier: The document's URL, as in the source of a passage, with or without its lines. Only documents that
            are indexed can be read.
        first_line: The line to begin with, from 1.
    """
    url = identifier.strip().strip("<>").partition("|")[0]
    async with runtime.context.database.connection() as conn:
        document = await documents.get(conn, url, runtime.context.viewer)
    if document is None:
        raise ToolException(
            f"No indexed document is called {identifier!r}. search_docs returns the URLs of those there are."
        )
    lines = document.text.removesuffix("\n").split("\n")
    if not 1 <= first_line <= len(lines):
        raise ToolException(f"first_line must be 1 to {len(lines)}, not {first_line}.")
    last_line, size = first_line, len(lines[first_line - 1])
    while last_line < len(lines) and size + 1 + len(lines[last_line]) <= LONGEST:
        size += 1 + len(lines[last_line])
        last_line += 1
    note = None
    if last_line < len(lines):
        note = f"There is more: go on with first_line {last_line + 1}."
    if size > LONGEST:
        note = f"Line {first_line} is cut at {LONGEST} characters. " + (note or "")
    return DocumentPage(
        source=cite(document.url, first_line, last_line),
        title=document.title,
        first_line=first_line,
        last_line=last_line,
        lines=len(lines),
        text="\n".join(lines[first_line - 1 : last_line])[:LONGEST],
        note=note.strip() if note else None,
    )
