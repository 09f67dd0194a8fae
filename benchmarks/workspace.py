"""A Slack workspace in a process of its own, as the real one is, and a Ratchet connected to it in this one."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from agent.models import ModelChoice
from ratchet.bootstrap import Services, open_services
from ratchet.sections import DatabaseSettings, SlackSettings
from ratchet.serve import running
from ratchet.settings import Settings
from sandbox.client import SandboxClient

PEOPLE = tuple(f"oncall-{letter}" for letter in "abcdefghij")
CHANNELS = ("ops", "payments", "deploys", "databases")
ANSWER = "The replica lags because of a long transaction. " * 10
SCRIPT: list[dict[str, Any]] = [
    {
        "match": ".*",
        "steps": [
            {"tool_calls": [{"name": "search_messages", "args": {"query": "replica lag"}}]},
            {"tool_calls": [{"name": "list_channels", "args": {}}]},
            {"text": ANSWER},
        ],
    }
]


@dataclass(frozen=True)
class World:
    """A workspace with people and channels: how to act in it, and the values to connect with."""

    client: SandboxClient
    environment: dict[str, str]
    bot_user_id: str

    def settings(self, url: str, *, http_addr: str | None = None) -> Settings:
        """Ratchet's settings: Socket Mode, or signed HTTP on ``http_addr``."""
        token, secret = self.environment["RATCHET_SLACK_APP_TOKEN"], self.environment["RATCHET_SLACK_SIGNING_SECRET"]
        return Settings(
            database=DatabaseSettings(url=SecretStr(url)),
            slack=SlackSettings(
                bot_token=SecretStr(self.environment["RATCHET_SLACK_BOT_TOKEN"]),
                app_token=None if http_addr else SecretStr(token),
                signing_secret=SecretStr(secret) if http_addr else None,
                api_url=self.environment["SLACK_API_URL"],
            ),
            http_addr=http_addr or "127.0.0.1:0",
        )

    @asynccontextmanager
    async def ratchet(self, url: str, *parts: str, http_addr: str | None = None) -> AsyncIterator[Services]:
        """Ratchet's parts, running, with the workspace's zero-latency model."""
        choice = ModelChoice("openai", "gpt-4.1-mini", self.environment["RATCHET_OPENAI_URL"], "key")
        async with (
            open_services(self.settings(url, http_addr=http_addr), choice, prepare=False) as services,
            running(services, frozenset(parts)),
        ):
            yield services


@asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    """Start ``python -m sandbox``, fill it, and stop it at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--brain", "script", "--no-rate-limits", stdout=asyncio.subprocess.PIPE
    )
    try:
        environment, url = await asyncio.wait_for(_read_environment(process), 30)
        async with SandboxClient(url) as client:
            bot = str((await client.info())["bot_user_id"])
            for name in PEOPLE:
                await client.create_user(name)
            for name in CHANNELS:
                await client.create_channel(name, members=[*PEOPLE, bot])
            await client.script(SCRIPT)
            yield World(client, environment, bot)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _read_environment(process: asyncio.subprocess.Process) -> tuple[dict[str, str], str]:
    environment: dict[str, str] = {}
    url = ""
    async for raw in process.stdout or ():  # type: ignore[union-attr]
        line = raw.decode().strip()
        if line.startswith("Slack "):
            url = line.split()[-1]
        elif line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            environment[name] = value
        elif line == "Ctrl-C stops.":
            break
    return environment, url


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_quiet(services: Services, *, seconds: float = 60.0) -> None:
    """Wait until no question waits for its answer.

    Raises:
        TimeoutError: some still do after ``seconds``.
    """
    async with asyncio.timeout(seconds):
        while await waiting(services):  # noqa: ASYNC110 - the queue is in the database
            await asyncio.sleep(0.05)


async def waiting(services: Services) -> int:
    """How many jobs are in the queue or at work."""
    async with services.database.connection() as conn:
        row = await (
            await conn.execute("select count(*) from procrastinate_jobs where status in ('todo', 'doing')")
        ).fetchone()
    return int(row[0]) if row else 0
