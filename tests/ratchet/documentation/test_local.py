"""A folder gives its documents, and nothing that is outside it or hidden."""

import os

import pytest

from ratchet.documentation.local import LocalConfig, LocalSource
from ratchet.documentation.source import DocumentError, SourceError

from .conftest import write


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
