"""Pieces of work that survive their worker and that nobody does twice."""

import pytest

from storage import backfills


@pytest.fixture
async def conn(database, memory):
    async with database.connection() as opened:
        yield opened


async def end(conn, work, **fields):
    done = {"reached": None, "cursor": None, "read": 1, "stored": 1, "is_end": True}
    await backfills.advance(conn, work, **{**done, **fields})


async def test_the_most_urgent_piece_that_nobody_has_is_taken(conn, database):
    await backfills.open_onboarding(conn, "T1", "C1", wanted=10)
    await backfills.open_threads(conn, "T1", "C1", {"1.0": None, "2.0": "1.5"})
    await backfills.open_gaps(conn, "T1")
    async with database.connection() as other, conn.transaction(), other.transaction():
        taken = [await backfills.take(which, "T1", "C1") for which in (conn, other, conn, other)]
        assert [(work.kind, work.thread_ts) for work in taken[:2]] == [("gap", ""), ("onboard", "")]
        assert (taken[2].kind, taken[2].thread_ts) == ("gap", "")  # its own again
        await end(conn, taken[0])
        work = await backfills.take(conn, "T1", "C1")
        assert (work.thread_ts, work.reached) == ("2.0", "1.5")


async def test_a_piece_is_free_again_when_its_worker_dies(database, memory):
    async with database.connection() as conn:
        await backfills.open_onboarding(conn, "T1", "C1", wanted=10)
    with pytest.raises(ConnectionError):
        async with database.connection() as conn, conn.transaction():
            await end(conn, await backfills.take(conn, "T1", "C1"))
            raise ConnectionError
    async with database.connection() as conn, conn.transaction():
        work = await backfills.take(conn, "T1", "C1")
        assert (work.kind, work.read) == ("onboard", 0)


async def test_an_onboarding_is_finished_when_its_threads_are(conn):
    async def status():
        return await (await conn.execute("select onboarding_status from channels")).fetchall()

    await backfills.open_onboarding(conn, "T1", "C1", wanted=10)
    await backfills.open_threads(conn, "T1", "C1", {"1.0": None})
    await end(conn, await backfills.take(conn, "T1", "C1"), read=10, stored=8)
    assert await backfills.settle(conn, "T1", "C1") == (1, True)
    assert await status() == [("started",)]
    halfway = await backfills.progress(conn, "T1", "C1")
    assert (halfway.read, halfway.stored, halfway.threads, halfway.threads_done) == (10, 8, 1, 0)
    await end(conn, await backfills.take(conn, "T1", "C1"), read=3, stored=2)
    assert await backfills.settle(conn, "T1", "C1") == (0, False)
    assert await status() == [("finished",)]
    done = await backfills.progress(conn, "T1", "C1")
    assert (done.stored, done.threads_done, done.is_over) == (10, 1, True)


async def test_a_gap_begins_at_the_last_message_before_the_outage(conn, memory):
    await backfills.open_onboarding(conn, "T1", "C1", wanted=10)
    await memory.channel("C2")  # never begun: nothing was missed there
    await memory.say("seen", ts="1700000000.000100")
    recent = await memory.say("after the outage")

    async def since():
        return await (await conn.execute("select channel_id, since from backfills where kind = 'gap'")).fetchall()

    assert await backfills.open_gaps(conn, "T1", away_seconds=600) == 1
    assert await since() == [("C1", "1700000000.000100")]
    await backfills.open_gaps(conn, "T1")
    assert await since() == [("C1", "1700000000.000100")]  # not read yet: it still begins there
    async with conn.transaction():
        await end(conn, await backfills.take(conn, "T1", "C1"))
    await backfills.open_gaps(conn, "T1")
    assert await since() == [("C1", recent)]


async def test_a_channel_without_messages_was_not_missed_from_before_it_was_known(conn):
    await backfills.open_onboarding(conn, "T1", "C1", wanted=10)
    await backfills.open_gaps(conn, "T1")
    found = await conn.execute(
        "select since::numeric = round(extract(epoch from c.created_at), 6) from backfills b join channels c "
        "using (team_id, channel_id) where b.kind = 'gap'"
    )
    assert await found.fetchall() == [(True,)]


async def test_a_channel_that_is_gone_takes_its_work_along_and_gets_no_new_one(conn):
    assert await backfills.open_thread(conn, "T1", "C1", "1.0")
    assert not await backfills.open_thread(conn, "T1", "C1", "1.0")
    await conn.execute("delete from channels")
    assert not await backfills.open_thread(conn, "T1", "C1", "2.0")
    assert await backfills.channels_with_work(conn, "T1") == set()
    assert await backfills.progress(conn, "T1", "C1") is None
