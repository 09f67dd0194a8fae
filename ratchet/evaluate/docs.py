"""Retrieval of documentation, judged on questions whose pages are known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evals.docs import Evaluation, Query


def evaluate(
    corpus: Annotated[Path, typer.Option(help="Folder of documents: .md, .mdx, .rst, .txt.")],
    queries: Annotated[Path, typer.Option(help='A line each: {"query": "…", "relevant": ["path in the corpus", …]}.')],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Find the pages that answer questions: by words, by vectors, by both, and by a plain vector store."""
    from evals.docs import DataError, load_corpus, load_queries, table

    try:
        pages = load_corpus(corpus)
        asked = load_queries(queries, pages)
    except DataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    found = asyncio.run(_docs(pages, asked))
    typer.echo(found.to_json() if as_json else table(found))


async def _docs(pages: dict[str, str], queries: Sequence[Query]) -> Evaluation:
    from rich.console import Console

    from agent.redaction import Redactor
    from evals.databases import open_scratch
    from evals.docs import evaluate_docs
    from ratchet.embedders import open_embedder
    from ratchet.progress import count_progress
    from ratchet.settings import SettingsError, load_settings
    from ratchet.telemetry import configure_logging

    settings = load_settings()
    configure_logging(level="error", readable=True, redactor=Redactor(settings.secrets()))
    async with open_scratch() as database, open_embedder(settings, database) as embedder:
        if embedder is None:
            raise SettingsError("no embedding model works: `ratchet doctor` says why")
        progress = partial(count_progress, console=Console(stderr=True))
        return await evaluate_docs(pages, queries, database, embedder, progress)
