"""Git repositories give the documents of a branch: local ones as they are, others by a shallow copy."""

import asyncio
import gc
import shutil

import pytest
from dulwich.objects import Blob, Tree
from pydantic import SecretStr

from ratchet.documentation.config import GitConfig
from ratchet.documentation.git import GitSource
from ratchet.documentation.source import DocumentError, SourceError


def source(tmp_path, **config):
    token = config.pop("token", None)
    made = GitConfig(name="docs", type="git", **config)
    return GitSource(made.model_copy(update={"token": token}), tmp_path / "copies")


async def look(source):
    async with source.open() as snapshot:
        texts = {path: (await snapshot.read(path)).decode() for path in snapshot.blobs}
        return snapshot.revision, texts, {path: snapshot.url(path) for path in snapshot.blobs}


@pytest.fixture(params=["path", "url"])
def place(request, git_server):
    """Says where a repository is: by its path, or by the URL of a server that has it."""
    return lambda folder: {"path": folder.path} if request.param == "path" else {"url": git_server(folder.repo)}


async def test_the_default_branch_is_read_and_followed(tmp_path, git_folder, place):
    origin = git_folder()
    first = origin.commit({"a.md": "# A", "b/c.rst": "C\n=", "code.py": "x", ".hidden/d.md": "no"})
    docs = source(tmp_path, **place(origin))
    revision, texts, _ = await look(docs)
    assert revision == first and texts == {"a.md": "# A", "b/c.rst": "C\n="}
    second = origin.commit({"a.md": "# A2", "e.txt": "E"}, remove=["b/c.rst"])
    revision, texts, _ = await look(docs)
    assert revision == second and texts == {"a.md": "# A2", "e.txt": "E"}
    assert (await docs.check()).endswith(f"at main, {second[:12]}")


async def test_what_is_only_in_the_working_tree_is_not_read(tmp_path, git_folder):
    origin = git_folder()
    origin.commit({"a.md": "# A"})
    (origin.path / "a.md").write_text("# not committed")
    (origin.path / "b.md").write_text("# not committed")
    _, texts, _ = await look(source(tmp_path, path=origin.path))
    assert texts == {"a.md": "# A"}


async def test_a_branch_a_tag_and_a_commit_can_be_named(tmp_path, git_folder, place):
    from dulwich import porcelain

    origin = git_folder()
    first = origin.commit({"a.md": "one"})
    porcelain.tag_create(origin.repo, b"v1", message=b"one", author=b"A <a@example.com>", annotated=True)
    porcelain.branch_create(origin.repo, b"old")
    origin.commit({"a.md": "two"})
    where = place(origin)
    for ref in ("v1", "old", "refs/heads/old", "refs/tags/v1"):
        revision, texts, _ = await look(source(tmp_path, **where, ref=ref))
        assert (revision, texts) == (first, {"a.md": "one"}), ref
    if "path" in where:
        assert (await look(source(tmp_path, **where, ref=first)))[1] == {"a.md": "one"}
    with pytest.raises(SourceError, match="has no branch or tag next; its branches are main, old"):
        await look(source(tmp_path, **where, ref="next"))


async def test_a_folder_can_be_named_and_paths_stay_those_of_the_repository(tmp_path, git_folder, place):
    origin = git_folder()
    origin.commit({"docs/team/a.md": "A", "b.md": "B", "docs.md": "C"})
    where = place(origin)
    _, texts, _ = await look(source(tmp_path, **where, folder="docs/team"))
    assert texts == {"docs/team/a.md": "A"}
    for missing in ("nothing", "b.md", "docs/team/a.md/x"):
        with pytest.raises(SourceError, match="has no folder"):
            await look(source(tmp_path, **where, folder=missing))


async def test_links_and_submodules_are_not_followed(tmp_path, git_folder, place):
    origin = git_folder()
    origin.commit({"a.md": "A"})
    store = origin.repo.object_store
    blob, tree = Blob.from_string(b"/etc/passwd"), Tree()
    tree.add(b"a.md", 0o100644, Blob.from_string(b"A").id)
    tree.add(b"link.md", 0o120000, blob.id)
    tree.add(b"module.md", 0o160000, b"1" * 40)
    store.add_object(blob)
    store.add_object(tree)
    commit = origin.repo[origin.repo.head()].copy()
    commit.tree = tree.id
    store.add_object(commit)
    origin.repo.refs[b"refs/heads/main"] = commit.id
    _, texts, _ = await look(source(tmp_path, **place(origin)))
    assert texts == {"a.md": "A"}


async def test_a_large_file_is_refused_alone(tmp_path, git_folder, place):
    origin = git_folder()
    origin.commit({"a.md": "A", "large.md": b"x" * (1024 * 1024 + 1)})
    async with source(tmp_path, **place(origin)).open() as snapshot:
        assert await snapshot.read("a.md") == b"A"
        with pytest.raises(DocumentError, match="1,048,577 bytes"):
            await snapshot.read("large.md")


async def test_a_copy_has_one_commit_and_fetches_nothing_twice(tmp_path, git_folder, git_server):
    origin = git_folder()
    for number in range(5):
        origin.commit({"a.md": f"text {number}"})
    docs = source(tmp_path, url=git_server(origin.repo))
    await look(docs)
    [copy] = (tmp_path / "copies").iterdir()
    old = {origin.repo[entry.commit.parents[0]].tree for entry in origin.repo.get_walker(max_entries=1)}
    from dulwich.repo import Repo

    with Repo(str(copy)) as repo:
        assert not any(sha in repo.object_store for sha in old), "the past was fetched too"
    git_server.seen.clear()
    await look(docs)
    assert not any("upload-pack" in path and method == "POST" for method, path, _ in git_server.seen)


async def test_a_damaged_copy_is_made_again(tmp_path, git_folder, git_server):
    origin = git_folder()
    origin.commit({"a.md": "A"})
    docs = source(tmp_path, url=git_server(origin.repo))
    await look(docs)
    [copy] = (tmp_path / "copies").iterdir()
    shutil.rmtree(copy / "objects")
    (copy / "objects" / "pack").mkdir(parents=True)
    assert (await look(docs))[1] == {"a.md": "A"}
    (copy / "HEAD").unlink()
    assert (await look(docs))[1] == {"a.md": "A"}


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # dulwich leaves refusals to the collector
async def test_a_token_is_sent_and_never_shown(tmp_path, git_folder, git_server):
    origin = git_folder()
    origin.commit({"a.md": "A"})
    url = git_server(origin.repo)
    await look(source(tmp_path, url=url, token=SecretStr("token-1234")))
    assert any((header or "").startswith("Basic ") for _, _, header in git_server.seen)
    docs = source(tmp_path, url=url.replace("docs.git", "gone.git"), token=SecretStr("token-1234"))
    with pytest.raises(SourceError) as caught:
        await look(docs)
    assert "gone.git" in str(caught.value) and "token-1234" not in str(caught.value)
    del caught
    gc.collect()


async def test_what_cannot_be_reached_is_told(tmp_path, git_folder, git_server):
    git_folder("empty")
    with pytest.raises(SourceError, match="no default branch"):
        await look(source(tmp_path, path=tmp_path / "empty"))
    (tmp_path / "plain").mkdir()
    with pytest.raises(SourceError, match="there is no git repository at"):
        await look(source(tmp_path, path=tmp_path / "plain"))
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9/x\.git cannot be read"):
        await asyncio.wait_for(source(tmp_path, url="http://127.0.0.1:9/x.git").check(), 30)


async def test_links_lead_to_the_server_that_shows_the_files(tmp_path, git_folder, git_server):
    origin = git_folder()
    origin.commit({"docs/a b.md": "A"})
    url = git_server(origin.repo)
    base = url.removesuffix(".git")
    assert (await look(source(tmp_path, url=url)))[2] == {"docs/a b.md": f"{base}/blob/main/docs/a%20b.md"}
    where = {"url": url, "web_url": "https://git.example.com/docs/src"}
    assert (await look(source(tmp_path, **where)))[2] == {
        "docs/a b.md": "https://git.example.com/docs/src/docs/a%20b.md"
    }
    assert (await look(source(tmp_path, path=origin.path)))[2] == {"docs/a b.md": "docs://docs/docs/a%20b.md"}


async def test_a_repository_is_kept_up_to_date(database, refresher, tmp_path, git_folder, git_server):
    origin = git_folder()
    origin.commit({"a.md": "# A", "b.md": "# B"})
    docs = refresher(source(tmp_path, url=git_server(origin.repo)))
    [outcome] = await docs.refresh()
    assert (outcome.stored, outcome.error) == (2, None)
    head = origin.commit({"a.md": "# A2"}, remove=["b.md"])
    [outcome] = await docs.refresh()
    assert (outcome.stored, outcome.removed, outcome.revision) == (1, 1, head)
    [outcome] = await docs.refresh()
    assert (outcome.stored, outcome.unchanged, outcome.removed) == (0, 1, 0)
