"""A sandbox's Slack, and the parts of slack_app on it and on a real database."""

import itertools

import aiohttp
import pytest

from ratchet.jobs.queue import Enqueuer, open_queue
from sandbox.client import SandboxClient
from sandbox.server import SandboxConfig, open_sandbox
from slack_app.app import build_client, identify
from slack_app.backfill import Backfill
from slack_app.directory import Directory
from slack_app.identity import Identity
from slack_app.inbox import Inbox


@pytest.fixture
async def sandbox():
    """People oncall-a and oncall-b, the channel #ops; oncall-a and Ratchet are in #secrets (private)."""
    async with open_sandbox(SandboxConfig(rate_limits=False)) as opened:
        one, two = opened.workspace.add_user("oncall-a"), opened.workspace.add_user("oncall-b")
        opened.workspace.add_channel("ops", members=[one.id, two.id, opened.bot_user_id], topic="on call")
        opened.workspace.add_channel("secrets", is_private=True, members=[one.id, opened.bot_user_id])
        yield opened


@pytest.fixture
async def people(sandbox):
    async with SandboxClient(sandbox.url) as client:
        yield client


@pytest.fixture
def channel(sandbox):
    """Ids by name."""
    return {found.name: found.id for found in sandbox.workspace.channels.values()}


@pytest.fixture
def user(sandbox):
    """Ids by name."""
    return {found.name: found.id for found in sandbox.workspace.users.values()}


@pytest.fixture
async def slack(sandbox):
    """Ratchet's own client."""
    async with aiohttp.ClientSession() as session:
        yield build_client(sandbox.bot_token, sandbox.slack_api_url, session)


@pytest.fixture
def identity():
    """Ratchet in a workspace without a server."""
    return Identity("T1", "UBOT", "BBOT", "https://acme.slack.com/")


@pytest.fixture
async def enqueue(database):
    """The real queue."""
    async with open_queue(database) as queue:
        yield Enqueuer(queue)


@pytest.fixture
def inbox(database, identity, enqueue):
    return Inbox(database, identity, enqueue)


@pytest.fixture
async def directory(slack, database):
    return Directory(slack, database, await identify(slack))


@pytest.fixture
async def backfill(sandbox, slack, database, enqueue):
    """On a client that does not wait out rate limits."""
    identity = await identify(slack)
    async with aiohttp.ClientSession() as session:
        client = build_client(sandbox.bot_token, sandbox.slack_api_url, session, patient=False)
        yield Backfill(client, database, identity, Directory(client, database, identity), enqueue)


@pytest.fixture
def rows(database):
    """The rows of a statement."""

    async def fetch(statement, *params):
        async with database.connection() as conn:
            return await (await conn.execute(statement, params)).fetchall()

    return fetch


@pytest.fixture
def deliver(inbox):
    """Delivers an event as T1's Slack; each call has an event id of its own unless it is given."""
    numbers = itertools.count(1)

    async def send(event, *, event_id=None, to=inbox):
        body = {"type": "event_callback", "event_id": event_id or f"E{next(numbers)}", "team_id": "T1", "event": event}
        await to.record(body)

    return send


@pytest.fixture
def jobs(rows):
    async def fetch():
        return await rows("select task_name, lock, args from procrastinate_jobs order by id")

    return fetch
