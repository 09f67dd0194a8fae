"""Stops and messages that are taken in, where two sessions meet."""

import asyncio
from uuid import uuid4

import pytest

from slack_app.command_words import CommandCall, parse
from storage import conversations, effects, leases, steering, turns
from storage.leases import LeaseLost
from storage.steering import TurnStopped
from storage.turns import NewTurn


@pytest.fixture
def asked(database):
    """Accepts a question of U1 in a thread; its id."""

    async def accept(thread_ts, ts, *, user="U1", question="what?", aside=False):
        new = NewTurn(uuid4(), "T1", "C1", thread_ts, ts, user, "mention", question, aside=aside)
        async with database.connection() as conn:
            assert await turns.insert(conn, new)
        return new.turn_id

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


async def test_of_stopped_questions_the_oldest_speaks_for_its_thread(database, asked):
    third, first, second = [await asked("1.0", ts) for ts in ("10.3", "9.1", "10.2")]
    assert [marked.turn_id for marked in await stop(database)] == [first]
    assert {(await get(database, turn_id)).status for turn_id in (second, third)} == {"stopped"}


async def test_what_is_to_say_that_it_was_stopped_comes_oldest_first(database, asked):
    made = {ts: await asked(f"{ts}0", ts) for ts in ("10.3", "9.1", "10.2", "9.4")}
    found = [marked.turn_id for marked in await stop(database, thread_ts=None)]
    assert found == [made[ts] for ts in ("9.1", "9.4", "10.2", "10.3")]


async def test_a_message_overtakes_none_that_its_requester_wrote_before(database, asked, memory):
    first = await asked("1.0", "1.1")
    await begin(database, first)
    await memory.say("see this", ts="1.2", thread_ts="1.0", attrs={"files": [{"mimetype": "image/png"}]})
    shown, later = await asked("1.0", "1.2"), await asked("1.0", "1.3")
    assert await taken(database, first) == []
    assert {(await get(database, turn_id)).status for turn_id in (shown, later)} == {"queued"}
    await begin(database, shown)
    assert await taken(database, shown) == ["1.3"]


async def test_a_message_may_overtake_what_others_wrote_and_commands(database, asked):
    first = await asked("1.0", "1.1")
    await begin(database, first)
    await asked("1.0", "1.2", user="U2")
    await asked("1.0", "1.3", question="help", aside=True)
    await asked("1.0", "1.4")
    await asked("1.0", "1.5")
    assert await taken(database, first) == ["1.4", "1.5"]


async def test_without_a_thread_only_what_that_person_asked_for_ends(database, asked):
    mine, theirs = await asked("1.0", "1.1"), await asked("2.0", "2.1", user="U2")
    assert [marked.turn_id for marked in await stop(database, thread_ts=None)] == [mine]
    assert (await get(database, theirs)).stopped_by is None


async def taken(database, running):
    """What a running turn takes in, as its worker sees it coming and does it."""
    async with database.connection() as conn:
        lease = await leases.take(conn, (await turns.get(conn, running)).thread_key)
        (seen,) = await steering.look(conn, [running])
        found = [added.message_ts for added in await steering.take_in(conn, lease, running)]
    assert seen.has_news == bool(found)
    return found


@pytest.mark.parametrize("queued", [True, False])
async def test_what_was_asked_after_a_reset_is_not_taken_in_by_a_turn_from_before(database, asked, queued):
    first, _, fresh = [await asked("1.0", ts) for ts in ("1.1", "1.2", "1.4")]
    await begin(database, first)
    if queued:
        await asked("1.0", "1.3", user="U2", question="/reset!", aside=True)
    else:
        async with database.connection() as conn:
            await conversations.reset(conn, turns.thread_key("T1", "C1", "1.0"), "1.3")
    assert await taken(database, first) == ["1.2"]
    assert (await get(database, fresh)).status == "queued"


async def test_only_a_reset_between_the_two_parts_them(database, asked):
    async with database.connection() as conn:
        await conversations.reset(conn, turns.thread_key("T1", "C1", "1.0"), "1.1")
    first = await asked("1.0", "1.2")
    await begin(database, first)
    await asked("1.0", "1.3", question="help", aside=True)
    await asked("1.0", "1.4")
    await asked("1.0", "1.5", question="reset", aside=True)
    await asked("2.0", "1.35", question="reset", aside=True)
    assert await taken(database, first) == ["1.4"]


@pytest.mark.parametrize(
    "words", ["reset", "/Reset", " `reset`!", "reset ?", "//reset", "reset it", "unreset", "", "help"]
)
async def test_the_statement_knows_a_reset_as_the_parser_of_commands_does(database, words):
    async with database.connection() as conn:
        (found,) = await (await conn.execute("select %s ~* %s", (words, steering.RESET))).fetchone()
    assert found == (parse(words) == CommandCall("reset"))
