"""The alert classifier, judged on messages with their truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evals.alerts import Score

HEAD = (
    f"{'system':24}{'F1':>7}{'prec.':>7}{'recall':>7}{'false':>7}{'alert':>7}"
    f"{'service':>9}{'messages':>10}{'a second':>10}"
)


def evaluate(
    data: Annotated[Path, typer.Option(help="Messages with their truth, a JSON object a line.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    show: Annotated[int, typer.Option(min=0, help="Print this many messages that were read wrong.")] = 0,
    without_own_parser: Annotated[
        bool, typer.Option(help="Also judge each system without the parsers that read it.")
    ] = False,
) -> None:
    """Judge the alert classifier: action, alert and service of each message, by system and overall."""
    from evals.alerts import DataError, load_rows
    from evals.alerts import evaluate as judge

    try:
        rows = load_rows(data)
    except DataError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    report = judge(rows, leave_one_out=without_own_parser)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
        return
    _print_table({**report.systems, "overall": report.overall})
    if report.leave_one_out:
        typer.echo("\nEach system without the parsers that read it:\n")
        _print_table(report.leave_one_out)
    for mistake in report.overall.mistakes[:show]:
        read, row = mistake.read, mistake.row
        typer.echo(f"\n{row.system} {row.row_id}: wrong {', '.join(mistake.wrong)}")
        typer.echo(f"  read      {(read.action, read.alert, read.service, read.parser) if read else 'none'}")
        typer.echo(f"  expected  {(row.action, sorted(row.alerts), sorted(row.services))}")


def _print_table(scores: dict[str, Score]) -> None:
    typer.echo(HEAD)
    for name, score in scores.items():
        row = score.as_dict()
        shares = "".join(
            f"{row[key]:7.3f}"
            for key in ("action_f1", "action_precision", "action_recall", "false_alarm_rate", "alert_exact")
        )
        typer.echo(
            f"{name[:23]:24}{shares}{row['service_exact']:9.3f}{row['messages']:10}{row['messages_per_second']:10}"
        )
