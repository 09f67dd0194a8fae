"""A whole workspace on this machine: embedded database, sandbox, Ratchet connected to it, and a terminal."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console

from agent.models import ModelChoice
from ratchet.bootstrap import Services, open_services
from ratchet.demo_terminal import Terminal
from ratchet.demo_world import APPROVER, HELP_CHANNEL, furnish
from ratchet.factories import choose_model, prepare_models
from ratchet.jobs import onboarding
from ratchet.progress import pull_progress
from ratchet.sections import DatabaseSettings
from ratchet.serve import running
from ratchet.settings import Settings, SettingsError
from sandbox.client import SandboxClient
from sandbox.demo_data import load_demo
from sandbox.importer import load_folder
from sandbox.server import Sandbox, SandboxConfig, open_sandbox
from sandbox.workspace import Workspace
from storage import messages
from storage.embedded import open_embedded

ONBOARDING_SECONDS = 120.0
DEMO_MODEL = "offline-demo"
ASKED_IN = "ops-alerts"


async def run_demo(settings: Settings, *, ask: str, data: Path | None) -> int:
    """Start everything, then ask once or talk; returns the exit code.

    Raises:
        SettingsError, StorageError, SlackError, ModelError: what is wrong, in one line.
    """
    console = Console(highlight=False, soft_wrap=True)
    began = time.perf_counter()
    workspace = Workspace()
    user, channel = _fill(workspace, data)
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(
            open_sandbox(SandboxConfig(rate_limits=False, brain="planner"), workspace)
        )
        services = await stack.enter_async_context(_connected(settings, sandbox, console, own=data is None))
        count = await _wait_until_read(services)
        client = await stack.enter_async_context(SandboxClient(sandbox.url))
        console.print(
            f"Ratchet is in the workspace: {count:,} messages read, model {services.model.model}, "
            f"ready after {time.perf_counter() - began:.1f} s.",
            style="dim",
            markup=False,
        )
        furnished = data is None and settings.documentation is None
        terminal = Terminal(
            client,
            workspace,
            console,
            user=user,
            channel=channel,
            approver=APPROVER if furnished else None,
            help_channel=HELP_CHANNEL if furnished else None,
        )
        if ask:
            return 0 if await terminal.ask_once(ask) else 1
        await terminal.talk()
        return 0


def _fill(workspace: Workspace, data: Path | None) -> tuple[str, str]:
    """Load the messages; returns the names of the first user and channel."""
    now = datetime.now(UTC)
    if data is None:
        load_demo(workspace, now)
        return "oncall-a", ASKED_IN
    try:
        loaded = load_folder(workspace, data, now)
    except (ValueError, OSError) as error:
        raise SettingsError(str(error)) from None
    person = next((user for user in workspace.users.values() if not user.is_bot), None)
    name = person.name if person else workspace.add_user(name="oncall-a").name
    return name, ASKED_IN if ASKED_IN in loaded.channels else next(iter(loaded.channels))


@asynccontextmanager
async def open_demo(settings: Settings, console: Console) -> AsyncIterator[Services]:
    """Ratchet in the demo's workspace, with all its messages read; gone when the block ends.

    Raises:
        SettingsError, StorageError, SlackError, ModelError: what is wrong, in one line.
    """
    workspace = Workspace()
    _fill(workspace, None)
    async with (
        open_sandbox(SandboxConfig(rate_limits=False, brain="planner"), workspace) as sandbox,
        _connected(settings, sandbox, console, own=True) as services,
    ):
        await _wait_until_read(services)
        yield services


@asynccontextmanager
async def _connected(settings: Settings, sandbox: Sandbox, console: Console, *, own: bool) -> AsyncIterator[Services]:
    """Ratchet on a fresh database, connected to the sandbox; with its handbook where the messages are our own."""
    name = f"demo_{os.getpid()}"
    async with open_embedded(settings.data_dir / "demo", name=name, fresh=True) as url:
        choice = await _model(settings, sandbox, console)
        slack = settings.slack.model_copy(
            update={
                "bot_token": SecretStr(sandbox.bot_token),
                "app_token": SecretStr(sandbox.app_token),
                "signing_secret": SecretStr(sandbox.signing_secret),
                "api_url": sandbox.slack_api_url,
                "dev_channel": None,
            }
        )
        database = DatabaseSettings(url=SecretStr(url), pool_size=settings.database.pool_size)
        local = settings.model_copy(update={"slack": slack, "database": database, "dev_mode": False})
        with tempfile.TemporaryDirectory(prefix="ratchet-demo-") as folder:
            if own and settings.documentation is None:
                local = furnish(local, sandbox, Path(folder))
            async with (
                open_services(local, choice, prepare=True) as services,
                running(services, frozenset({"slack", "worker"})),
            ):
                yield services


async def _model(settings: Settings, sandbox: Sandbox, console: Console) -> ModelChoice:
    """A real model if there is one, else the sandbox's; says which."""
    try:
        choice = await choose_model(settings)
    except SettingsError:
        console.print(
            "No OPENAI_API_KEY and no Ollama found: the offline demo model answers. It matches plain questions "
            "to tools and does not reason.",
            style="yellow",
            markup=False,
        )
        return ModelChoice("openai", DEMO_MODEL, sandbox.openai_url, "offline")
    console.print(f"Using {choice}.", style="green", markup=False)
    with pull_progress() as progress:
        await prepare_models(settings, choice, progress)
    return choice


async def _wait_until_read(services: Services) -> int:
    """Wait until every channel's past and the documentation is in memory; returns how many messages that are."""
    async with asyncio.timeout(ONBOARDING_SECONDS):
        while True:
            refreshed = await services.refresher.is_idle() if services.refresher else True
            async with services.database.connection() as conn:
                if refreshed and await onboarding.is_idle(conn):
                    return await messages.count(conn, services.slack.identity.team_id)
            await asyncio.sleep(0.05)
