"""``ratchet eval``: how good the parts are, on data that you bring. One file a part."""

from __future__ import annotations

import typer

from ratchet.evaluate import alerts, docs, runbooks, search

app = typer.Typer(name="eval", help="Measure how good the parts are, on data that you bring.", no_args_is_help=True)
app.command("alerts")(alerts.evaluate)
app.command("docs")(docs.evaluate)
app.command("runbooks")(runbooks.evaluate)
app.command("search")(search.evaluate)
