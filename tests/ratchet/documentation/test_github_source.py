"""A repository at GitHub gives its documents by the API; what changed is fetched, and no more."""

import asyncio
from collections import Counter

import httpx2
import pytest
from pydantic import SecretStr
from tenacity import wait_none

from ratchet.documentation import github as client_module
from ratchet.documentation.config import GitHubConfig
from ratchet.documentation.github_source import GitHubSource, build_github
from ratchet.documentation.source import SourceError
from ratchet.settings import SettingsError
from sandbox.github.faults import Fault
from sandbox.server import SandboxConfig, open_sandbox

FILES = {
    "README.md": "# Read me\n",
    "docs/guide.md": "# Guide\n\nRestart it.\n",
    "docs/deep/page.rst": "Page\n====\n",
    "docs/.hidden/no.md": "no",
    "docs/script.py": "no",
}


@pytest.fixture
async def server(monkeypatch):
    """A GitHub with acme/docs; its clients do not wait between tries."""
    monkeypatch.setattr(client_module, "BACKOFF", wait_none())
    async with open_sandbox(SandboxConfig(rate_limits=False)) as sandbox:
        sandbox.github.add_repository("acme", "docs", FILES)
        yield sandbox.github


@pytest.fixture
async def source(server):
    """Makes sources of acme/docs."""
    async with httpx2.AsyncClient(timeout=5.0, trust_env=False) as client:

        def make(**config):
            made = GitHubConfig(name="handbook", type="github", owner="acme", repo="docs", **config)
            github = build_github(made, client, token=SecretStr(server.token), api_url=server.api_url)
            return GitHubSource(made, github)

        yield make


def fetched(server):
    """How many blobs were fetched since the last look."""
    count = Counter(call.operation for call in server.calls)
    blobs = count["blob"]
    server.calls.clear()
    return blobs


async def test_only_what_changed_is_fetched(database, refresher, server, source):
    docs = refresher(source(path="docs"))
    [outcome] = await docs.refresh()
    assert (outcome.error, outcome.stored, outcome.problems) == (None, 2, {})
    assert fetched(server) == 2
    [outcome] = await docs.refresh()
    assert (outcome.unchanged, fetched(server)) == (2, 0)
    repository = server.repositories["acme/docs"]
    head = repository.commit({"docs/guide.md": "# Guide 2\n", "docs/deep/page.rst": None, "docs/new.txt": "New"})
    [outcome] = await docs.refresh()
    assert (outcome.stored, outcome.removed, outcome.revision, fetched(server)) == (2, 1, head, 2)
    async with database.connection() as conn:
        cur = await conn.execute("select path, url, text from documents order by path")
        found = {path: (url, text) for path, url, text in await cur.fetchall()}
    assert found["docs/guide.md"][1] == "# Guide 2\n" and set(found) == {"docs/guide.md", "docs/new.txt"}
    assert found["docs/guide.md"][0].endswith("/acme/docs/blob/main/docs/guide.md")


async def test_links_are_not_documents(server, source):
    server.repositories["acme/docs"].commit({}, links={"passwd.md": "/etc/passwd"})
    async with source().open() as snapshot:
        assert set(snapshot.blobs) == {"README.md", "docs/guide.md", "docs/deep/page.rst"}


async def test_a_branch_and_a_folder_that_do_not_exist_are_told(source):
    for config in ({"ref": "gone"}, {"path": "nothing"}):
        with pytest.raises(SourceError, match=r"acme/docs"):
            async with source(**config).open():
                pass
    assert "acme/docs at main, " in await source().check()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("*", "status", times=100, status=401, message="Bad credentials"),
        Fault("*", "status", times=100, status=404, message="Not Found"),
        Fault("*", "status", times=100, status=503),
        Fault("*", "rate_limit", times=100, seconds=600),
        Fault("*", "drop_before", times=100),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
async def test_a_github_that_fails_leaves_all_that_is_stored_and_says_why(database, refresher, server, source, fault):
    docs = refresher(source())
    await docs.refresh()
    server.repositories["acme/docs"].commit({"README.md": None})
    server.faults.add(fault)
    [outcome] = await asyncio.wait_for(docs.refresh(), 60)
    assert outcome.state == "failed" and "GitHub" in outcome.error and outcome.removed == 0
    server.faults.clear()
    [outcome] = await docs.refresh()
    assert (outcome.state, outcome.removed, outcome.unchanged) == ("done", 1, 2)


async def test_a_rate_limit_in_the_middle_ends_the_reading_and_the_next_one_goes_on(refresher, server, source):
    docs = refresher(source())
    server.faults.add(Fault("blob", "rate_limit", times=100, seconds=600))
    [outcome] = await docs.refresh()
    assert outcome.state == "failed" and "rate limit" in outcome.error and outcome.problems == {}
    server.faults.clear()
    [outcome] = await docs.refresh()
    assert (outcome.state, outcome.up_to_date) == ("done", 3)


async def test_documents_that_github_does_not_give_are_reported_and_read_next_time(refresher, server, source):
    docs = refresher(source())
    server.faults.add(Fault("blob", "status", times=100, status=500))
    [outcome] = await docs.refresh()
    assert (outcome.state, outcome.stored, len(outcome.problems)) == ("done", 0, 3)
    server.faults.clear()
    [outcome] = await docs.refresh()
    assert (outcome.stored, outcome.problems) == (3, {})


async def test_a_source_without_credentials_says_how_to_give_them(server):
    config = GitHubConfig(name="handbook", type="github", owner="acme", repo="docs")
    async with httpx2.AsyncClient() as client:
        with pytest.raises(SettingsError, match="RATCHET_GITHUB_TOKEN"):
            build_github(config, client)
