"""The rows of messages that grow."""

from uuid import uuid4

import pytest

from storage import leases, offers, purges, streams
from storage.leases import LeaseLost
from storage.purges import MessageKey
from tests.dumps import places

CANARY = "canary3q8hz"


@pytest.fixture
def begin(database, turn):
    """A turn that runs and has asked Slack for its message; returns the stream and the lease."""

    async def build():
        turn_id = await turn(shown=[("C1", "50.000001")], over=False)
        async with database.connection() as conn:
            lease = await leases.take(conn, "T1:C1:100.000001")
            made = await streams.intend(conn, lease, turn_id, "C1", "100.000001", native=True)
        return made, lease

    return build


async def test_a_turn_has_one_message_at_a_time(database, begin):
    stream, lease = await begin()
    again = (lease, stream.turn_id, "C1", "100.000001")
    async with database.connection() as conn:
        assert await streams.intend(conn, *again, native=True) is None
        assert await streams.set_ts(conn, stream.stream_id, "101.000001")
        known = await streams.get_open(conn, stream.turn_id)
        assert known and (known.ts, known.is_native) == ("101.000001", True)
        assert await streams.known_messages(conn, "C1", "100.000001") == {"101.000001"}
        await streams.close(conn, stream.stream_id)
        assert await streams.get_open(conn, stream.turn_id) is None
        assert not await streams.set_ts(conn, stream.stream_id, "102.000001")
        following = await streams.intend(conn, *again, native=False)
    assert following and not following.is_native and following.stream_id != stream.stream_id


async def test_whoever_lost_the_thread_begins_and_writes_nothing(database, begin):
    stream, lease = await begin()
    async with database.connection() as conn:
        assert await streams.may_write(conn, lease, stream.stream_id)
        heir = await leases.take(conn, lease.thread_key)
        assert not await streams.may_write(conn, lease, stream.stream_id)
        assert await streams.may_write(conn, heir, stream.stream_id)
        await streams.close(conn, stream.stream_id)
        assert not await streams.may_write(conn, heir, stream.stream_id)
        with pytest.raises(LeaseLost):
            await streams.intend(conn, lease, stream.turn_id, "C1", "100.000001", native=True)


async def test_what_progress_said_goes_with_what_it_rests_on(database, memory, turn, begin):
    stream, _ = await begin()
    async with database.connection() as conn:
        await streams.set_ts(conn, stream.stream_id, "101.000001")
        await streams.close(conn, stream.stream_id)
    await memory.say(f"Searching for {CANARY}", ts="101.000001", bot=True, searchable=False)
    await turn.finish(stream.turn_id, "answer", "102.000001")
    async with database.connection() as conn:
        await purges.ask(conn, [MessageKey("T1", "C1", "50.000001")], "deleted")
    await purges.run(database)
    assert await places(database, CANARY) == {}


@pytest.mark.parametrize("look_up", ["messages of a thread", "an offer", "what hangs on a turn"])
async def test_what_is_looked_up_for_each_answer_is_all_that_is_read(database, turn, look_up):
    found = [await turn(f"{number}.000001", posted=f"{number}.000002") for number in range(100, 120)]
    async with database.connection() as conn, conn.transaction():
        await conn.execute(
            "insert into streams (turn_id, channel_id, thread_ts, is_native, is_open) "
            "select turn_id, channel_id, thread_ts, true, false from turns"
        )
        await conn.execute("insert into private_offers select turn_id, 'D1', gen_random_uuid() from turns")
        await conn.execute("analyze posts, streams, private_offers, turns")
    async with database.connection() as conn, conn.transaction():
        await conn.execute("set local enable_seqscan = off")  # for so few rows no index would be worth its while
        before = await rows_read(conn)
        match look_up:
            case "messages of a thread":
                assert await streams.known_messages(conn, "C1", "100.000001") == {"100.000002"}
            case "an offer":
                assert await offers.take(conn, "T1", uuid4(), "U1") is None
            case "what hangs on a turn":
                await conn.execute("delete from turns where turn_id = %s", (found[0],))
        after = await rows_read(conn)
    assert {table: n - before[table] for table, n in after.items() if n - before[table] > 2} == {}


async def rows_read(conn):
    cur = await conn.execute(
        "select relname, seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables "
        "where relname in ('posts', 'streams', 'private_offers', 'turns')"
    )
    return dict(await cur.fetchall())
