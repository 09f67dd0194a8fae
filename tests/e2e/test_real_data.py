"""The main job on real input: real alert messages in a workspace, a question, the tools, the answer."""

import asyncio
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import psycopg

from ratchet.jobs import onboarding
from sandbox.client import SandboxClient
from sandbox.demo_data import load_demo
from sandbox.importer import load_folder
from sandbox.server import SandboxConfig, open_sandbox
from sandbox.workspace import Workspace
from tests.e2e.conftest import World

QUESTION = "which alerts fired most in #ops-alerts this week?"
LINE = re.compile(r"\*\*(?P<alert>.+?)\*\*.*?: fired (?P<fired>\d+ times|once|twice|never|0 times)", re.IGNORECASE)
RECOUNT = """
select count(*) from alerts join channels using (team_id, channel_id)
where name = 'ops-alerts' and alert = %s and action = 'open_incident' and at between now() - interval '7 days' and now()
"""
IN_WORDS = {"once": 1, "twice": 2, "never": 0}


async def ask_in(workspace, database_url, user):
    """Ask the question by mention in #ops-alerts and return the answer and the world."""
    async with AsyncExitStack() as stack:
        config = SandboxConfig(rate_limits=False, brain="planner")
        sandbox = await stack.enter_async_context(open_sandbox(config, workspace))
        client = await stack.enter_async_context(SandboxClient(sandbox.url))
        world = World(sandbox, client, database_url)
        services = await stack.enter_async_context(world.ratchet())
        async with asyncio.timeout(60):
            while True:
                async with services.database.connection() as conn:
                    if await onboarding.is_idle(conn):
                        break
                await asyncio.sleep(0.1)
        ts = await client.say("ops-alerts", f"<@{sandbox.bot_user_id}> {QUESTION}", user=user)
        (answer,) = await world.answers("ops-alerts", ts, seconds=60)
        return answer, sandbox.url


def check(answer, url, database_url):
    """Every count of the answer is what plain SQL counts, and has a permalink to a stored message."""
    lines = [line for line in answer.splitlines() if LINE.search(line)]
    assert len(lines) >= 3, answer
    with psycopg.connect(database_url) as conn:
        for line in lines:
            match = LINE.search(line)
            word = match["fired"].split()[0].lower()
            (count,) = conn.execute(RECOUNT, (match["alert"],)).fetchone()
            assert IN_WORDS.get(word) == count or (word.isdigit() and int(word) == count), line
            link = re.search(rf"\(({re.escape(url)}/archives/\S+?)\)", line)
            assert link, line
            assert conn.execute("select 1 from messages where permalink = %s", (link[1],)).fetchone()


async def test_the_demo_workspace(database_url):
    workspace = Workspace()
    load_demo(workspace, datetime.now(UTC))
    answer, url = await ask_in(workspace, database_url, "oncall-a")
    check(answer, url, database_url)
    assert "offline demo model" in answer.lower()


async def test_imported_real_alerts(database_url, shared_data):
    workspace = Workspace()
    loaded = load_folder(workspace, shared_data, datetime.now(UTC))
    user = next(user.name for user in workspace.users.values() if not user.is_bot)
    answer, url = await ask_in(workspace, database_url, user)
    check(answer, url, database_url)
    with psycopg.connect(database_url) as conn:
        (stored,) = conn.execute("select count(*) from messages where searchable").fetchone()
    assert stored >= len(loaded.alerts)
