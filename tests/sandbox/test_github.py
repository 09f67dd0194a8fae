"""The sandbox's GitHub answers as GitHub does, refusals included."""

import base64

import aiohttp
import pytest

from sandbox.github.access import READ, Grant
from sandbox.server import SandboxConfig, open_sandbox

BRANCH = {"ref": "refs/heads/topic"}


class Api:
    def __init__(self, github, http):
        self.github = github
        self.http = http
        self.token = github.token
        self.headers = {}

    async def __call__(self, method, path, body=None, *, expect=200):
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.github.api_url}/repos/acme/docs{path}"
        async with self.http.request(method, url, json=body, headers=headers) as response:
            self.headers = response.headers
            answer = await response.json() if response.status != 204 else None
            assert response.status == expect, answer
            return answer


@pytest.fixture
async def api():
    async with open_sandbox(SandboxConfig(rate_limits=False)) as sandbox, aiohttp.ClientSession() as http:
        sandbox.github.add_repository("acme", "docs", {"guide.md": "one\n", "a/b.md": "two\n"})
        yield Api(sandbox.github, http)


@pytest.fixture
async def topic(api):
    """A branch beside main; its commit."""
    main = await api("GET", "/git/ref/heads/main")
    made = await api("POST", "/git/refs", BRANCH | {"sha": main["object"]["sha"]}, expect=201)
    return made["object"]["sha"]


def content(text, **fields):
    return {"message": "Change", "content": base64.b64encode(text.encode()).decode(), "branch": "topic", **fields}


async def test_a_file_is_changed_only_by_who_knows_what_it_is(api, topic):
    known = (await api("GET", "/contents/guide.md?ref=topic"))["sha"]
    assert known == "5626abf0f72e58d7a153368ba57db4c673c0e171"  # as `git hash-object` says
    refused = await api("PUT", "/contents/guide.md", content("new\n"), expect=422)
    assert "sha" in refused["message"]
    await api("PUT", "/contents/guide.md", content("new\n", sha="0" * 40), expect=409)
    changed = await api("PUT", "/contents/guide.md", content("new\n", sha=known))
    assert changed["commit"]["parents"] == [{"sha": topic}]
    await api("PUT", "/contents/guide.md", content("newer\n", sha=known), expect=409)
    await api("PUT", "/contents/new.md", content("created\n"))
    assert base64.b64decode((await api("GET", "/contents/new.md?ref=topic"))["content"]) == b"created\n"
    await api("GET", "/contents/new.md", expect=404)
    assert [entry["path"] for entry in await api("GET", "/contents/a")] == ["a/b.md"]


async def test_branches_begin_once_move_forward_and_go(api, topic):
    again = await api("POST", "/git/refs", BRANCH | {"sha": topic}, expect=422)
    assert again["message"] == "Reference already exists"
    await api("POST", "/git/refs", {"ref": "topic", "sha": topic}, expect=422)
    await api("POST", "/git/refs", {"ref": "refs/heads/x", "sha": "0" * 40}, expect=422)
    main = api.github.repositories["acme/docs"].commit({"guide.md": "two\n"})
    await api("PATCH", "/git/refs/heads/topic", {"sha": main})
    back = await api("PATCH", "/git/refs/heads/topic", {"sha": topic}, expect=422)
    assert back["message"] == "Update is not a fast forward"
    await api("PATCH", "/git/refs/heads/topic", {"sha": topic, "force": True})
    await api("DELETE", "/git/refs/heads/topic", expect=204)
    await api("DELETE", "/git/refs/heads/topic", expect=422)
    await api("GET", "/git/ref/heads/topic", expect=404)


async def test_a_pull_request_needs_commits_and_comes_once(api, topic):
    wanted = {"title": "Change", "head": "topic", "base": "main", "draft": True}
    empty = await api("POST", "/pulls", wanted, expect=422)
    assert empty["errors"][0]["message"] == "No commits between main and topic"
    await api("PUT", "/contents/new.md", content("created\n"))
    pull = await api("POST", "/pulls", wanted, expect=201)
    assert (pull["number"], pull["draft"], pull["state"]) == (1, True, "open")
    twice = await api("POST", "/pulls", wanted, expect=422)
    assert "already exists for acme:topic" in twice["errors"][0]["message"]
    await api("POST", "/pulls", wanted | {"head": "nowhere"}, expect=422)
    assert [found["number"] for found in await api("GET", "/pulls?head=acme:topic&state=all")] == [1]
    assert await api("GET", "/pulls?head=acme:other") == []
    await api("DELETE", "/git/refs/heads/topic", expect=204)
    assert await api("GET", "/pulls") == []
    assert (await api("GET", "/pulls?state=all"))[0]["state"] == "closed"


async def test_where_drafts_are_not_to_be_had_it_says_so(api, topic):
    api.github.repositories["acme/docs"].allows_drafts = False
    await api("PUT", "/contents/new.md", content("created\n"))
    refused = await api("POST", "/pulls", {"title": "t", "head": "topic", "base": "main", "draft": True}, expect=422)
    assert refused["errors"] == ["Draft pull requests are not supported in this repository."]


async def test_each_answer_tells_what_is_left_of_the_rate_limit(api):
    api.github.access.limit = 2
    for left in ("1", "0"):
        await api("GET", "")
        assert api.headers["X-RateLimit-Remaining"] == left
    assert "rate limit" in (await api("GET", "", expect=403))["message"]
    api.github.access.resets_at = 0
    await api("GET", "")


async def test_tokens_open_what_they_were_given_for(api):
    api.token = "wrong"
    await api("GET", "", expect=401)
    api.token = "reader"
    api.github.access.tokens["reader"] = Grant(frozenset({READ}))
    await api("GET", "/git/trees/main?recursive=1")
    await api("POST", "/git/refs", BRANCH | {"sha": "0" * 40}, expect=403)


async def test_other_processes_steer_it_by_http(api):
    control = f"{api.github.url}/sandbox/github"

    async def post(path, expect=200, **body):
        async with api.http.post(f"{control}/{path}", json=body) as response:
            assert response.status == expect
            return await response.json()

    await post("repositories", owner="acme", name="wiki", files={"a.md": "a\n"})
    sha = (await post("commits", repository="acme/wiki", changes={"a.md": "b\n"}))["sha"]
    await post("faults", operation="repo", kind="status", status=503)
    await api("GET", "", expect=503)
    await post("faults", operation="repo", kind="status", times=9)
    await post("faults/clear")
    await api("GET", "")
    await post("faults", expect=400, operation="repo", kind="no_such")
    await post("commits", expect=400, repository="acme/nothing", changes={})
    async with api.http.get(control) as response:
        state = await response.json()
    assert state["repositories"]["acme/wiki"]["branches"] == {"main": sha}
    assert [call["status"] for call in state["calls"]] == [503, 200]
