"""Messages get their vectors by themselves, whatever happens meanwhile; reindexing can be interrupted."""

import asyncio
import io
from contextlib import asynccontextmanager

import pytest
from rich.console import Console

from agent.embeddings import indexing
from ratchet.jobs import embeddings
from ratchet.reindex import reindex
from storage import documents, vectors
from storage.documents import NewChunk, NewDocument
from tools.context import EmbeddingError


@asynccontextmanager
async def working(database, model):
    stop = asyncio.Event()
    task = asyncio.create_task(embeddings.keep_embedded(database, model, stop))
    yield task
    stop.set()
    await asyncio.wait_for(task, 60)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(embeddings, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(embeddings, "FAILED_SECONDS", 0.1)


async def count(memory, table="message_embeddings"):
    async with memory.database.connection() as conn:
        return (await (await conn.execute(f"select count(*) from {table}")).fetchone())[0]


async def until(memory, vectors_stored, table="message_embeddings"):
    async with asyncio.timeout(15):
        while await count(memory, table) != vectors_stored:
            await asyncio.sleep(0.02)


async def test_what_was_said_before_and_what_is_said_now_gets_its_vector(memory, concepts):
    for number in range(5):
        await memory.say(f"slow {number}")
    async with working(memory.database, concepts()):
        await until(memory, 5)
        await memory.say("slow now")
        await until(memory, 6)
    assert await count(memory, "embedding_queue") == 0


async def test_two_workers_share_the_work_and_embed_nothing_twice(memory, concepts, monkeypatch):
    monkeypatch.setattr(indexing, "BATCH", 3)
    one, two = concepts(), concepts()
    for number in range(30):
        await memory.say(f"slow {number}")
    async with working(memory.database, one), working(memory.database, two):
        await until(memory, 30)
    assert sorted(one.embedded + two.embedded) == sorted(f"slow {number}" for number in range(30))


async def test_a_model_that_is_down_is_tried_until_it_is_back(memory, concepts):
    model = concepts(fails=True)
    await memory.say("slow")
    async with working(memory.database, model) as task:
        await asyncio.sleep(0.5)
        assert not task.done() and await count(memory) == 0
        model.fails = False
        async with memory.database.connection() as conn:
            await conn.execute("update embedding_queue set due_at = now()")
        await until(memory, 1)


async def test_a_stop_gives_back_what_was_not_embedded(memory, concepts):
    class Slow(concepts):
        async def embed_texts(self, texts):
            await asyncio.sleep(60)

    await memory.say("slow")
    async with working(memory.database, Slow()):
        async with asyncio.timeout(15):
            while await claimed(memory) == 0:
                await asyncio.sleep(0.02)
    assert await claimed(memory) == 0 and await count(memory, "embedding_queue") == 1


async def claimed(memory):
    async with memory.database.connection() as conn:
        row = await (await conn.execute("select count(*) from embedding_queue where due_at > now()")).fetchone()
    return row[0]


async def test_a_process_with_a_model_that_was_replaced_stops_embedding(memory, concepts, monkeypatch):
    monkeypatch.setattr(embeddings, "SWEEP_SECONDS", 0.0)
    async with working(memory.database, concepts()) as task:
        async with asyncio.timeout(15):
            while await count(memory, "embedding_spaces") == 0:
                await asyncio.sleep(0.02)
        await reindex(memory.database, concepts(space="other/4"), Console(file=io.StringIO()))
        await asyncio.wait_for(asyncio.shield(task), 15)
    async with memory.database.connection() as conn:
        assert await vectors.find_space(conn, "concepts/4") is None


async def test_a_reindexing_that_was_interrupted_goes_on_where_it_stopped(memory, concepts, monkeypatch):
    monkeypatch.setattr(indexing, "BATCH", 4)
    first, second = concepts(), concepts(space="other/4")
    for number in range(20):
        await memory.say(f"slow {number}")
    shown = io.StringIO()
    await reindex(memory.database, first, Console(file=shown))
    assert await count(memory) == 20 and "everything is embedded in concepts/4" in shown.getvalue()

    def interrupt(done, total):
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await indexing.embed_all(memory.database, second, interrupt)
    assert await count(memory, "embedding_spaces") == 2 and await count(memory) == 28
    await reindex(memory.database, second, Console(file=shown))
    assert len(second.embedded) == 20 and await count(memory) == 20
    assert await count(memory, "embedding_spaces") == 1 and "vectors of 1 other models are gone" in shown.getvalue()


async def test_reindexing_and_a_worker_share_the_work(memory, concepts, monkeypatch):
    monkeypatch.setattr(indexing, "BATCH", 2)
    one, two = concepts(), concepts()
    for number in range(20):
        await memory.say(f"slow {number}")
    async with working(memory.database, one):
        await reindex(memory.database, two, Console(file=io.StringIO()))
        assert await count(memory) == 20
    assert len(one.embedded) + len(two.embedded) == 20


async def test_reindexing_keeps_the_old_vectors_when_the_model_fails(memory, concepts):
    await memory.say("slow")
    await reindex(memory.database, concepts(), Console(file=io.StringIO()))
    with pytest.raises(EmbeddingError, match="no such model"):
        await reindex(memory.database, concepts(space="other/4", fails=True), Console(file=io.StringIO()))
    async with memory.database.connection() as conn:
        assert await vectors.find_space(conn, "concepts/4") and await count(memory) == 1


async def store_document(memory, *texts):
    chunks = [NewChunk(("Guide",), number, number, text) for number, text in enumerate(texts, 1)]
    async with memory.database.connection() as conn:
        await documents.put(conn, NewDocument("docs", "a.md", "https://x/a.md", "Guide", "b", "\n".join(texts)), chunks)


async def test_documents_are_embedded_behind_their_text_and_unchanged_chunks_never_again(memory, concepts):
    model = concepts()
    await store_document(memory, "slow one", "slow two")
    async with working(memory.database, model):
        await until(memory, 2, "chunk_embeddings")
        await store_document(memory, "slow one", "slow two", "slow three")
        await until(memory, 3, "chunk_embeddings")
    assert sorted(model.embedded) == ["Guide\nslow one", "Guide\nslow three", "Guide\nslow two"]
    assert await count(memory, "chunk_embedding_queue") == 0


async def test_reindexing_gives_documents_vectors_of_the_new_model_and_drops_the_old_ones(memory, concepts):
    first, second = concepts(), concepts(space="other/4")
    await memory.say("slow message")
    await store_document(memory, "slow one", "slow two")
    for model in (first, second, second):
        await reindex(memory.database, model, Console(file=io.StringIO()))
    assert len(first.embedded) == len(second.embedded) == 3
    assert await count(memory, "chunk_embeddings") == 2 and await count(memory, "embedding_spaces") == 1
    assert await count(memory, "pg_indexes where indexname ~ '^chunk_embeddings_space_'") == 1
