"""A document is updated from a conversation: the request in Slack, the approver's button, one draft pull request."""

import asyncio
import json
import os
from contextlib import asynccontextmanager

import pytest
from procrastinate import RetryDecision
from pydantic import SecretStr

from benchmarks.faults.processes import open_launcher
from ratchet.documentation import github as client_module
from ratchet.jobs.answers import Backoff
from ratchet.sections import GitHubSettings, Policy, PolicySettings
from sandbox.github.faults import Fault
from storage.db import open_database
from tests.answers import said
from tests.conftest import new_database
from tests.e2e.conftest import open_world, text_of

GUIDE = "# Guide\n\nRestart it with `svc restart`.\n"
TOOLS = ["@read", "update_doc"]
DONE = "The draft is at"


@pytest.fixture
def handbook(world, tmp_path):
    """The repository acme/handbook, its guide, and the file of sources that opens it for updates."""
    return Handbook(world, tmp_path)


class Handbook:
    def __init__(self, world, folder):
        self.world = world
        self.folder = folder
        self.github = world.sandbox.github
        self.repository = self.github.add_repository("acme", "handbook", {"docs/guide.md": GUIDE})
        self.sources = folder / "docs.yaml"
        source = {"name": "handbook", "type": "github", "owner": "acme", "repo": "handbook", "path": "docs"}
        self.sources.write_text(json.dumps({"sources": [source | {"updates": True}]}))
        self.url = f"{self.github.url}/acme/handbook/blob/main/docs/guide.md"
        users = {user.name: user.id for user in world.sandbox.workspace.users.values()}
        self.approver = users["oncall-b"]

    def settings(self):
        changed = {
            "documentation": self.sources,
            "github": GitHubSettings(token=SecretStr(self.github.token), api_url=self.github.api_url),
            "policies": PolicySettings(default=Policy(tools=TOOLS, approvers=[self.approver])),
        }
        return self.world.settings().model_copy(update=changed)

    @asynccontextmanager
    async def ratchet(self):
        """A running Ratchet that has read the handbook."""
        async with self.world.ratchet(settings=self.settings()) as services:
            async with asyncio.timeout(30):
                while not await self.indexed(services.database):
                    await asyncio.sleep(0.05)
            yield services

    async def indexed(self, database):
        async with database.connection() as conn:
            found = await (await conn.execute("select count(*) from documents")).fetchone()
        return found[0]

    async def ask(self, replace="svc reload"):
        """Asks for the update; returns the thread."""
        args = {"identifier": self.url, "edits": [{"find": "svc restart", "replace": replace}], "reason": "It is gone."}
        # The scripted model gives the tool's result back, and the sentence before it.
        steps = [{"tool_calls": [{"name": "update_doc", "args": args}]}, {"text": f"{DONE} {{tool[-1]}}"}]
        await self.world.client.script([{"match": "update the guide", "steps": steps}])
        text = f"<@{self.world.sandbox.bot_user_id}> update the guide"
        return await self.world.client.say("ops", text, user="oncall-a")

    async def request(self, thread):
        """The message with the buttons."""
        async with asyncio.timeout(30):
            while True:
                for post in await self.world.posts("ops", thread):
                    if any(block["type"] == "actions" for block in post.get("blocks") or []):
                        return post
                await asyncio.sleep(0.05)

    async def approve(self, thread):
        post = await self.request(thread)
        assert await self.world.client.click("ops", post["ts"], "approval_approve", user="oncall-b")

    async def answers(self, thread, count=1, seconds=40):
        """What was answered in the thread, without requests and files."""
        async with asyncio.timeout(seconds):
            while len(await self._answers(thread)) < count:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        return await self._answers(thread)

    async def _answers(self, thread):
        texts = [said(text_of(post)) for post in await self.world.posts("ops", thread)]
        return [text for text in texts if text.startswith(DONE)]

    def written(self):
        """How often each request that changes something was made."""
        made = [call.operation for call in self.github.calls if call.method != "GET" and call.status < 300]
        return {name: made.count(name) for name in made}


async def test_an_approved_update_becomes_one_draft_with_its_link_in_the_thread(world, handbook):
    async with handbook.ratchet():
        thread = await handbook.ask()
        request = await handbook.request(thread)
        assert "docs/guide.md" in text_of(request) and "+Restart it with `svc reload`." in text_of(request)
        posts = await world.posts("ops", thread)
        [file] = [file for post in posts for file in post.get("files") or ()]
        diff = world.sandbox.slack.files[file["id"]].content.decode()
        assert "-Restart it with `svc restart`.\n+Restart it with `svc reload`." in diff
        assert not handbook.written()
        await handbook.approve(thread)
        [answer] = await handbook.answers(thread)
    [pull] = handbook.repository.pulls
    assert f"{handbook.github.url}/acme/handbook/pull/{pull.number}" in answer
    assert pull.draft and pull.title == "Documentation update for docs/guide.md"
    assert f"p{request['ts'].replace('.', '')}" in pull.body  # the request's permalink
    assert "svc reload" in handbook.repository.text("docs/guide.md", pull.head)
    assert handbook.repository.text("docs/guide.md") == GUIDE
    assert handbook.written() == {"ref.create": 1, "contents.put": 1, "pulls.create": 1}


async def test_a_secret_that_stands_in_the_document_is_masked_and_keeps_nobody_from_updating_it(world, handbook):
    secret = "password: hunter2hunter2\n"
    handbook.repository.commit({"docs/guide.md": GUIDE + secret}, "A mistake")
    async with handbook.ratchet():
        thread = await handbook.ask()
        request = await handbook.request(thread)
        [file] = [file for post in await world.posts("ops", thread) for file in post.get("files") or ()]
        diff = world.sandbox.slack.files[file["id"]].content.decode()
        for shown in (text_of(request), diff):
            assert "password: [redacted]" in shown and "svc reload" in shown and "hunter2" not in shown
        await handbook.approve(thread)
        await handbook.answers(thread)
    [pull] = handbook.repository.pulls
    assert handbook.repository.text("docs/guide.md", pull.head) == GUIDE.replace("restart`", "reload`") + secret


async def test_an_update_that_brings_a_secret_is_refused(handbook):
    async with handbook.ratchet():
        thread = await handbook.ask(replace="svc reload --password=hunter2hunter2")
        [answer] = await handbook.answers(thread)
    assert "looks like a secret" in answer and not handbook.written()


async def test_an_update_that_nobody_else_approved_writes_nothing(world, handbook):
    async with handbook.ratchet():
        thread = await handbook.ask()
        post = await handbook.request(thread)
        await world.client.click("ops", post["ts"], "approval_approve", user="oncall-a")  # the requester
        await asyncio.sleep(0.5)
        assert not handbook.written()
        assert not handbook.repository.pulls


async def test_a_document_that_changes_while_the_request_is_open_is_told_as_a_conflict(handbook):
    async with handbook.ratchet():
        thread = await handbook.ask()
        await handbook.request(thread)
        handbook.repository.commit({"docs/guide.md": "# Guide\n\nOther text, and `svc restart`.\n"})
        await handbook.approve(thread)
        [answer] = await handbook.answers(thread)
    assert "docs/guide.md in acme/handbook was changed between the request and now" in answer
    assert not handbook.repository.pulls
    assert list(handbook.repository.branches) == ["main"]


FAILURES = {
    "401": (Fault("*", "status", 999, 401, "Bad credentials"), "An operator has to renew them"),
    "403 rate limit": (
        Fault("pulls.create", "rate_limit", 999, seconds=900),
        "rate limit is used up for acme/handbook until",
    ),
    "403": (Fault("ref.create", "status", 999, 403, "Resource not accessible"), "needs the permissions Contents"),
    "404": (Fault("contents.put", "status", 999, 404, "Not Found"), "GitHub found nothing there in acme/handbook"),
    "409": (Fault("contents.put", "status", 999, 409, "does not match"), "reports a conflict in acme/handbook"),
    "5xx": (Fault("pulls.create", "status", 999, 503, "Unavailable"), "GitHub has a problem of its own (503"),
}


@pytest.mark.parametrize(("fault", "told"), FAILURES.values(), ids=list(FAILURES))
async def test_what_github_refuses_is_told_in_the_thread_and_nothing_is_half_done(handbook, fault, told, monkeypatch):
    monkeypatch.setattr(client_module, "BACKOFF", lambda state: 0.05)
    async with handbook.ratchet():
        thread = await handbook.ask()
        await handbook.request(thread)
        handbook.github.faults.add(fault)
        await handbook.approve(thread)
        [answer] = await handbook.answers(thread)
    assert told in answer
    assert list(handbook.repository.branches) == ["main"]
    assert not handbook.repository.pulls


async def test_a_pull_request_that_nobody_can_look_for_is_looked_for_again(handbook, monkeypatch):
    monkeypatch.setattr(client_module, "BACKOFF", lambda state: 0.01)
    monkeypatch.setattr(Backoff, "get_retry_decision", lambda *_, **__: RetryDecision(retry_in={"seconds": 0}))
    real, looks = client_module.GitHub._pull_request, []

    async def down(github, head):
        if handbook.repository.pulls:
            looks.append(head)
            if len(looks) < 8:
                raise client_module.GitHubError("GitHub has a problem of its own.", status=503, transient=True)
        return await real(github, head)

    monkeypatch.setattr(client_module.GitHub, "_pull_request", down)
    async with handbook.ratchet():
        thread = await handbook.ask()
        await handbook.request(thread)
        handbook.github.faults.add(Fault("pulls.create", "drop_after", 1))
        await handbook.approve(thread)
        [answer] = await handbook.answers(thread)
    [pull] = handbook.repository.pulls
    assert f"/acme/handbook/pull/{pull.number}" in answer
    assert pull.state == "open" and handbook.written() == {"ref.create": 1, "contents.put": 1, "pulls.create": 1}


# Where the process is when it is killed: what GitHub or Slack does with its request then.
MOMENTS = {
    "approved, no branch yet": ("ref.create", "hang_before"),
    "branch made": ("ref.create", "hang_after"),
    "committed": ("contents.put", "hang_after"),
    "pull request opened, no answer": ("pulls.create", "hang_after"),
    "before the answer is posted": ("chat.postMessage", "drop_before_accept"),
}


@pytest.mark.timeout(240)
async def test_a_process_killed_at_any_moment_leaves_one_pull_request_and_one_answer(postgres, tmp_path):
    async with open_launcher() as launcher:  # at once: most of the time is waiting until a killed process is missed
        await asyncio.gather(*(kill(launcher, postgres, tmp_path / str(n), m) for n, m in enumerate(MOMENTS)))


async def kill(launcher, postgres, folder, moment):
    """Kill Ratchet at a moment, in a world of its own, start it again and look what came of it."""
    operation, kind = MOMENTS[moment]
    folder.mkdir()
    with new_database(postgres) as url:
        async with open_world(url) as world:
            handbook = Handbook(world, folder)
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith(("RATCHET_", "GITHUB_"))},
                **world.sandbox.environment(),
                "DATABASE_URL": world.url,
                "LANGSMITH_TRACING": "false",
                "RATCHET_HTTP_ADDR": "127.0.0.1:0",
                "RATCHET_JOBS__HEARTBEAT_SECONDS": "0.5",
                "RATCHET_JOBS__STALLED_SECONDS": "2",
                "RATCHET_EMBEDDINGS_PROVIDERS": "hashing",
                "RATCHET_DOCUMENTATION": str(handbook.sources),
                "RATCHET_POLICIES__DEFAULT__TOOLS": json.dumps(TOOLS),
                "RATCHET_POLICIES__DEFAULT__APPROVERS": json.dumps([handbook.approver]),
            }
            first = launcher.start(environment, folder=folder, point=None, action="die")
            async with open_database(url, min_size=1, max_size=1) as database, asyncio.timeout(60):
                while not await handbook.indexed(database):
                    await asyncio.sleep(0.05)
            thread = await handbook.ask()
            await handbook.request(thread)
            if operation == "chat.postMessage":
                await world.client.clear_ledger()
                await world.client.fault("chat.startStream", "error", error="unknown_method", times=1000)
                await world.client.fault(operation, kind, times=1000)
            else:
                handbook.github.faults.add(Fault(operation, kind, seconds=600))
            await handbook.approve(thread)
            async with asyncio.timeout(60):
                while not await reached(world, handbook, operation):
                    await asyncio.sleep(0.02)
            await first.kill()
            await world.client.clear_faults()
            handbook.github.faults.clear()
            second = launcher.start(environment, folder=folder, point=None, action="die")
            answers = await handbook.answers(thread)
            await second.kill()
            assert len(answers) == 1 and "/acme/handbook/pull/1" in answers[0], moment
            [pull] = handbook.repository.pulls
            assert "svc reload" in handbook.repository.text("docs/guide.md", pull.head), moment
            assert handbook.repository.resolve(pull.head).parents == (handbook.repository.branches["main"],), moment
            assert len(handbook.repository.branches) == 2, moment


async def reached(world, handbook, operation):
    if operation == "chat.postMessage":
        return any(call["fault"] and call["method"] == operation for call in (await world.client.ledger())["calls"])
    return any(call.operation == operation and call.fault for call in handbook.github.calls)
