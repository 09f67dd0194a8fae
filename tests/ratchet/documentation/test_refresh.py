"""Documents are stored as their sources have them, and only what changed is read."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from ratchet.documentation.source import DocumentError, Snapshot, SourceError
from ratchet.settings import SettingsError
from storage import db, doc_sources, documents

from .conftest import write


async def stored(database, source="runbooks"):
    async with database.connection() as conn:
        cur = await conn.execute("select path, text from documents where source = %s order by path", (source,))
        return dict(await cur.fetchall())


class Scripted:
    """A source whose content, failures and pace a test sets."""

    kind = "local"

    def __init__(self, name="runbooks", files=()):
        self.name = name
        self.files = dict(files)
        self.failing = {}
        self.problems = {}
        self.error = None
        self.gate = None
        self.reads = []

    @asynccontextmanager
    async def open(self):
        if self.error:
            raise self.error

        async def read(path):
            self.reads.append(path)
            if self.gate:
                await self.gate.wait()
            if path in self.failing:
                raise self.failing[path]
            return self.files[path].encode()

        blobs = {path: f"blob-{text}" for path, text in self.files.items()}
        yield Snapshot("r1", blobs, read, lambda path: f"docs://{self.name}/{path}", self.problems)


async def test_only_changed_documents_are_read_and_vanished_ones_go(database, refresher):
    source = Scripted(files={"a.md": "# A", "b.md": "# B", "c.md": "# C"})
    [first] = await refresher(source).refresh()
    assert (first.state, first.stored, first.unchanged, first.removed, first.total) == ("done", 3, 0, 0, 3)
    source.reads.clear()
    source.files = {"a.md": "# A", "b.md": "# B2", "d.md": "# D"}
    [second] = await refresher(source).refresh()
    assert sorted(source.reads) == ["b.md", "d.md"]
    assert (second.stored, second.unchanged, second.removed) == (2, 1, 1)
    assert await stored(database) == {"a.md": "# A", "b.md": "# B2", "d.md": "# D"}


async def test_a_document_that_fails_keeps_its_old_copy_and_is_reported(database, refresher):
    source = Scripted(files={"a.md": "# A", "b.md": "# B"})
    await refresher(source).refresh()
    source.files = {"a.md": "# A2", "b.md": "# B2"}
    source.failing = {"a.md": DocumentError("gone away")}
    [outcome] = await refresher(source).refresh()
    assert outcome.state == "done" and outcome.problems == {"a.md": "gone away"}
    assert await stored(database) == {"a.md": "# A", "b.md": "# B2"}
    async with database.connection() as conn:
        [state] = await doc_sources.list_all(conn)
    assert (state.state, state.done, state.total, state.failed) == ("done", 1, 2, 1)
    assert state.problems == ["a.md: gone away"]
    source.failing = {}
    await refresher(source).refresh()
    assert (await stored(database))["a.md"] == "# A2"


async def test_a_document_that_cannot_be_listed_keeps_its_old_copy(database, refresher):
    source = Scripted(files={"a.md": "# A", "b.md": "# B"})
    await refresher(source).refresh()
    del source.files["a.md"]
    source.problems = {"a.md": "too large"}
    [outcome] = await refresher(source).refresh()
    assert outcome.removed == 0 and set(await stored(database)) == {"a.md", "b.md"}


@pytest.mark.parametrize("when", ["at once", "in the middle"])
async def test_a_source_that_fails_keeps_all_and_the_others_are_read(database, refresher, when):
    broken = Scripted("broken", {f"{n}.md": f"# {n}" for n in range(8)})
    await refresher(broken).refresh()
    broken.files = {f"{n}.md": f"# new {n}" for n in range(4)}
    if when == "at once":
        broken.error = SourceError("no answer")
    else:
        broken.failing = {f"{n}.md": SourceError("no answer") for n in range(4)}
    outcomes = await refresher(broken, Scripted(files={"a.md": "# A"})).refresh()
    assert [(o.name, o.state, o.error) for o in outcomes] == [
        ("broken", "failed", "no answer"),
        ("runbooks", "done", None),
    ]
    kept = await stored(database, "broken")
    if when == "at once":
        assert len(kept) == 8
    assert all(kept[f"{n}.md"] == f"# {n}" for n in range(4))
    async with database.connection() as conn:
        state = {s.name: s for s in await doc_sources.list_all(conn)}["broken"]
    assert (state.state, state.error, state.revision) == ("failed", "no answer", "r1")


async def test_an_unexpected_error_of_one_source_is_told_and_leaves_the_others(refresher):
    broken = Scripted("broken", {"a.md": "# A"})
    broken.error = RuntimeError("what nobody thought of")
    outcomes = await refresher(broken, Scripted(files={"a.md": "# A"})).refresh()
    assert [o.state for o in outcomes] == ["failed", "done"]
    assert "what nobody thought of" in outcomes[0].error


async def test_a_source_that_left_the_configuration_goes_with_its_documents(database, refresher):
    one, other = Scripted("one", {"a.md": "# A"}), Scripted("other", {"b.md": "# B"})
    await refresher(one, other).refresh()
    await refresher(other).refresh(["other"])
    assert await stored(database, "one") == {} and await stored(database, "other") == {"b.md": "# B"}
    async with database.connection() as conn:
        assert [state.name for state in await doc_sources.list_all(conn)] == ["other"]


async def test_a_source_is_read_at_most_once_in_the_time_given(refresher):
    source = Scripted(files={"a.md": "# A"})
    assert [o.state for o in await refresher(source).refresh(unless_within=3600)] == ["done"]
    assert [o.state for o in await refresher(source).refresh(unless_within=3600)] == ["left"]
    assert [o.state for o in await refresher(source).refresh()] == ["done"]


async def test_one_process_at_a_time_reads_a_source(refresher):
    source = Scripted(files={"a.md": "# A"})
    source.gate = asyncio.Event()
    first = asyncio.create_task(refresher(source).refresh())
    while not source.reads:
        await asyncio.sleep(0.01)
    [second] = await refresher(source).refresh()
    assert second.state == "left"
    source.gate.set()
    assert [o.state for o in await first] == ["done"] and source.reads == ["a.md"]


async def test_a_source_whose_reader_died_is_read_by_another(database, refresher):
    source = Scripted(files={"a.md": "# A"})
    async with database.connection() as conn:
        assert await doc_sources.begin(conn, "runbooks", "local", uuid4())
        assert [o.state for o in await refresher(source).refresh()] == ["left"]
        await conn.execute("update doc_sources set seen_at = now() - interval '61 seconds'")
        [state] = await doc_sources.list_all(conn)
        assert state.state == "interrupted"
    assert [o.state for o in await refresher(source).refresh()] == ["done"]


async def test_a_reader_that_lost_its_source_stops(database, refresher, monkeypatch):
    monkeypatch.setattr("ratchet.documentation.refresh.REPORT_SECONDS", 0.05)
    source = Scripted(files={"a.md": "# A"})
    source.gate = asyncio.Event()
    reading = asyncio.create_task(refresher(source).refresh())
    while not source.reads:
        await asyncio.sleep(0.01)
    other = uuid4()
    async with database.connection() as conn:
        await conn.execute("update doc_sources set holder = %s", (other,))
    [outcome] = await asyncio.wait_for(reading, 10)
    assert (outcome.state, outcome.error) == ("failed", "another process took over")
    assert await stored(database) == {}
    async with database.connection() as conn:
        assert (await doc_sources.list_all(conn))[0].state == "running"  # the other one's


async def test_an_interrupted_reading_gives_the_source_back(database, refresher):
    source = Scripted(files={"a.md": "# A"})
    source.gate = asyncio.Event()
    reading = asyncio.create_task(refresher(source).refresh())
    while not source.reads:
        await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    async with database.connection() as conn:
        [state] = await doc_sources.list_all(conn)
    assert (state.state, state.error) == ("failed", "it was interrupted")
    source.gate.set()
    assert [o.state for o in await refresher(source).refresh()] == ["done"]


async def test_progress_is_told_while_documents_are_read(database, refresher, monkeypatch):
    monkeypatch.setattr("ratchet.documentation.refresh.REPORT_SECONDS", 0.02)
    source = Scripted(files={f"{n}.md": f"# {n}" for n in range(10)})
    told = []
    source.gate = asyncio.Event()
    reading = asyncio.create_task(refresher(source).refresh(progress=lambda *what: told.append(what)))
    async with database.connection() as conn, asyncio.timeout(10):
        while await db.fetch_value(conn, "select total from doc_sources") != 10:
            await asyncio.sleep(0.02)
    source.gate.set()
    await reading
    assert ("runbooks", 0, 10) in told and told[-1] == ("runbooks", 10, 10)


async def test_a_name_that_no_source_has_is_refused_with_the_nearest(refresher):
    with pytest.raises(SettingsError, match="no documentation source runbook; did you mean runbooks"):
        await refresher(Scripted()).refresh(["runbook"])


async def test_a_folder_is_read_with_what_is_wrong_in_it(database, refresher, local):
    source, folder = local
    write(folder, {
        "guide.md": "\ufeff# Guide\r\nLine two\r\n",
        "binary.md": b"\xff\xfe\x00",
        "nul.txt": "a\x00b",
        "large.md": b"a" * (1024 * 1024 + 1),
        "exact.md": b"# Exact\n" + b"a" * (1024 * 1024 - 8),
        "empty.md": "",
    })  # fmt: skip
    [outcome] = await refresher(source).refresh()
    assert set(outcome.problems) == {"binary.md", "nul.txt", "large.md"}
    texts = await stored(database)
    assert set(texts) == {"guide.md", "exact.md", "empty.md"} and texts["guide.md"] == "# Guide\nLine two\n"
    async with database.connection() as conn:
        found = await documents.get(conn, "docs://runbooks/guide.md#L1-L2")
    assert (found.title, found.path) == ("Guide", "guide.md")
    write(folder, {"guide.md": b"\xff"})
    [outcome] = await refresher(source).refresh()
    assert "not UTF-8" in outcome.problems["guide.md"] and (await stored(database))["guide.md"].startswith("# Guide")
    Path(folder / "guide.md").unlink()
    [outcome] = await refresher(source).refresh()
    assert outcome.removed == 1 and "guide.md" not in await stored(database)
