"""The client against the sandbox's GitHub: what it reads, how it writes once, and what it says when things fail."""

import asyncio
import re
import subprocess
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ratchet.documentation.github import AppCredentials, GitHubError, TokenCredentials, git_blob, web_url
from sandbox.github.access import READ, Grant
from sandbox.github.faults import Fault

BRANCH = "ratchet/docs-0123456789ab"
NEW = b"# Guide\n\nRestart it with `svc reload`.\n"


@pytest.fixture
def repository(server):
    return server.repositories["acme/docs"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A private key's file and its public half."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("keys") / "app.pem"
    path.write_bytes(pem)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return path, public.decode()


def count(server, operation):
    return sum(call.operation == operation for call in server.calls)


async def update(github, *, content=NEW):
    """What an update does, one step after the other."""
    base = await github.default_branch()
    commit = await github.commit(base)
    file = await github.file("docs/guide.md", commit)
    await github.create_branch(BRANCH, commit)
    await github.put_file("docs/guide.md", BRANCH, content, base_blob=file.blob, message="Update")
    return await github.open_draft(head=BRANCH, base=base, title="Update", body="because")


async def test_the_hashes_are_those_that_git_gives(connect, repository, tmp_path):
    tree = await connect().tree("main")
    (tmp_path / "docs/deep/er").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    for path in tree.blobs:
        (tmp_path / path).write_text(repository.text(path))

    def git(*args):
        return subprocess.run(["git", "-C", str(tmp_path), *args], check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("add", "--all")
    listed = re.findall(r"^\d+ (\w+) \d\t(.*)$", git("ls-files", "--stage"), re.MULTILINE)
    assert {path: sha for sha, path in listed} == tree.blobs
    assert git("write-tree").strip() == repository.commits[tree.commit].tree


async def test_a_tree_lists_every_file_and_no_links_also_when_github_cuts_the_list(connect, server, repository):
    repository.commit({}, links={"docs/link.md": "../src/a.py"})
    whole = await connect().tree("main")
    assert set(whole.blobs) == {"README.md", "docs/guide.md", "docs/deep/er/page.md", "src/a.py"}
    assert whole.commit == repository.branches["main"]
    server.most_entries = 3
    assert await connect().tree("main") == whole


async def test_files_are_read_whole_also_above_the_size_that_contents_gives(connect, repository):
    large = "line\n" * 300_000
    repository.commit({"docs/large file #1.md": large})
    file = await connect().file("docs/large file #1.md", "main")
    assert file.content == large.encode()
    assert file.blob == git_blob(file.content)
    assert await connect().blob(file.blob) == file.content


async def test_an_update_ends_in_one_draft_however_often_it_is_done(connect, server, repository):
    first = await update(connect())
    again = await update(connect())
    assert first == again
    [pull] = repository.pulls
    assert (pull.draft, pull.head, pull.base) == (True, BRANCH, "main")
    assert repository.text("docs/guide.md", BRANCH) == NEW.decode()
    assert repository.text("docs/guide.md") != NEW.decode()
    assert count(server, "contents.put") == count(server, "ref.create") == count(server, "pulls.create") == 1


async def test_two_at_once_make_one_pull_request(connect, repository):
    first, second = await asyncio.gather(update(connect()), update(connect()))
    assert first == second
    assert len(repository.pulls) == 1


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "status"])
@pytest.mark.parametrize("operation", ["ref.create", "contents.put", "pulls.create", "contents.get", "pulls.list"])
async def test_what_fails_once_is_done_once(connect, server, repository, operation, kind):
    server.faults.add(Fault(operation, kind, status=502))
    await update(connect())
    assert len(repository.pulls) == 1
    assert len(repository.resolve(BRANCH).parents) == 1


async def test_a_file_that_somebody_changed_on_the_branch_is_left_alone(connect, repository):
    github = connect()
    commit = await github.commit("main")
    base = (await github.file("docs/guide.md", commit)).blob
    await github.create_branch(BRANCH, commit)
    repository.commit({"docs/guide.md": "mine"}, branch=BRANCH)
    with pytest.raises(GitHubError, match="was changed on the branch") as caught:
        await github.put_file("docs/guide.md", BRANCH, NEW, base_blob=base, message="Update")
    assert caught.value.status == 409
    assert repository.text("docs/guide.md", BRANCH) == "mine"


async def test_a_branch_is_deleted_once(connect, server, repository):
    github = connect()
    await github.create_branch(BRANCH, await github.commit("main"))
    server.faults.add(Fault("ref.delete", "drop_after"))
    await github.delete_branch(BRANCH)
    await github.delete_branch(BRANCH)
    assert list(repository.branches) == ["main"]
    assert count(server, "ref.delete") == 1


@pytest.mark.parametrize("path", ["../secret.md", "/etc/passwd", "docs//guide.md", "docs/./guide.md", "a\\b.md", "a\n"])
async def test_a_path_that_leads_elsewhere_is_never_sent(connect, server, path):
    server.calls.clear()
    with pytest.raises(GitHubError, match="is not the path of a file"):
        await connect().file(path, "main")
    assert not server.calls


STATUSES = [
    (401, "Bad credentials", "refused the credentials for acme/docs .*has to renew them"),
    (403, "Resource not accessible by integration", "does not permit this in acme/docs .*Pull requests"),
    (404, "Not Found", "found nothing there in acme/docs .*may not see it"),
    (409, "is at 1 but expected 2", "reports a conflict in acme/docs .*try again"),
    (422, "Validation Failed", "refused the request for acme/docs .*422: Validation Failed"),
    (301, "Moved Permanently", "acme/docs has moved on GitHub .*new owner and name"),
    (503, "Unavailable", "has a problem of its own .*503: Unavailable.*few minutes"),
]


@pytest.mark.parametrize(("status", "said", "told"), STATUSES, ids=str)
async def test_people_are_told_what_happened_and_what_to_do(connect, server, status, said, told):
    server.faults.add(Fault("repo", "status", times=5, status=status, message=said))
    with pytest.raises(GitHubError, match=told) as caught:
        await connect().default_branch()
    assert caught.value.status == status
    assert server.token not in str(caught.value)
    assert count(server, "repo") == (3 if status >= 500 else 1)


@pytest.mark.parametrize("kind", ["rate_limit", "secondary_limit"])
async def test_a_rate_limit_is_told_with_its_end_in_utc(connect, server, kind):
    server.faults.add(Fault("repo", kind, seconds=1800))
    with pytest.raises(GitHubError, match=r"rate limit is used up for acme/docs until .* UTC") as caught:
        await connect().default_branch()
    assert abs(caught.value.retry_at - datetime.now(UTC) - timedelta(seconds=1800)) < timedelta(seconds=5)
    assert count(server, "repo") == 1


async def test_a_short_rate_limit_is_waited_out(connect, server):
    server.faults.add(Fault("repo", "secondary_limit", seconds=1))
    assert await connect().default_branch() == "main"


async def test_the_hourly_limit_counts_requests(connect, server):
    server.access.limit = 2
    await connect().default_branch()
    await connect().default_branch()
    with pytest.raises(GitHubError, match="rate limit is used up"):
        await connect().default_branch()


async def test_a_server_that_hangs_or_is_not_there_is_told(connect, server):
    server.faults.add(Fault("repo", "hang_before", times=3, seconds=1.5))
    with pytest.raises(GitHubError, match="did not answer in time"):
        await connect().default_branch()
    with pytest.raises(GitHubError, match="cannot be reached"):
        await connect(api_url="http://127.0.0.1:9/api/v3").default_branch()


async def test_a_web_page_in_the_place_of_the_api_is_told(connect):
    async def page(request):
        return web.Response(text="<h1>Log in</h1>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{anything:.*}", page)
    async with TestServer(app) as proxy:
        with pytest.raises(GitHubError, match=r"cannot be understood .*Check the address"):
            await connect(api_url=str(proxy.make_url("/api/v3"))).default_branch()


async def test_a_token_does_what_it_may(connect, server, repository):
    with pytest.raises(GitHubError, match="refused the credentials"):
        await connect(TokenCredentials("wrong")).default_branch()
    server.access.tokens["reader"] = Grant(frozenset({READ}))
    reader = connect(TokenCredentials("reader"))
    assert await reader.default_branch() == "main"
    with pytest.raises(GitHubError, match="does not permit this"):
        await update(reader)
    assert list(repository.branches) == ["main"]
    server.access.tokens["other"] = Grant(repositories=frozenset({"acme/other"}))
    with pytest.raises(GitHubError, match="may not see it"):
        await connect(TokenCredentials("other")).default_branch()


async def test_an_app_has_a_token_until_shortly_before_its_end(connect, server, keys):
    path, public = keys
    server.add_app("77", public, {"5"})
    app = AppCredentials(77, 5, path)
    for _ in range(3):
        assert await connect(app).default_branch() == "main"
    assert count(server, "installation_token") == 1
    server.access.installation_seconds = 299
    short = connect(AppCredentials(77, 5, path))
    await short.default_branch()
    await short.default_branch()
    assert count(server, "installation_token") == 3


async def test_an_app_whose_token_was_revoked_gets_another(connect, server, keys):
    path, public = keys
    server.add_app("77", public, {"5"})
    github = connect(AppCredentials(77, 5, path))
    await github.default_branch()
    server.access.tokens = {name: grant for name, grant in server.access.tokens.items() if name == server.token}
    assert await github.default_branch() == "main"


async def test_an_app_that_github_does_not_know_is_told(connect, server, keys, tmp_path):
    path, public = keys
    with pytest.raises(GitHubError, match="refused the credentials"):
        await connect(AppCredentials(77, 5, path)).default_branch()
    server.add_app("77", public, {"5"})
    with pytest.raises(GitHubError, match="404"):
        await connect(AppCredentials(77, 6, path)).default_branch()
    with pytest.raises(GitHubError, match="cannot be read"):
        await connect(AppCredentials(77, 5, tmp_path / "none.pem")).default_branch()
    (tmp_path / "bad.pem").write_text("no key")
    with pytest.raises(GitHubError, match="is not the private key"):
        await connect(AppCredentials(77, 5, tmp_path / "bad.pem")).default_branch()


async def test_another_key_opens_nothing(connect, server, keys):
    _, public = keys
    server.add_app("77", public, {"5"})
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = jwt.encode({"iss": "77", "iat": 0, "exp": 2**32}, other, algorithm="RS256")
    answer = await connect()._api._client.post(
        f"{server.api_url}/app/installations/5/access_tokens", headers={"Authorization": f"bearer {forged}"}
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("api", "web"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://git.acme.example/api/v3", "https://git.acme.example"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com"),
    ],
)
def test_pages_stand_where_people_look_for_them(api, web):
    assert web_url(api) == web


async def test_a_page_is_named_by_its_branch_and_path(connect, server, repository):
    url = connect().url("docs/a b.md", "main")
    assert url == f"{server.url}/acme/docs/blob/main/docs/a%20b.md"
    http = connect()._api._client
    assert (await http.get(url)).status_code == 404
    repository.commit({"docs/a b.md": "<b>one</b>\ntwo\n"})
    assert "<li>&lt;b&gt;one&lt;/b&gt;</li><li>two</li>" in (await http.get(url)).text


async def test_people_can_look_at_a_pull_request(connect, server):
    pull = await update(connect(), content=b"# Guide\n\n<script>\n")
    page = (await connect()._api._client.get(pull.url)).text
    assert "+&lt;script&gt;" in page
    assert "<script>" not in page
