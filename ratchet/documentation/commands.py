"""``ratchet refresh-docs`` and ``ratchet ask-docs``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rich.console import Console

from agent.errors import AgentError
from ratchet.bootstrap import open_storage
from ratchet.chat import run_chat
from ratchet.documentation.factory import open_refresher
from ratchet.documentation.refresh import Outcome
from ratchet.embedders import open_embedder
from ratchet.factories import choose_model, prepare_model
from ratchet.progress import pull_progress, source_progress
from ratchet.settings import Settings, SettingsError
from storage import documents
from storage.db import Database
from storage.document_search import Found
from tools.context import Embedder
from tools.docs.finding import find_in_docs
from tools.search_docs import NOTHING, THRESHOLD

UNSET = "no documentation: set RATCHET_DOCUMENTATION to a file of sources, such as configs/docs.yaml"
SHOWN_PROBLEMS = 10
TOOLS = frozenset({"search_docs", "read_doc"})


async def run_refresh(settings: Settings, names: Sequence[str]) -> int:
    """Read sources now; returns the exit code, 1 where a source failed.

    Raises:
        SettingsError, StorageError: what is wrong, in one line.
    """
    if settings.documentation is None:
        raise SettingsError(UNSET)
    console = Console(highlight=False, soft_wrap=True)
    async with open_storage(settings) as database, open_refresher(settings, database) as refresher:
        if refresher is None or not refresher.sources:
            console.print(f"{settings.documentation} names no sources, so there is no documentation.", markup=False)
        if refresher is None:
            return 0
        try:
            with source_progress(Console(stderr=True, highlight=False)) as show:
                outcomes = await refresher.refresh(names, progress=show)
        except asyncio.CancelledError:
            console.print("Stopped. What was read is kept; `ratchet refresh-docs` goes on from there.", markup=False)
            raise
    for outcome in outcomes:
        for line in describe(outcome):
            console.print(line, markup=False)
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0


def describe(outcome: Outcome) -> list[str]:
    """An outcome in lines for people."""
    if outcome.state == "left":
        return [f"{outcome.name}: another process is reading it now"]
    if outcome.state == "failed":
        return [f"error: {outcome.name}: {outcome.error}. What was stored of it stays."]
    counts = [
        f"{outcome.stored:,} new or changed",
        f"{outcome.unchanged:,} unchanged",
        f"{outcome.removed:,} removed",
        *([f"{len(outcome.problems):,} not readable"] if outcome.problems else []),
    ]
    lines = [f"{outcome.name}: {outcome.total:,} documents ({', '.join(counts)}) in {outcome.seconds:.1f} s"]
    shown = list(outcome.problems.items())[:SHOWN_PROBLEMS]
    lines += [f"  {path}: {reason}; an old copy stays" for path, reason in shown]
    if len(outcome.problems) > len(shown):
        lines.append(f"  and {len(outcome.problems) - len(shown):,} more")
    return lines


async def run_ask(settings: Settings, question: str, *, search_only: bool, limit: int) -> int:
    """Answer a question from the documentation, and name the lines; returns the exit code, 1 where nothing is found.

    Without a model that can be reached, or with ``search_only``, what is found is shown as it is.

    Raises:
        SettingsError, StorageError: what is wrong, in one line.
    """
    console = Console(highlight=False, soft_wrap=True)
    async with open_storage(settings) as database, open_embedder(settings, database) as embedder:
        found, note = await _search(database, embedder, question, limit)
    for line in [note] if note else []:
        Console(stderr=True, highlight=False, soft_wrap=True).print(line, style="dim", markup=False)
    covered = bool(found.hits) and found.confidence >= THRESHOLD
    why = None if search_only else await _no_model(settings)
    if why or search_only:
        if why:
            console.print(f"No model answers, so here is what is found. ({why})\n", markup=False)
        _show(console, found, whole=True)
        return 0 if found.hits else 1
    await run_chat(settings, question, only=TOOLS)
    if covered:
        console.print("\nSources:")
        _show(console, found, whole=False)
    return 0 if covered else 1


async def _no_model(settings: Settings) -> str | None:
    """Why no model can answer; None where one can."""
    try:
        choice = await choose_model(settings)
        with pull_progress() as progress:
            await prepare_model(choice, progress)
    except (SettingsError, AgentError) as error:
        return " ".join(str(error).split())
    return None


async def _search(database: Database, embedder: Embedder | None, question: str, limit: int) -> tuple[Found, str | None]:
    """What is found, with a note where it is not all that could be."""
    async with database.connection() as conn:
        if not await documents.count(conn):
            raise SettingsError("no documentation is stored yet: `ratchet refresh-docs` reads it")
    return await find_in_docs(database, embedder, question, limit=limit)


def _show(console: Console, found: Found, *, whole: bool) -> None:
    """The places with their lines, and with ``whole`` what stands there."""
    if not found.hits:
        console.print(NOTHING.partition(". ")[0] + ".", markup=False)
    for hit in found.hits:
        section = " > ".join(hit.headings)
        where = documents.cite(hit.url, hit.first_line, hit.last_line)
        console.print(where if whole else f"  {where}", style="bold" if whole else None, markup=False)
        if whole:
            console.print(f"{hit.title}{f', {section}' if section not in ('', hit.title) else ''}", markup=False)
            console.print("\n".join(f"    {line}" for line in hit.text.split("\n")) + "\n", markup=False)
