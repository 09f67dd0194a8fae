"""What is too old goes, from wherever it had got to; what is not stays."""

from datetime import UTC, datetime, timedelta

import pytest

from storage import channels, leases, retention, usage
from storage.channels import User
from storage.db import execute
from storage.leases import LeaseLost
from storage.retention import Retention
from storage.usage import ModelCall
from tests.dumps import places

CANARY = "canary7f9cq"
NOW = datetime.now(UTC)


def ago(days):
    return f"{(NOW - timedelta(days=days)).timestamp():.6f}"


async def rows(database, statement):
    async with database.connection() as conn:
        return await (await conn.execute(statement)).fetchall()


async def age(database, table, column, days):
    async with database.connection() as conn:
        await conn.execute(f"update {table} set {column} = {column} - make_interval(days => %s)", (days,))


async def test_each_channel_keeps_its_messages_as_long_as_is_set(database, memory):
    await memory.channel("C2", name="hiring")
    await memory.channel("C3", name="incidents")
    for channel in ("C1", "C2", "C3"):
        for days in (1, 40, 800):
            await memory.say(f"{days} days", channel=channel, ts=ago(days))
    gone = await retention.expire(database, Retention(days=730, channels={"#hiring": 30, "C3": 1000}))
    kept = await rows(database, "select channel_id, text from messages order by channel_id, ts desc")
    assert kept == [
        ("C1", "1 days"), ("C1", "40 days"), ("C2", "1 days"), ("C3", "1 days"), ("C3", "40 days"), ("C3", "800 days"),
    ]  # fmt: skip
    assert gone["messages"] == 3


async def test_what_rests_on_an_expired_message_goes_with_it_also_in_other_channels(database, memory, turn):
    await memory.channel("C2", name="hiring")
    old = await memory.say(CANARY, channel="C2", ts=ago(31))
    async with database.connection() as conn:
        await conn.execute(
            "insert into message_steps (team_id, channel_id, ts, step, state, error) values ('T1','C2',%s,'x','failed',%s)",
            (old, CANARY),
        )
    recent = ago(1)
    await turn(recent, shown=[("C2", old)], answer=CANARY, posted=ago(0.9))
    gone = await retention.expire(database, Retention(channels={"hiring": 30}))
    assert gone["messages"] == 1 and gone["reduced turns"] == 1
    assert await places(database, CANARY) == {}


async def test_more_than_a_batch_goes_in_one_run(database, memory):
    ts = ago(800).split(".")[0]
    async with database.connection() as conn:
        await conn.execute(
            "insert into messages (team_id, channel_id, ts, text) "
            "select 'T1', 'C1', %s || '.' || lpad(n::text, 6, '0'), 'old' from generate_series(1, %s) as n",
            (ts, retention.BATCH * 2 + 7),
        )
    assert (await retention.expire(database, Retention()))["messages"] == retention.BATCH * 2 + 7


async def test_an_old_turn_goes_whole_and_one_that_still_runs_stays(database, memory, turn):
    await turn(ago(40), answer=CANARY, posted=ago(40))
    running = await turn(ago(0), over=False)
    await age(database, "turns", "ended_at", 40)
    await age(database, "conversations", "created_at", 40)
    async with database.connection() as conn:
        await conn.execute(
            "insert into checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, blob) "
            "select team_id || ':' || channel_id || ':' || thread_ts || '#' || turn_id, '1', '1', 0, 'x', %s from turns "
            "where status = 'answered'",
            (CANARY.encode(),),
        )
    gone = await retention.expire(database, Retention(turn_days=30))
    assert gone["turns"] == 1 and gone["conversations"] == 1 and gone["leases"] == 1
    assert await places(database, CANARY) == {}
    assert await rows(database, "select turn_id from turns") == [(running,)]


async def test_a_number_of_a_lease_that_was_deleted_never_comes_again(database, memory):
    async with database.connection() as conn:
        stale = await leases.take(conn, "T1:C1:1.000001")
    assert (await retention.expire(database, Retention()))["leases"] == 1
    async with database.connection() as conn:
        newer = await leases.take(conn, "T1:C1:1.000001")
        assert newer.epoch > stale.epoch
        with pytest.raises(LeaseLost):
            async with conn.transaction():
                await leases.hold(conn, stale)


async def test_a_step_that_runs_keeps_its_lease(database, memory):
    async with database.connection() as conn:
        for ts in (ago(0), ago(2)):
            await leases.take(conn, f"steps:T1:C1:{ts}")
    assert (await retention.expire(database, Retention()))["leases"] == 1


async def test_the_rest_is_kept_for_its_own_time(database, memory):
    async with database.connection() as conn:
        await usage.insert(conn, ModelCall(None, "T1", "C1", "U1", "agent", "m", 1, 1, 1, 1, 0, 1, None))
        await conn.execute("insert into audit_logs (who, action) values ('U1', 'tool_run')")
        await channels.upsert_users(conn, [User("T1", "U1", "ann", False, False, False)])
        await channels.replace_memberships(conn, "T1", "U1", ["C2"])
    kept = Retention(days=100, usage_days=10, audit_days=20)
    steps = [
        ("memberships", "seen_at", 2), ("model_usage", "at", 11), ("audit_logs", "at", 21), ("users", "refreshed_at", 101),
    ]  # fmt: skip
    for table, column, days in steps:
        await age(database, table, column, days - 2)
    assert await retention.expire(database, kept) == {}
    for table, column, _ in steps:
        await age(database, table, column, 3)
    assert await retention.expire(database, kept) == {"model calls": 1, "audit rows": 1, "users": 1, "memberships": 1}


async def test_tombstones_go_when_no_delivery_can_come_any_more(database, memory):
    from storage import messages

    await memory.say("words", ts=ago(1))
    async with database.connection() as conn:
        await messages.delete(conn, "T1", "C1", ago(1))
        assert await retention.expire(database, Retention()) == {}
        await execute(conn, "update messages set deleted_at = deleted_at - interval '31 days'")
    assert await retention.expire(database, Retention()) == {"tombstones": 1}


def test_the_shortest_time_counts_for_what_knows_no_channel():
    assert Retention(days=100, channels={"a": 3, "b": 500}).shortest == 3
    assert Retention(days=100).shortest == 100
