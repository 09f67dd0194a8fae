"""``ratchet eval``: how good the parts are, on data that you bring."""

from __future__ import annotations

import typer

app = typer.Typer(name="eval", help="Measure how good the parts are, on data that you bring.", no_args_is_help=True)
