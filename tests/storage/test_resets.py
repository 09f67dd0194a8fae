"""A conversation that begins afresh: what was before is kept for the record and reaches no model."""

from uuid import uuid4

import pytest

from storage import conversations, leases, messages, purges, retention, turns
from storage.purges import MessageKey
from storage.retention import Retention
from storage.turns import NewTurn, thread_key
from tests.dumps import places

KEY = thread_key("T1", "C1", "100.000001")


@pytest.fixture
async def conn(database):
    async with database.connection() as opened:
        yield opened


async def shown(conn):
    return [row.turn_id for row in await conversations.list_messages(conn, KEY, after_seq=0)]


async def aside(conn, ts, question="help"):
    """A command in the thread; returns its turn."""
    new = NewTurn(uuid4(), "T1", "C1", "100.000001", ts, "U1", "mention", question, aside=True)
    await turns.insert(conn, new)
    return await turns.get(conn, new.turn_id)


async def test_only_turns_that_were_asked_after_the_reset_are_shown_whenever_they_end(turn, conn):
    before = await turn(ts="101.000001", answer="old")
    late = await turn(ts="102.000001", over=False)
    lease = await leases.take(conn, KEY)
    await conversations.set_summary(conn, lease, "all of it", 2)
    assert await conversations.reset(conn, KEY, "103.000001")
    after = await turn(ts="104.000001", answer="new")
    await turn.finish(late, "said later, asked before")
    assert set(await shown(conn)) == {after}
    known = await conversations.get(conn, KEY)
    assert (known.summary, known.summarised_upto, known.seen_upto_ts) == ("", 0, "104.000001")
    kept = await (await conn.execute("select distinct turn_id from conversation_messages")).fetchall()
    assert {turn_id for (turn_id,) in kept} == {before, late, after}


async def test_a_thread_that_was_never_read_is_not_read_from_before_its_reset(conn):
    assert await conversations.reset(conn, KEY, "103.000001")
    assert (await conversations.get(conn, KEY)).seen_upto_ts == "103.000001"


async def test_a_summary_that_was_begun_before_the_reset_is_refused(turn, conn):
    await turn(answer="old")
    lease = await leases.take(conn, KEY)
    known = await conversations.get(conn, KEY)
    await conversations.reset(conn, KEY, "103.000001")
    await conversations.set_summary(conn, lease, "the past", 4, reset_ts=known.reset_ts)
    assert (await conversations.get(conn, KEY)).summary == ""


async def test_the_newest_reset_counts_and_counts_once(turn, conn):
    assert await conversations.reset(conn, KEY, "103.000001")
    assert not await conversations.reset(conn, KEY, "103.000001")
    assert not await conversations.reset(conn, KEY, "102.000001")
    assert (await conversations.get(conn, KEY)).reset_ts == "103.000001"


async def test_a_purge_still_finds_what_was_before_a_reset_and_does_not_undo_it(database, memory, turn, conn):
    source = await memory.say("canary7f9cq")
    await turn(ts="101.000001", answer="canary7f9cq", shown=[("C1", source)])
    await conversations.reset(conn, KEY, "103.000001")
    after = await turn(ts="104.000001", answer="new")
    async with conn.transaction():
        await messages.delete(conn, "T1", "C1", source)
        await purges.ask(conn, [MessageKey("T1", "C1", source)], "deleted")
    await purges.run(database)
    assert await places(database, "canary7f9cq") == {}
    assert set(await shown(conn)) <= {after} and (await conversations.get(conn, KEY)).is_reset


async def test_retention_keeps_a_reset_as_long_as_its_thread_has_turns(database, conn):
    command = await aside(conn, "103.000001", "reset")
    await conversations.reset(conn, KEY, "103.000001")
    await conn.execute("update conversations set created_at = now() - interval '9 days'")
    await retention.expire(database, Retention())
    assert (await conversations.get(conn, KEY)).is_reset
    await conn.execute("update turns set created_at = now() - interval '800 days', status = 'answered'")
    await retention.expire(database, Retention())
    assert await turns.get(conn, command.turn_id) is None and await conversations.get(conn, KEY) is None


async def test_a_command_holds_up_no_turn_of_its_thread_and_takes_no_lease_of_it(turn, conn):
    running = await turn(ts="101.000001", over=False)
    lease = await leases.take(conn, KEY)
    command = await aside(conn, "100.500000")
    later = await turn(ts="105.000001", over=False)
    assert command.thread_key != KEY
    await leases.take(conn, command.thread_key)
    async with conn.transaction():
        await leases.hold(conn, lease)
    assert await turns.oldest_unsettled(conn, await turns.get(conn, later)) == running
    assert await turns.count_open(conn, "T1", "C1", "100.000001") == {"running": 2}
    assert await turns.newest_thread(conn, "T1", "C1", "U1") == "100.000001"
