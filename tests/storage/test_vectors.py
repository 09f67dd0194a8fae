"""Spaces of vectors and the messages that wait for theirs."""

import asyncio

import pytest

from storage import messages, search, vectors
from storage.access import Viewer
from storage.db import StorageError
from storage.messages import MessageFilter, NewMessage
from storage.vectors import SpaceVector

VIEWER = Viewer("T1", "U1", "C1")


@pytest.fixture
async def conn(memory):
    async with memory.database.connection() as opened:
        yield opened


async def take(conn, limit=50, space="one/2"):
    return await vectors.claim(conn, await vectors.open_space(conn, space, 2), limit=limit)


async def claim(conn, limit=50):
    return [waiting.text for waiting in await take(conn, limit)]


async def due_again(conn):
    await conn.execute("update embedding_queue set due_at = now()")


async def edit(conn, ts, text):
    message = NewMessage("T1", "C1", ts, None, "U1", None, "U1", False, text, edited_ts="1900000000.0")
    await messages.apply_edit(conn, message)


async def test_a_space_has_an_index_of_its_own(conn):
    first, second = await vectors.open_space(conn, "one/2", 2), await vectors.open_space(conn, "two/3", 3)
    assert await vectors.open_space(conn, "one/2", 2) == first != second
    rows = await (
        await conn.execute("select indexdef from pg_indexes where tablename = 'message_embeddings'")
    ).fetchall()
    found = [definition for (definition,) in rows if "hnsw" in definition]
    assert len(found) == 2
    for space in (first, second):
        [own] = [definition for definition in found if f"(space_id = {space.space_id})" in definition]
        assert f"halfvec({space.dimensions})" in own and space.index in own


async def test_many_processes_may_open_a_space_at_once(memory):
    async def open_one():
        async with memory.database.connection() as conn:
            return await vectors.open_space(conn, "one/2", 2)

    assert len(set(await asyncio.gather(*(open_one() for _ in range(6))))) == 1


async def test_an_index_that_was_interrupted_is_built_again(conn):
    space = await vectors.open_space(conn, "one/2", 2)
    await conn.execute("update pg_index set indisvalid = false where indexrelid = to_regclass(%s)", (space.index,))
    assert await vectors.open_space(conn, "one/2", 2) == space
    [row] = await (
        await conn.execute("select indisvalid from pg_index where indexrelid = to_regclass(%s)", (space.index,))
    ).fetchall()
    assert row == (True,)


async def test_a_space_never_takes_vectors_of_other_dimensions(conn):
    await vectors.open_space(conn, "one/2", 2)
    with pytest.raises(StorageError, match="one/2 holds vectors of 2 numbers, and the model makes 3"):
        await vectors.open_space(conn, "one/2", 3)


async def test_only_what_can_be_found_waits_and_the_newest_first(memory, conn):
    await memory.say("first", ts="1700000001.000000")
    await memory.say("hidden", searchable=False)
    await memory.say("  \n")
    await memory.say("second", ts="1700000002.000000")
    deleted = await memory.say("deleted")
    await messages.delete(conn, "T1", "C1", deleted)
    assert await claim(conn) == ["second", "first"]


async def test_nobody_is_given_what_another_one_has_until_its_time_is_over(memory, conn):
    for number in range(6):
        await memory.say(f"message {number}", ts=f"170000000{number}.000000")

    async def claim_two():
        async with memory.database.connection() as other:
            return await claim(other, 2)

    taken = await asyncio.gather(*(claim_two() for _ in range(4)))
    assert sorted(text for batch in taken for text in batch) == [f"message {number}" for number in range(6)]
    await due_again(conn)
    assert len(await claim(conn)) == 6


async def test_what_has_its_vector_by_now_is_not_embedded_again(memory, conn):
    space = await vectors.open_space(conn, "one/2", 2)
    await memory.say("message")
    await vectors.store(conn, space, [(m, [1.0, 0.0]) for m in await take(conn)])
    await conn.execute("insert into embedding_queue select team_id, channel_id, ts from messages")
    assert await take(conn) == [] and await vectors.count_waiting(conn) == 0


async def test_what_failed_comes_after_what_did_not_and_waits_longer_each_time(memory, conn):
    await memory.say("bad", ts="1700000009.000000")
    for seconds in (2, 4, 8):
        await due_again(conn)
        claimed = await take(conn, 1)
        await vectors.release(conn, claimed, failed=True)
        [(pause,)] = await (
            await conn.execute("select extract(epoch from due_at - now())::float8 from embedding_queue")
        ).fetchall()
        assert claimed[0].text == "bad" and seconds - 2 < pause <= seconds
    await memory.say("good", ts="1700000001.000000")
    await due_again(conn)
    assert await claim(conn, 1) == ["good"]


async def test_what_is_given_back_is_there_at_once(memory, conn):
    await memory.say("message")
    for _ in range(5):
        claimed = await take(conn, 1)
        await vectors.release(conn, claimed, failed=False)
    assert (await (await conn.execute("select attempts from embedding_queue")).fetchall()) == [(0,)]


async def test_a_vector_of_a_text_that_changed_meanwhile_is_not_stored(memory, conn):
    space = await vectors.open_space(conn, "one/2", 2)
    edited, deleted, same = await memory.say("before"), await memory.say("secret"), await memory.say("same")
    claimed = await take(conn)
    await edit(conn, edited, "after")
    await messages.delete(conn, "T1", "C1", deleted)
    assert await vectors.store(conn, space, [(waiting, [1.0, 0.0]) for waiting in claimed]) == 1
    assert await (await conn.execute("select ts from message_embeddings")).fetchall() == [(same,)]
    assert await claim(conn) == ["after"]


async def test_an_edit_that_is_under_way_decides_before_a_vector_is_stored(memory, conn):
    space = await vectors.open_space(conn, "one/2", 2)
    ts = await memory.say("before")
    claimed = await take(conn, 1)
    async with memory.database.connection() as editing:
        async with editing.transaction():
            await edit(editing, ts, "after")
            storing = asyncio.create_task(vectors.store(conn, space, [(claimed[0], [1.0, 0.0])]))
            await asyncio.sleep(0.2)
            assert not storing.done()
        assert await storing == 0
    assert await claim(conn) == ["after"]


async def test_vectors_go_with_a_message_that_is_removed(memory, conn):
    space = await vectors.open_space(conn, "one/2", 2)
    await memory.say("old")
    await vectors.store(conn, space, [(m, [1.0, 0.0]) for m in await take(conn, 1)])
    await memory.say("waits")
    await conn.execute("delete from messages")
    for table in ("message_embeddings", "embedding_queue"):
        assert await (await conn.execute(f"select count(*) from {table}")).fetchone() == (0,)


async def test_a_vector_that_is_being_stored_goes_with_its_message_too(memory, conn):
    space = await vectors.open_space(conn, "one/2", 2)
    await memory.say("old")
    claimed = await take(conn)

    async def remove():
        async with memory.database.connection() as other:
            await other.execute("delete from messages")

    async with conn.transaction():
        await vectors.store(conn, space, [(claimed[0], [1.0, 0.0])])
        removing = asyncio.create_task(remove())
        await asyncio.sleep(0.2)
        assert not removing.done()
    await removing
    assert await (await conn.execute("select count(*) from message_embeddings")).fetchone() == (0,)


async def test_a_new_space_makes_every_message_wait_and_each_space_finds_only_its_own(memory, conn):
    one = await vectors.open_space(conn, "one/2", 2)
    old, new = await memory.say("old"), await memory.say("new")
    await vectors.store(conn, one, [(m, [1.0, 0.0]) for m in await take(conn)])
    two = await vectors.open_space(conn, "two/2", 2)
    waiting = await take(conn, space="two/2")
    assert {m.ts for m in waiting} == {old, new}
    await vectors.store(conn, two, [(m, [0.0, 1.0]) for m in waiting if m.ts == new])

    async def found(space, exact):
        kept, search.EXACT_ROWS = search.EXACT_ROWS, 100 if exact else 0
        try:
            vector = SpaceVector(space, [1.0, 0.0])
            where = MessageFilter(query="anything")
            _, hits = await search.search(conn, VIEWER, where, limit=50, vector=vector, by_words=False)
        finally:
            search.EXACT_ROWS = kept
        return sorted(hit.text for hit in hits)

    for exact in (True, False):
        assert await found(one, exact) == ["new", "old"]
        assert await found(two, exact) == ["new"]
    assert await vectors.drop_other_spaces(conn, two) == 1
    assert await vectors.find_space(conn, "one/2") is None and await found(two, True) == ["new"]
    indexes = await (
        await conn.execute("select indexname from pg_indexes where tablename = 'message_embeddings'")
    ).fetchall()
    assert (two.index,) in indexes and (one.index,) not in indexes
