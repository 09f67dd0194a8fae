"""Leases, effects, turns, conversations and posts: what makes a turn happen once."""

import asyncio
from uuid import uuid4

import pytest

from storage import conversations, effects, leases, posts, turns
from storage.leases import LeaseLost
from storage.steering import TurnStopped
from storage.turns import thread_key

KEY = thread_key("T1", "C1", "1.0")


@pytest.fixture
async def conn(database):
    async with database.connection() as opened:
        yield opened


async def new_turn(conn, ts="2.0"):
    turn_id = uuid4()
    assert await turns.insert(
        conn,
        turns.NewTurn(
            turn_id=turn_id,
            team_id="T1",
            channel_id="C1",
            thread_ts="1.0",
            message_ts=ts,
            requester_id="U1",
            source="mention",
            question="why?",
        ),
    )
    return turn_id


# Leases


async def test_whoever_takes_a_thread_second_fences_the_first(conn):
    first = await leases.take(conn, KEY)
    second = await leases.take(conn, KEY)
    assert second.epoch > first.epoch
    async with conn.transaction():
        await leases.hold(conn, second)
    with pytest.raises(LeaseLost, match="outdated"):
        async with conn.transaction():
            await leases.hold(conn, first)


async def test_threads_are_fenced_by_themselves(conn):
    lease = await leases.take(conn, KEY)
    await leases.take(conn, KEY + "0")
    async with conn.transaction():
        await leases.hold(conn, lease)


async def test_a_held_lease_cannot_be_taken_until_its_transaction_ends(conn, database):
    lease = await leases.take(conn, KEY)
    async with database.connection() as other:
        async with conn.transaction():
            await leases.hold(conn, lease)
            taking = asyncio.create_task(leases.take(other, KEY))
            assert not (await asyncio.wait([taking], timeout=0.2))[0]
        assert (await taking).epoch > lease.epoch


# Turns


async def test_one_message_is_one_turn(conn):
    turn_id = await new_turn(conn)
    again = await turns.insert(
        conn,
        turns.NewTurn(
            turn_id=uuid4(),
            team_id="T1",
            channel_id="C1",
            thread_ts="1.0",
            message_ts="2.0",
            requester_id="U1",
            source="mention",
            question="why?",
        ),
    )
    assert not again
    assert (await turns.get(conn, turn_id)).status == "queued"


async def test_beginning_a_turn_counts_attempts_until_it_is_over(conn):
    turn_id = await new_turn(conn)
    first, second = await turns.begin(conn, turn_id), await turns.begin(conn, turn_id)
    assert (first.attempts, second.attempts, second.status) == (1, 2, "running")
    assert second.started_at == first.started_at
    lease = await leases.take(conn, KEY)
    async with conn.transaction():
        await turns.finish(conn, lease, turn_id, answer="because")
    over = await turns.begin(conn, turn_id)
    assert over.is_over and over.attempts == 2 and over.answer == "because"


async def test_an_outcome_is_recorded_once_and_only_under_the_lease(conn):
    turn_id = await new_turn(conn)
    old = await leases.take(conn, KEY)
    lease = await leases.take(conn, KEY)
    with pytest.raises(LeaseLost):
        async with conn.transaction():
            await turns.finish(conn, old, turn_id, answer="stale")
    async with conn.transaction():
        assert await turns.finish(conn, lease, turn_id, answer="first")
    async with conn.transaction():
        assert not await turns.finish(conn, lease, turn_id, answer="second", error="late")
    turn = await turns.get(conn, turn_id)
    assert (turn.status, turn.answer, turn.error) == ("answered", "first", None)


async def test_a_stopped_turn_has_no_answer_but_may_fail(conn):
    turn_id = await new_turn(conn)
    lease = await leases.take(conn, KEY)
    await turns.begin(conn, turn_id)
    await conn.execute("update turns set stopped_by = 'U2'")
    with pytest.raises(TurnStopped):
        async with conn.transaction():
            await turns.finish(conn, lease, turn_id, answer="late")
    assert (await turns.get(conn, turn_id)).status == "running"
    async with conn.transaction():
        assert await turns.finish(conn, lease, turn_id, answer="sorry", error="away")


async def test_a_stop_that_is_not_committed_yet_comes_before_the_answer(conn, database):
    turn_id = await new_turn(conn)
    lease = await leases.take(conn, KEY)
    await turns.begin(conn, turn_id)

    async def finish():
        async with conn.transaction():
            await turns.finish(conn, lease, turn_id, answer="late")

    async with database.connection() as other, other.transaction():
        await other.execute("update turns set stopped_by = 'U2'")
        finishing = asyncio.create_task(finish())
        assert not (await asyncio.wait([finishing], timeout=0.2))[0]
    with pytest.raises(TurnStopped):
        await finishing


async def test_how_long_a_turn_took_so_far_is_told_by_the_database(conn):
    turn_id = await new_turn(conn)
    assert (await turns.begin(conn, turn_id)).spent_seconds == 0
    await conn.execute("update turns set started_at = now() - interval '5 minutes'")
    assert 300 <= (await turns.begin(conn, turn_id)).spent_seconds < 310


async def test_asking_costs_an_answer_neither_attempts_nor_time(conn):
    turn_id = uuid4()
    assert await turns.insert(conn, turns.NewTurn(turn_id, "T1", "C1", None, None, "U1", "command", "why?"))
    for _ in range(6):
        await turns.begin(conn, turn_id)
    await conn.execute("update turns set started_at = now() - interval '5 minutes'")
    await turns.set_thread(conn, turn_id, "3.0")
    turn = await turns.begin(conn, turn_id)
    assert (turn.thread_ts, turn.status, turn.attempts) == ("3.0", "running", 1)
    assert turn.spent_seconds < 10


# Effects


async def test_a_call_that_was_cut_off_becomes_unknown_and_stays_so(conn):
    turn_id, lease = uuid4(), await leases.take(conn, KEY)
    assert await effects.intend(conn, lease, turn_id, "c1", "restart_service") is None
    for _ in range(2):
        assert (await effects.intend(conn, lease, turn_id, "c1", "restart_service")).state == "unknown"


async def test_a_call_that_returned_gives_its_result_instead_of_running_again(conn):
    turn_id, lease = uuid4(), await leases.take(conn, KEY)
    await effects.intend(conn, lease, turn_id, "c1", "restart_service")
    await effects.settle(conn, turn_id, "c1", "restarted")
    known = await effects.intend(conn, lease, turn_id, "c1", "restart_service")
    assert (known.state, known.result) == ("done", "restarted")


async def test_a_call_that_its_tool_refused_may_be_made_again(conn):
    turn_id, lease = uuid4(), await leases.take(conn, KEY)
    await effects.intend(conn, lease, turn_id, "c1", "restart_service")
    await effects.withdraw(conn, turn_id, "c1")
    assert await effects.intend(conn, lease, turn_id, "c1", "restart_service") is None


async def test_an_effect_is_not_intended_under_a_lost_lease(conn):
    lease = await leases.take(conn, KEY)
    await leases.take(conn, KEY)
    with pytest.raises(LeaseLost):
        await effects.intend(conn, lease, uuid4(), "c1", "restart_service")
    assert await (await conn.execute("select count(*) from effects")).fetchone() == (0,)


# Conversations


async def append(conn, lease, turn_id, *texts, seen="1.0"):
    async with conn.transaction():
        await conversations.append(conn, lease, turn_id, [{"text": text} for text in texts], seen_upto_ts=seen)


async def test_a_turns_messages_are_appended_once_and_in_order(conn):
    lease, one, two = await leases.take(conn, KEY), uuid4(), uuid4()
    await append(conn, lease, one, "question", "answer")
    await append(conn, lease, one, "question", "answer")
    await append(conn, lease, two, "another")
    found = await conversations.list_messages(conn, KEY, after_seq=0)
    assert [(row.seq, row.turn_id, row.message["text"]) for row in found] == [
        (1, one, "question"),
        (2, one, "answer"),
        (3, two, "another"),
    ]
    assert [row.seq for row in await conversations.list_messages(conn, KEY, after_seq=2)] == [3]


async def test_what_was_read_of_a_thread_never_goes_back(conn):
    lease = await leases.take(conn, KEY)
    await append(conn, lease, uuid4(), "a", seen="1700000009.000200")
    await append(conn, lease, uuid4(), "b", seen="999999999.000100")
    assert (await conversations.get(conn, KEY)).seen_upto_ts == "1700000009.000200"


async def test_a_conversation_is_written_under_the_lease_only(conn):
    old = await leases.take(conn, KEY)
    lease = await leases.take(conn, KEY)
    await append(conn, lease, uuid4(), "a")
    with pytest.raises(LeaseLost):
        await append(conn, old, uuid4(), "stale")
    with pytest.raises(LeaseLost):
        await conversations.set_summary(conn, old, "stale", 1)
    await conversations.set_summary(conn, lease, "short", 1)
    known = await conversations.get(conn, KEY)
    assert (known.summary, known.summarised_upto) == ("short", 1)
    assert len(await conversations.list_messages(conn, KEY, after_seq=0)) == 1


# Posts


async def test_a_post_goes_from_pending_by_sending_to_posted(conn):
    turn_id = await new_turn(conn)
    intent = {"turn_id": turn_id, "channel_id": "C1", "thread_ts": "1.0", "module": "agent"}
    second = await posts.insert(conn, part=2, text="two", **intent)
    first = await posts.insert(conn, part=1, text="one", **intent)
    assert await posts.insert(conn, part=1, text="other words", **intent) == first
    assert [(p.post_id, p.text, p.state) for p in await posts.list_for_turn(conn, turn_id)] == [
        (first, "one", "pending"),
        (second, "two", "pending"),
    ]
    await posts.set_sending(conn, first)
    assert (await posts.get(conn, first)).state == "sending"
    await posts.set_posted(conn, first, "3.0")
    await posts.set_rejected(conn, second, "channel_not_found")
    states = [(p.state, p.ts) for p in await posts.list_for_turn(conn, turn_id)]
    assert states == [("posted", "3.0"), ("rejected", None)]
