"""Stops and messages that are taken in, where two sessions meet."""

import asyncio
from uuid import uuid4

import pytest

from storage import effects, leases, steering, turns
from storage.leases import LeaseLost
from storage.steering import TurnStopped
from storage.turns import NewTurn


@pytest.fixture
def asked(database):
    """Accepts a question of U1 in a thread; its id."""

    async def accept(thread_ts, ts, *, user="U1"):
        turn_id = uuid4()
        async with database.connection() as conn:
            assert await turns.insert(conn, NewTurn(turn_id, "T1", "C1", thread_ts, ts, user, "mention", "what?"))
        return turn_id

    return accept


async def begin(database, turn_id):
    async with database.connection() as conn:
        return await turns.begin(conn, turn_id)


async def get(database, turn_id):
    async with database.connection() as conn:
        return await turns.get(conn, turn_id)


async def stop(database, user="U1", **scope):
    scope = {"thread_ts": "1.0", "before": None} | scope
    async with database.connection() as conn, conn.transaction():
        return await steering.stop(conn, team_id="T1", channel_id="C1", user_id=user, **scope)


async def test_a_message_is_taken_in_or_begun_and_never_both(database, asked):
    async def take(lease, turn_id):
        async with database.connection() as conn:
            return await steering.take_in(conn, lease, turn_id)

    outcomes = set()
    for number in range(20):
        first, second = await asked(f"{number}.0", f"{number}.1"), await asked(f"{number}.0", f"{number}.2")
        running = await begin(database, first)
        async with database.connection() as conn:
            lease = await leases.take(conn, running.thread_key)
        calls = [take(lease, first), begin(database, second)]
        if number % 2:
            taken, begun = await asyncio.gather(*calls)
        else:
            begun, taken = await asyncio.gather(*reversed(calls))
        assert (begun.status, len(taken)) in {("running", 0), ("merged", 1)}
        assert (await get(database, second)).attempts == (begun.status == "running")
        outcomes.add(begun.status)
    assert outcomes


async def test_a_worker_that_lost_the_thread_takes_nothing_in(database, asked):
    first, second = await asked("1.0", "1.1"), await asked("1.0", "1.2")
    running = await begin(database, first)
    async with database.connection() as conn:
        old = await leases.take(conn, running.thread_key)
        await leases.take(conn, running.thread_key)
        with pytest.raises(LeaseLost):
            await steering.take_in(conn, old, first)
    assert (await get(database, second)).status == "queued"


async def test_of_two_stops_one_counts_and_what_was_not_begun_ends_with_it(database, asked):
    first, second = await asked("1.0", "1.1"), await asked("1.0", "1.2", user="U2")
    later = await asked("1.0", "9.9")
    await begin(database, first)
    both = await asyncio.gather(stop(database, before="5.0"), stop(database, "U2", before="5.0"))
    assert [[marked.turn_id for marked in found] for found in both] in ([[first], []], [[], [first]])
    statuses = [(await get(database, turn_id)).status for turn_id in (first, second, later)]
    assert statuses == ["running", "stopped", "queued"]
    async with database.connection() as conn:
        (seen,) = await steering.look(conn, [first])
        assert seen.stopped_by and seen.has_news, "the later question can still be answered"
        lease = await leases.take(conn, "T1:C1:1.0")
        assert await steering.take_in(conn, lease, first) == [], "but not by a turn that is stopped"
        with pytest.raises(TurnStopped):
            await effects.intend(conn, lease, first, "c1", "tell")


async def test_without_a_thread_only_what_that_person_asked_for_ends(database, asked):
    mine, theirs = await asked("1.0", "1.1"), await asked("2.0", "2.1", user="U2")
    assert [marked.turn_id for marked in await stop(database, thread_ts=None)] == [mine]
    assert (await get(database, theirs)).stopped_by is None
