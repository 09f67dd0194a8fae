"""A folder gives its documents, and nothing that is outside it or hidden."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratchet.documentation.local import LocalConfig, LocalSource
from ratchet.documentation.source import DocumentError, SourceError
from storage import documents

from .conftest import write


@pytest.fixture
def open_folder():
    """A folder that everybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def unprivileged():
    """For a time nobody's rights, where the tests run as root, who may read everything."""

    @contextmanager
    def become():
        mine = os.geteuid()
        if mine == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(mine)

    return become


async def test_documents_are_found_by_their_endings(local):
    source, folder = local
    write(folder, {"a.md": "1", "b/c.MDX": "2", "b/d.rst": "3", "e.txt": "4", "f.py": "5", "g.html": "6", "md": "7"})
    async with source.open() as snapshot:
        assert set(snapshot.blobs) == {"a.md", "b/c.MDX", "b/d.rst", "e.txt"}
        assert await snapshot.read("b/c.MDX") == b"2"
        assert snapshot.url("b/c.MDX") == "docs://runbooks/b/c.MDX"
        # what `git hash-object` says of the byte 1
        assert snapshot.blobs["a.md"] == "56a6051ca2b02b04ef92d5150c9ef600403cb1de"
    assert await source.check() == f"4 documents in {folder}"


async def test_hidden_files_and_folders_are_left_out(local):
    source, folder = local
    write(folder, {".git/a.md": "1", ".hidden.md": "2", "b/.c/d.md": "3", "seen.md": "4"})
    (folder / "link.md").symlink_to(folder / ".git/a.md")
    async with source.open() as snapshot:
        assert set(snapshot.blobs) == {"seen.md"}


async def test_links_that_lead_out_are_not_followed(local, tmp_path):
    source, folder = local
    write(tmp_path / "outside", {"secret.md": "secret", "folder/more.md": "more"})
    write(folder, {"in.md": "inside"})
    (folder / "out.md").symlink_to(tmp_path / "outside/secret.md")
    (folder / "folder").symlink_to(tmp_path / "outside/folder")
    (folder / "alias.md").symlink_to("in.md")
    (folder / "broken.md").symlink_to("nowhere.md")
    (folder / "loop.md").symlink_to("loop.md")
    async with source.open() as snapshot:
        assert set(snapshot.blobs) == {"in.md", "alias.md"}
        (folder / "in.md").unlink()
        (folder / "in.md").symlink_to(tmp_path / "outside/secret.md")  # since it was listed
        for path in ("in.md", "alias.md", "../outside/secret.md"):
            with pytest.raises(DocumentError, match="out of the folder"):
                await snapshot.read(path)


@pytest.mark.timeout(20)
async def test_a_pipe_is_no_document_and_nobody_waits_for_it(local):
    source, folder = local
    os.mkfifo(folder / "pipe.md")
    async with source.open() as snapshot:
        assert snapshot.problems == {"pipe.md": "it is no regular file"} and not snapshot.blobs


async def test_names_that_cannot_be_shown_are_reported(local):
    source, folder = local
    write(folder, {"new\nline.md": "1"})
    (folder / os.fsdecode(b"latin-\xe9.md")).write_text("2")
    async with source.open() as snapshot:
        assert not snapshot.blobs and len(snapshot.problems) == 2
        assert all(path.isascii() for path in snapshot.problems)


@pytest.mark.parametrize("mode", [0o000, 0o444])
async def test_what_nobody_may_look_into_is_reported_and_kept(database, refresher, open_folder, unprivileged, mode):
    write(open_folder, {"a.md": "# A", "closed/b.md": "# B", "closed/c/d.md": "# D", "closed2.md": "# E"})
    source = LocalSource(LocalConfig(name="x", type="local", path=open_folder))
    await refresher(source).refresh()
    (open_folder / "closed2.md").unlink()
    (open_folder / "closed").chmod(mode)
    with unprivileged():
        [outcome] = await refresher(source).refresh()
        assert "closed/" in await source.check()
    (open_folder / "closed").chmod(0o755)
    assert outcome.state == "done" and outcome.removed == 1
    assert set(outcome.problems) == ({"closed/"} if mode == 0 else {"closed/b.md", "closed/c/"})
    assert set(outcome.problems.values()) == {"it cannot be read: Permission denied"}
    async with database.connection() as conn:
        kept = await documents.blobs(conn, "x")
    assert set(kept) == {"a.md", "closed/b.md", "closed/c/d.md"}
    [outcome] = await refresher(source).refresh()
    assert (outcome.unchanged, outcome.problems) == (3, {})


async def test_an_empty_folder_where_documents_were_is_a_failure_and_keeps_them(database, refresher, local):
    source, folder = local
    [first] = await refresher(source).refresh()
    assert first.state == "done"  # it never had any
    write(folder, {"a.md": "# A", "b.md": "# B"})
    await refresher(source).refresh()
    for name in ("a.md", "b.md"):
        (folder / name).rename(folder / f".{name}")
    [outcome] = await refresher(source).refresh()
    assert (outcome.state, outcome.error) == ("failed", "it lists no documents: is it mounted?")
    async with database.connection() as conn:
        assert set(await documents.blobs(conn, "runbooks")) == {"a.md", "b.md"}


async def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    source = LocalSource(LocalConfig(name="x", type="local", path=tmp_path / "gone"))
    with pytest.raises(SourceError, match=r"gone cannot be read: No such file"):
        async with source.open():
            pass
    with pytest.raises(SourceError, match="gone"):
        await source.check()


async def test_links_begin_where_the_configuration_says(tmp_path):
    write(tmp_path, {"a b#1.md": "x"})
    config = LocalConfig(name="x", type="local", path=tmp_path, web_url="https://wiki.example.com/docs/")
    async with LocalSource(config).open() as snapshot:
        assert snapshot.url("a b#1.md") == "https://wiki.example.com/docs/a%20b%231.md"
