"""Runbooks, judged on threads of incidents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    data: Annotated[Path, typer.Option(help="Threads of incidents, a JSON object a line.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    show: Annotated[int, typer.Option(min=0, help="Print this many runbooks.")] = 0,
) -> None:
    """Judge the runbooks that the model distils from threads: lines kept to their sources, commands kept verbatim."""
    import asyncio

    from evals.runbooks import DataError, load_threads
    from ratchet.evaluating import judge_runbooks

    try:
        threads = load_threads(data)
    except DataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    model, report = asyncio.run(judge_runbooks(threads))
    figures = {"model": model, **report.as_dict()}
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        typer.echo(f"{name:16}{value:.1%}" if isinstance(value, float) else f"{name:16}{value}")
    for score in report.threads[:show]:
        typer.echo(f"\n{score.thread_id}{': ' + score.error if score.error else ''}")
        for line in score.lines:
            typer.echo(f"  {line.section:11}{line.text} [{line.permalink}]")
            if line.command:
                typer.echo(f"             $ {line.command}")
