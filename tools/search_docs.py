"""Tool: what the team's documentation says about something, with its lines (behaviour A20)."""

from __future__ import annotations

from typing import TypedDict

from langchain_core.tools import ToolException, tool

from storage.document_search import ChunkHit
from storage.documents import cite
from tools.context import Runtime
from tools.docs.finding import find_in_docs

THRESHOLD = 0.5  # of the confidence; docs/architecture.md tells what it means
LONGEST = 6000  # characters of one result
NOTHING = (
    "The documentation does not cover this. Say so and cite nothing. It could be added: write it into one of the "
    "configured sources, or ask for a documentation update in this thread."
)


class Passage(TypedDict):
    """Lines of a document, word for word. ``source`` is the link to exactly these lines."""

    source: str
    title: str
    section: str
    text: str


class DocsResult(TypedDict):
    """The best passages, best first, at first one of each document."""

    results: list[Passage]
    note: str | None


@tool(
    parse_docstring=True,
    extras={
        "effect": "read",
        "doing": "Searching the docs for {query}",
        "topic": "Documentation",
        "example": "how do we rotate the API keys?",
    },
)
async def search_docs(query: str, runtime: Runtime, limit: int = 3) -> DocsResult:
    """Search the team's documentation: runbooks, manuals, how-tos, policies.

    Use it for "how do I", "where is it documented", "what does this alert or setting mean". Returns passages word for
    word, each with its source, a link to the exact lines. Answer from these passages only and put the source behind
    each fact. When nothing is found, the documentation does not cover it: say so. read_doc shows a whole document.

    Args:
        query: The question, or its words. Names of alerts, settings, flags and files match as they are.
        limit: How many passages to return, 1 to 10.
    """
    context = runtime.context
    if not 1 <= limit <= 10:
        raise ToolException(f"limit must be 1 to 10, not {limit}.")
    if not query.strip():
        raise ToolException("What is to be looked for? Give a question or words.")
    found, note = await find_in_docs(context.database, context.embedder, query, limit=limit, viewer=context.viewer)
    if not found.hits or found.confidence < THRESHOLD:
        return DocsResult(results=[], note=NOTHING)
    return DocsResult(results=[_show(hit) for hit in found.hits], note=note)


def _show(hit: ChunkHit) -> Passage:
    """A hit as whole lines, as many as fit."""
    text, last_line = hit.text, hit.last_line
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0] or text[:LONGEST]
        last_line = hit.first_line + text.count("\n")
    return Passage(
        source=cite(hit.url, hit.first_line, last_line), title=hit.title, section=" > ".join(hit.headings), text=text
    )
