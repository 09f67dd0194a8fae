"""``ratchet policy``: what the policies of configs/ratchet.yaml come to."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

app = typer.Typer(name="policy", help="Explain what the policies allow.", no_args_is_help=True)


@app.callback()
def policy() -> None:
    """Explain what the policies allow."""


@app.command()
def explain(
    channel: Annotated[str, typer.Argument(help="Name or id, such as '#ops' (quote it).")],
    tool: Annotated[str, typer.Argument(help="A tool's name; `ratchet tools` lists them.")],
    user: Annotated[str, typer.Argument(help="Name or id, such as @kim.")],
) -> None:
    """Say whether somebody may have a tool used in a channel, and which rule says so. Asks nothing of Slack.

    Ends with 0 when it is allowed, 1 when it is not, 2 when the channel, the tool or the person is not known.
    """
    from agent.redaction import Redactor
    from ratchet.policy_explain import NotKnown, run_explain
    from ratchet.settings import load_settings
    from ratchet.telemetry import configure_logging

    settings = load_settings()
    configure_logging(level="error", readable=True, redactor=Redactor(settings.secrets()))
    try:
        allowed = asyncio.run(run_explain(settings, channel, tool, user, typer.echo))
    except NotKnown as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if allowed else 1)
