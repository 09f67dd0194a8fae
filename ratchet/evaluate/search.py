"""Search, judged on threads of past incidents."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evals.search import Evaluation, Thread


def evaluate(
    data: Annotated[Path, typer.Option(help="Threads of past incidents, one JSON object a line.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Find the messages of past incidents again: by words, by vectors, and by both."""
    from evals.search import DataError, load_threads, table

    try:
        threads = load_threads(data)
    except DataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    found = asyncio.run(_search(threads))
    typer.echo(found.to_json() if as_json else table(found))


async def _search(threads: Sequence[Thread]) -> Evaluation:
    from rich.console import Console

    from agent.redaction import Redactor
    from evals.databases import open_scratch
    from evals.search import evaluate_search
    from ratchet.embedders import open_embedder
    from ratchet.progress import count_progress
    from ratchet.settings import SettingsError, load_settings
    from ratchet.telemetry import configure_logging

    settings = load_settings()
    configure_logging(level="error", readable=True, redactor=Redactor(settings.secrets()))
    async with open_scratch() as database, open_embedder(settings, database) as embedder:
        if embedder is None:
            raise SettingsError("no embedding model works: `ratchet doctor` says why")
        with count_progress(f"embedding with {embedder.space}", Console(stderr=True)) as progress:
            return await evaluate_search(threads, database, embedder, progress)
