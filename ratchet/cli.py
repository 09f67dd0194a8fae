"""The command line. Heavy imports wait until a command needs them: ``ratchet --help`` stays fast."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from ratchet import evaluate, policy_commands

# Read when langgraph is imported: without it a poisoned checkpoint row could run code.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")


class _Group(typer.core.TyperGroup):
    """The command group; its help ends with every setting."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        from ratchet.settings import Settings, describe

        typer.echo("Settings, with their defaults (environment, .env or configs/ratchet.yaml):\n")
        for line in describe(Settings()):
            typer.echo(f"  {line}")


app = typer.Typer(
    name="ratchet",
    cls=_Group,
    help="An operations agent for Slack. `ratchet settings` lists every setting.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from ratchet import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """An operations agent for Slack. `ratchet settings` lists every setting."""


app.add_typer(evaluate.app)
app.add_typer(policy_commands.app)

EXPLAINED = {  # by name: to import them all takes longer than to find the mistake
    "agent.errors.AgentError",
    "ratchet.manifest.ManifestError",
    "ratchet.new_tool.NewToolError",
    "ratchet.policies.PolicyError",
    "ratchet.settings.SettingsError",
    "slack_app.app.SlackError",
    "storage.db.StorageError",
    "tools.context.EmbeddingError",
    "tools.registry.CatalogueError",
}
"""The errors that end a command with one line."""


class Part(StrEnum):
    """What one process can be limited to."""

    slack = "slack"
    worker = "worker"
    web = "web"


@app.command()
def serve(
    only: Annotated[list[Part] | None, typer.Option(help="Run only this part; may be given several times.")] = None,
) -> None:
    """Run Ratchet: Slack, workers and web in one process."""
    settings = _settings()  # before what takes long to import
    from ratchet.bootstrap import open_services
    from ratchet.factories import choose_model, prepare_models
    from ratchet.serve import PARTS
    from ratchet.serve import serve as run_server

    parts = frozenset(part.value for part in only) if only else PARTS

    async def run() -> None:
        choice = await choose_model(settings)
        if "worker" in parts:  # the others take events in while the model is away
            with _pull_progress() as progress:
                await prepare_models(settings, choice, progress)
        async with open_services(settings, choice) as services:
            await run_server(services, parts)

    _run(run())


@app.command()
def chat(
    question: Annotated[str, typer.Argument(help="Ask once; without it, talk.")] = "",
) -> None:
    """Talk to the agent in this terminal, without Slack. It sees what public channels hold."""
    from ratchet.chat import run_chat

    _run(run_chat(_settings(quiet=True), question))


@app.command()
def demo(
    ask: Annotated[str, typer.Option(help="Ask once, print the thread and leave.")] = "",
    data: Annotated[
        Path | None, typer.Option("--import", help="Load messages from this folder instead of our own.")
    ] = None,
) -> None:
    """Start a whole workspace on this machine and talk to Ratchet in it."""
    from ratchet.demo import run_demo

    raise typer.Exit(_run(run_demo(_settings(quiet=True), ask=ask, data=data)))


@app.command()
def onboard(
    channel: Annotated[list[str] | None, typer.Argument(help="Names or ids, such as '#ops-alerts'.")] = None,
    messages: Annotated[
        int | None,
        typer.Option("--messages", "-n", min=1, help="How many of the newest; default 1000, in dev mode 10."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every channel that Ratchet is in.")] = False,
) -> None:
    """Read channels' past into memory, with their threads. Goes on where it was stopped."""
    from ratchet.onboard import run_onboard

    if bool(channel) == everything:
        raise typer.BadParameter("either name channels, or give --all")
    code = _run(run_onboard(_settings(quiet=True), channel or [], everything=everything, limit=messages))
    raise typer.Exit(130 if code is None else code)


@app.command()
def refresh_docs(
    source: Annotated[list[str] | None, typer.Argument(help="Names of sources; default all.")] = None,
) -> None:
    """Read the documentation's sources now, whether `ratchet serve` runs or not."""
    from ratchet.documentation.commands import run_refresh

    code = _run(run_refresh(_settings(quiet=True), source or []))
    raise typer.Exit(130 if code is None else code)


@app.command()
def ask_docs(
    question: Annotated[list[str], typer.Argument(help="What you want to know; quotes are not needed.")],
    search_only: Annotated[bool, typer.Option("--search-only", help="Show what is found, without an answer.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=20, help="How many places to show.")] = 5,
) -> None:
    """Ask the documentation in this terminal; the sources are named with their lines."""
    from ratchet.documentation.commands import run_ask

    raise typer.Exit(_run(run_ask(_settings(quiet=True), " ".join(question), search_only=search_only, limit=limit)))


@app.command()
def report(
    channel: Annotated[str, typer.Argument(help="The channel, such as #ops-alerts (quote it).")],
    days: Annotated[int, typer.Option(min=1, max=90, help="Length of the window that ends now.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    chart: Annotated[Path | None, typer.Option(help="Draw the chart into this PNG file.")] = None,
    demo: Annotated[bool, typer.Option(help="On the demo's workspace instead of the configured database.")] = False,
) -> None:
    """Report on a public channel's alerts: the top ones, toil, and what to change."""
    from ratchet.reports.commands import run_report

    _run(run_report(_settings(quiet=True), channel, days=days, as_json=as_json, picture=chart, demo=demo))


@app.command()
def usage(
    days: Annotated[int, typer.Option(min=1, max=365, help="Length of the window that ends now.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show messages, feedback, model calls, tokens, cost and what is left of budgets."""
    from ratchet.reports.commands import run_usage

    _run(run_usage(_settings(quiet=True), days=days, as_json=as_json))


@app.command()
def approvals(as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False) -> None:
    """List the changes that wait for a person's approval."""
    from ratchet.approvals import run_approvals

    _run(run_approvals(_settings(quiet=True), as_json=as_json))


@app.command()
def migrate() -> None:
    """Bring the database to the schema that this version needs."""
    settings = _settings()
    from ratchet.bootstrap import open_storage
    from storage.migrate import migrate as apply

    async def run() -> list[str]:
        if settings.database_url is None:
            async with open_storage(settings):
                return []
        from storage.db import open_database

        async with open_database(settings.database_url, min_size=1, max_size=4) as database:
            return await apply(database)

    applied = _run(run())
    typer.echo(f"applied: {', '.join(applied)}" if applied else "the database is up to date")


@app.command()
def reindex() -> None:
    """Embed every message with the configured model, then forget the vectors of other models."""
    from ratchet.reindex import run_reindex

    _run(run_reindex(_settings(quiet=True)))


@app.command()
def forget(
    user: Annotated[str, typer.Option(help="A person's Slack id, such as U012AB3CD.")] = "",
    channel: Annotated[str, typer.Option(help="A channel's Slack id, such as C012AB3CD.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is stored.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a person or a channel from everything that is stored. Works while Ratchet runs."""
    from ratchet.bootstrap import open_storage
    from ratchet.forget import Target
    from ratchet.forget import forget as remove

    if bool(user) == bool(channel):
        raise typer.BadParameter("give either --user or --channel")
    settings = _settings(quiet=True)
    target = Target("user", user) if user else Target("channel", channel)

    async def run() -> bool:
        async with open_storage(settings) as database:
            return await remove(
                database,
                target,
                say=typer.echo,
                confirm=lambda: yes or typer.confirm("Remove all of it, for good?"),
                dry_run=dry_run,
            )

    raise typer.Exit(0 if _run(run()) else 1)


@app.command()
def doctor() -> None:
    """Check the database, Slack, the model and the tools, and say what is wrong."""
    settings = _settings(quiet=True)
    from ratchet.health import examine

    async def run() -> bool:
        good = True
        async for check in examine(settings):
            sign = "FAIL" if not check.ok else "WARN" if check.warns else "OK  "
            typer.echo(f"{sign}  {check.name}: {check.detail}")
            good = good and check.ok
        return good

    raise typer.Exit(0 if _run(run()) else 1)


@app.command()
def tools(
    accept: Annotated[
        str, typer.Option(metavar="NAME", help="Pin an MCP server (or one tool, server__tool) anew, as it is now.")
    ] = "",
) -> None:
    """List every tool with its source, effect, arguments, pin and whether the default policy allows it."""
    from ratchet.tool_list import run_tools

    _run(run_tools(_settings(quiet=True), typer.echo, accept=accept))


@app.command("new-tool")
def new_tool(
    name: Annotated[str, typer.Argument(help="The tool's name, verb_noun, such as find_owner.")],
    directory: Annotated[Path, typer.Option("--dir", help="Where the package's folder is made.")] = Path(),
) -> None:
    """Write a small package with a tool of your own and its test, ready to be installed."""
    from ratchet.new_tool import write_package
    from tools.registry import load_catalogue

    folder = write_package(name, directory, {entry.name: entry.source for entry in load_catalogue()})
    typer.echo((folder / "README.md").read_text("utf-8"))
    typer.echo(f"written to {folder}")


@app.command()
def manifest(
    http: Annotated[
        str | None, typer.Option(metavar="URL", help="For HTTP at this https address instead of Socket Mode.")
    ] = None,
) -> None:
    """Print the manifest from which the Slack app is created."""
    from ratchet.manifest import show_manifest

    typer.echo(show_manifest(http), nl=False)


@app.command()
def settings() -> None:
    """List every setting: its variable, its value now, its default and what it is for."""
    from ratchet.settings import describe

    current = _settings()
    for line in describe(current):
        typer.echo(line)


def main() -> None:
    """Entry point: known errors are one line and exit 1."""
    try:
        app()
    except Exception as error:
        message = _explain(error)
        if message is None:
            raise
        typer.echo(f"error: {message}", err=True)
        sys.exit(1)


def _settings(*, quiet: bool = False) -> Any:
    from ratchet.settings import load_settings

    settings = load_settings()
    from agent.redaction import Redactor
    from ratchet.telemetry import configure_logging

    level = "error" if quiet and settings.log_level in {"info", "warning"} else settings.log_level
    configure_logging(
        level=level, readable=settings.dev_mode or sys.stderr.isatty(), redactor=Redactor(settings.secrets())
    )
    return settings


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return None


def _explain(error: BaseException) -> str | None:
    """The one line for an error that an operator can mend, or None."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if EXPLAINED & {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}:
        return " ".join(str(error).split())
    return None


def _pull_progress() -> Any:
    from ratchet.progress import pull_progress

    return pull_progress()


if __name__ == "__main__":
    main()
