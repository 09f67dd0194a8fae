"""A sandbox and a whole Ratchet connected to it, in this process."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from pydantic import SecretStr

from agent.models import ModelChoice
from ratchet.bootstrap import open_services
from ratchet.sections import AgentSettings, DatabaseSettings, EmbeddingSettings, JobSettings, SlackSettings
from ratchet.serve import running
from ratchet.settings import Settings
from sandbox.client import SandboxClient
from sandbox.server import SandboxConfig, open_sandbox
from sandbox.workspace import Workspace
from tests.answers import said


class World:
    """A sandbox with people and channels, and what is needed to look into it."""

    def __init__(self, sandbox, client, url):
        self.sandbox = sandbox
        self.client = client
        self.url = url
        self.services = None

    def settings(self, **slack):
        options = {
            "bot_token": SecretStr(self.sandbox.bot_token),
            "app_token": SecretStr(self.sandbox.app_token),
            "api_url": self.sandbox.slack_api_url,
            **slack,
        }
        return Settings(
            database=DatabaseSettings(url=SecretStr(self.url)),
            slack=SlackSettings(**options),
            jobs=JobSettings(heartbeat_seconds=0.5, stalled_seconds=2),
            agent=AgentSettings(),
            embeddings=EmbeddingSettings(providers=["hashing"]),
            http_addr="127.0.0.1:0",
        )

    @asynccontextmanager
    async def ratchet(self, *parts, settings=None):
        """A running Ratchet; yields its services."""
        choice = ModelChoice("openai", "gpt-4.1-mini", self.sandbox.openai_url, "key")
        async with (
            open_services(settings or self.settings(), choice, prepare=False) as services,
            running(services, frozenset(parts or ("slack", "worker"))),
        ):
            yield services

    async def posts(self, channel, thread_ts=None):
        """What Ratchet wrote and finished: replies of a thread, or top-level messages of a channel."""
        return [
            message
            for message in await self.client.messages(channel, thread_ts)
            if message.get("user") == self.sandbox.bot_user_id
            and not is_growing(message)
            and not is_left(message)
            and message["ts"] != thread_ts
            and (thread_ts or message.get("thread_ts") in (None, message["ts"]))
        ]

    async def until_posts(self, channel, thread_ts=None, count=1, seconds=20):
        """The same, once there are ``count``; then a moment more, to see doubles."""
        async with asyncio.timeout(seconds):
            while len(await self.posts(channel, thread_ts)) < count:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        return await self.posts(channel, thread_ts)

    async def answers(self, channel, thread_ts, count=1, seconds=20):
        """The words of Ratchet's replies in a thread, once there are ``count``, without what code adds to answers."""
        return [said(text_of(message)) for message in await self.until_posts(channel, thread_ts, count, seconds)]


def is_growing(message):
    """Whether a message is a turn's progress, which is not its answer yet."""
    kind = (message.get("metadata") or {}).get("event_type")
    return kind == "ratchet_progress" or (kind is None and bool(message.get("streaming_state")))


def is_left(message):
    """Whether a message was left at the steps of a turn that then asked people: its answer is another one."""
    return (message.get("metadata") or {}).get("event_type") == "ratchet_steps"


def text_of(message):
    blocks = message.get("blocks") or []
    return "\n".join(block["text"] for block in blocks if block["type"] == "markdown") or message["text"]


@pytest.fixture
async def world(database_url):
    """People oncall-a and oncall-b, channels #ops and #secrets (private, only oncall-a)."""
    async with open_world(database_url) as world:
        yield world


@asynccontextmanager
async def open_world(database_url):
    """The same, for a test that needs several."""
    workspace = Workspace()
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(open_sandbox(SandboxConfig(rate_limits=False), workspace))
        client = await stack.enter_async_context(SandboxClient(sandbox.url))
        for name in ("oncall-a", "oncall-b"):
            await client.create_user(name)
        await client.create_channel("ops", members=["oncall-a", "oncall-b", sandbox.bot_user_id])
        await client.create_channel("secrets", is_private=True, members=["oncall-a", sandbox.bot_user_id])
        yield World(sandbox, client, database_url)
