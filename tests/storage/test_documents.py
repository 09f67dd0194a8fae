"""Documents: replaced whole, removed with everything that belongs to them."""

import pytest

from storage import documents
from storage.documents import NewChunk, NewDocument


@pytest.fixture
async def conn(database):
    async with database.connection() as opened:
        yield opened


def document(path="guide.md", text="# Guide\n\nDrain the node.", source="docs", url=None, blob="b1"):
    return NewDocument(source, path, url or f"https://docs.example.com/{path}", "Guide", blob, text)


async def put(conn, new, *texts):
    chunks = [NewChunk(("Guide",), number, number, text) for number, text in enumerate(texts or (new.text,), 1)]
    await documents.put(conn, new, chunks)


async def rows(conn, table):
    return (await (await conn.execute(f"select count(*) from {table}")).fetchone())[0]


async def test_a_document_is_read_back_by_its_url_with_and_without_lines(conn):
    await put(conn, document())
    for url in ("guide.md", "guide.md#L3", "guide.md#L3-L9"):
        found = await documents.get(conn, f"https://docs.example.com/{url}")
        assert found.text == "# Guide\n\nDrain the node." and found.path == "guide.md"
    assert await documents.get(conn, "https://docs.example.com/guide.md#other") is None


async def test_a_new_version_takes_the_place_of_the_old_one(conn):
    await put(conn, document(), "one", "two")
    await put(conn, document(blob="b2", text="new"), "three")
    assert await documents.blobs(conn, "docs") == {"guide.md": "b2"}
    assert await rows(conn, "document_chunks") == 1 == await rows(conn, "documents")
    assert await rows(conn, "chunk_embedding_queue") == 1  # what is gone waits no longer


async def test_a_url_belongs_to_one_document(conn):
    await put(conn, document())
    await put(conn, document(source="copy", path="elsewhere.md", url="https://docs.example.com/guide.md"))
    assert await documents.blobs(conn, "docs") == {}
    assert await documents.blobs(conn, "copy") == {"elsewhere.md": "b1"}


async def test_what_vanishes_goes_with_all_that_belongs_to_it(conn):
    for path in ("a.md", "b.md", "c.md"):
        await put(conn, document(path=path))
    await put(conn, document(path="d.md", source="old"))
    assert await documents.remove(conn, "docs", ["a.md", "never.md"]) == 1
    assert await documents.remove_sources_except(conn, ["docs"]) == 1
    assert sorted(await documents.blobs(conn, "docs")) == ["b.md", "c.md"]
    assert await documents.remove_sources_except(conn, []) == 2
    assert await rows(conn, "document_chunks") == 0 == await rows(conn, "chunk_embedding_queue")


async def test_what_the_database_cannot_hold_is_replaced(conn):
    await put(conn, document(text="a\x00b\ud800"))
    assert (await documents.get(conn, "https://docs.example.com/guide.md")).text == "a\ufffdb\ufffd"


async def test_many_writers_at_once_lose_no_count(database):
    import asyncio

    async def write(number):
        async with database.connection() as own:
            await put(own, document(path=f"{number % 4}.md", text=f"shared words {number}", blob=str(number)))

    await asyncio.gather(*(write(number) for number in range(12)))
    async with database.connection() as own:
        assert len(await documents.blobs(own, "docs")) == 4 == await rows(own, "document_chunks")
        cur = await own.execute("select lexeme, chunks from chunk_lexemes where lexeme in ('share', 'word')")
        assert dict(await cur.fetchall()) == {"share": 4, "word": 4}
