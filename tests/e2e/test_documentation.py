"""Documentation is read at the start, and questions in Slack are answered from it with a link to the lines."""

import asyncio
import re

import httpx2
import pytest

from sandbox.client import SandboxClient
from sandbox.server import SandboxConfig, open_sandbox
from sandbox.workspace import Workspace
from storage import db

from .conftest import World

GUIDE = """# Webhook secrets

## Rotating

Run `secretctl rotate webhook --overlap 24h`. Both secrets are valid for a day.

## Losing one

Tell the security team at once.
"""


@pytest.fixture
async def planned(database_url):
    """A world whose model plans by itself, as in the demo."""
    workspace = Workspace()
    async with (
        open_sandbox(SandboxConfig(rate_limits=False, brain="planner"), workspace) as sandbox,
        SandboxClient(sandbox.url) as client,
    ):
        await client.create_user("oncall-a")
        await client.create_channel("ops", members=["oncall-a", sandbox.bot_user_id])
        yield World(sandbox, client, database_url)


def documented(world, folder, **more):
    """Settings with a folder of documents."""
    (folder / "docs").mkdir()
    (folder / "docs" / "webhooks.md").write_text(GUIDE)
    sources = folder / "docs.yaml"
    sources.write_text(
        f"sources:\n  - {{name: handbook, type: local, path: {folder / 'docs'}, web_url: https://wiki.example.com/docs}}\n"
    )
    return world.settings().model_copy(update={"documentation": sources, **more})


async def until_read(services, count=1):
    async with asyncio.timeout(20):
        while True:
            states = await services.refresher.states()
            async with services.database.connection() as conn:
                stored = await db.fetch_value(conn, "select count(*) from documents")
            if stored == count and all(state and state.state == "done" for _, state in states):
                return
            await asyncio.sleep(0.05)


async def test_a_question_is_answered_with_the_exact_lines_and_another_is_said_not_to_be_covered(planned, tmp_path):
    async with planned.ratchet(settings=documented(planned, tmp_path)) as services:
        await until_read(services)
        bot = planned.sandbox.bot_user_id
        asked = await planned.client.say("ops", f"<@{bot}> how do I rotate a webhook secret?", user="oncall-a")
        [answer] = await planned.answers("ops", asked)
        command = "secretctl rotate webhook --overlap 24h"
        link = re.search(r"https://wiki\.example\.com/docs/webhooks\.md#L(\d+)-L(\d+)", answer)
        first, last = int(link[1]), int(link[2])
        assert command in answer and any(command in line for line in GUIDE.split("\n")[first - 1 : last])
        other = await planned.client.say("ops", f"<@{bot}> how do I book a flight to Lisbon?", user="oncall-a")
        [answer] = await planned.answers("ops", other)
        assert "does not cover" in answer and "wiki.example.com" not in answer


async def test_a_start_reads_what_changed_and_the_api_tells_how_far_it_is(planned, tmp_path):
    settings = documented(planned, tmp_path)
    async with planned.ratchet("worker", settings=settings) as services:
        await until_read(services)
    (tmp_path / "docs" / "second.md").write_text("# Second\n\nMore.\n")
    (tmp_path / "docs" / "broken.md").write_bytes(b"\xff")
    from agent.models import ModelChoice
    from ratchet.bootstrap import open_services
    from ratchet.serve import running
    from ratchet.web.app import create_app

    choice = ModelChoice("openai", "gpt-4.1-mini", planned.sandbox.openai_url, "key")
    async with (
        open_services(settings, choice, prepare=False) as services,
        running(services, frozenset({"worker"})),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(create_app(services)), base_url="http://ratchet") as web,
    ):
        await until_read(services, count=2)
        [source] = (await web.get("/api/documentation")).json()["sources"]
        assert (source["name"], source["type"], source["state"]) == ("handbook", "local", "done")
        assert (source["done"], source["total"], source["failed"]) == (2, 3, 1)
        assert source["problems"][0].startswith("broken.md: it is not UTF-8") and source["finished_at"]


async def test_without_a_file_of_sources_nothing_is_read_and_nothing_goes(planned, tmp_path):
    async with planned.ratchet("worker", settings=documented(planned, tmp_path)) as services:
        await until_read(services)
    async with planned.ratchet("worker") as services:
        assert services.refresher is None
        await asyncio.sleep(1)
        async with services.database.connection() as conn:
            assert await db.fetch_value(conn, "select count(*) from documents") == 1
            jobs = "select count(*) from procrastinate_jobs where task_name = 'refresh_docs'"
            assert await db.fetch_value(conn, jobs) == 0


async def test_an_empty_file_of_sources_takes_every_document_away(planned, tmp_path):
    settings = documented(planned, tmp_path)
    async with planned.ratchet("worker", settings=settings) as services:
        await until_read(services)
    settings.documentation.write_text("sources: []\n")
    async with planned.ratchet("worker", settings=settings) as services:
        await until_read(services, count=0)
