"""What a step's tasks wrote is committed with the step's checkpoint, or alone when the step takes longer."""

import asyncio

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.base import empty_checkpoint

from agent import checkpoints
from storage import leases
from storage.leases import LeaseLost
from tests.agent.conftest import Quiet, this_turn


async def rows(database, statement):
    async with database.connection() as conn:
        return await (await conn.execute(statement)).fetchall()


def both(messages):
    calls = [{"name": name, "args": {}, "id": name, "type": "tool_call"} for name in ("quick", "slow")]
    return AIMessage("done") if this_turn(messages) else AIMessage("", tool_calls=calls)


async def test_a_step_of_one_task_takes_one_commit(arrange, database, monkeypatch):
    monkeypatch.setattr(checkpoints, "HOLD_SECONDS", 60)
    runner, _, question = arrange(lambda _: AIMessage("done"))
    asked, reply = await question("go"), Quiet()
    await runner.answer(asked, reply, reply)
    writes = await rows(database, "select distinct xmin::text from checkpoint_writes")
    puts = await rows(database, "select xmin::text from checkpoints")
    assert writes and set(writes) <= set(puts)


async def test_what_one_tool_found_is_stored_while_another_still_works(arrange, database):
    found = []

    @tool(extras={"effect": "read"})
    async def quick() -> str:
        """Return at once."""
        return "quick result"

    @tool(extras={"effect": "read"})
    async def slow() -> str:
        """Wait until the other tool's result is stored."""
        async with asyncio.timeout(10):
            while not found:
                await asyncio.sleep(0.01)
                found.extend(await rows(database, "select 1 from checkpoint_writes where blob like '%quick result%'"))
        return "slow result"

    runner, _, question = arrange(both, extra=(quick, slow))
    asked, reply = await question("go"), Quiet()
    assert await runner.answer(asked, reply, reply) == "done"
    assert found


async def test_what_was_done_before_an_interruption_is_stored(arrange, database, monkeypatch):
    monkeypatch.setattr(checkpoints, "HOLD_SECONDS", 3600)

    @tool(extras={"effect": "read"})
    async def quick() -> str:
        """Return at once."""
        return "quick result"

    @tool(extras={"effect": "read"})
    async def slow() -> str:
        """Be cut off, once the other one is through."""
        await asyncio.sleep(0.3)
        raise asyncio.CancelledError

    runner, _, question = arrange(both, extra=(quick, slow))
    asked, reply = await question("go"), Quiet()
    with pytest.raises(BaseException):  # noqa: B017 - how the graph reports it is its own affair
        await runner.answer(asked, reply, reply)
    assert await rows(database, "select 1 from checkpoint_writes where blob like '%quick result%'")


async def test_nothing_is_stored_under_a_lost_lease(arrange, database):
    @tool(extras={"effect": "read"})
    async def quick() -> str:
        """Lose the thread."""
        async with database.connection() as conn:
            await conn.execute("update thread_leases set epoch = epoch + 1")
        return "quick result"

    def answer(messages):
        call = {"name": "quick", "args": {}, "id": "quick", "type": "tool_call"}
        return AIMessage("done") if this_turn(messages) else AIMessage("", tool_calls=[call])

    runner, _, question = arrange(answer, extra=(quick,))
    asked, reply = await question("go"), Quiet()
    with pytest.raises(LeaseLost):
        await runner.answer(asked, reply, reply)
    assert not await rows(database, "select 1 from checkpoint_writes where blob like '%quick result%'")


async def test_an_early_write_that_failed_is_made_up_for_when_the_run_ends(arrange, database, monkeypatch):
    """The database is away for a moment while one tool is through and the other still works; then the run is cut off."""
    add, failures = checkpoints.FencedSaver._add, []

    async def fail_once(self, configurable, write):
        if write.writes and not write.puts and not failures:
            failures.append(write)
            raise OSError("away")
        await add(self, configurable, write)

    monkeypatch.setattr(checkpoints.FencedSaver, "_add", fail_once)

    @tool(extras={"effect": "read"})
    async def quick() -> str:
        """Return at once."""
        return "quick result"

    @tool(extras={"effect": "read"})
    async def slow() -> str:
        """Be cut off, long after the other one is through."""
        async with asyncio.timeout(10):
            while not failures:
                await asyncio.sleep(0.01)
        raise asyncio.CancelledError

    runner, _, question = arrange(both, extra=(quick, slow))
    asked, reply = await question("go"), Quiet()
    with pytest.raises(BaseException):  # noqa: B017
        await runner.answer(asked, reply, reply)
    assert failures
    assert await rows(database, "select 1 from checkpoint_writes where blob like '%quick result%'")


async def test_the_end_of_a_run_waits_for_an_early_write_that_is_under_way(arrange, database, monkeypatch):
    add, begun = checkpoints.FencedSaver._add, asyncio.Event()

    async def slowly(self, configurable, write):
        if write.writes and not write.puts:
            begun.set()
            await asyncio.sleep(0.3)
        await add(self, configurable, write)

    monkeypatch.setattr(checkpoints.FencedSaver, "_add", slowly)

    @tool(extras={"effect": "read"})
    async def quick() -> str:
        """Return at once."""
        return "quick result"

    @tool(extras={"effect": "read"})
    async def slow() -> str:
        """Be cut off while the other's result is being written."""
        await begun.wait()
        raise asyncio.CancelledError

    runner, _, question = arrange(both, extra=(quick, slow))
    asked, reply = await question("go"), Quiet()
    with pytest.raises(BaseException):  # noqa: B017
        await runner.answer(asked, reply, reply)
    assert await rows(database, "select 1 from checkpoint_writes where blob like '%quick result%'")


@pytest.fixture
async def two_runs(database):
    """A saver, and the configurations of two runs of one thread in one process: the older one lost its lease."""
    place = {"thread_id": "T1:C1:1.0#turn", "checkpoint_ns": "", "checkpoint_id": "1"}
    async with database.connection() as conn:
        configs = [
            {"configurable": {**place, checkpoints.LEASE: await leases.take(conn, "T1:C1:1.0")}} for _ in range(2)
        ]
    return checkpoints.FencedSaver(database), *configs


async def test_what_a_run_wrote_is_not_stored_under_the_lease_of_another(two_runs, database, monkeypatch):
    monkeypatch.setattr(checkpoints, "HOLD_SECONDS", 3600)
    saver, old, new = two_runs
    await saver.aput_writes(old, [("messages", "stale words")], "one")
    await saver.aput_writes(new, [("messages", "fresh words")], "two")
    await saver.aput(new, empty_checkpoint(), {}, {})
    found = await rows(database, "select task_id from checkpoint_writes")
    with pytest.raises(LeaseLost):
        await saver.aput(old, empty_checkpoint(), {}, {})
    assert found == [("two",)] == await rows(database, "select task_id from checkpoint_writes")


async def test_of_runs_that_write_the_same_at_once_the_one_with_the_lease_is_stored(two_runs, database):
    saver, *runs = two_runs
    place = {"thread_id": "T1:C1:1.0#turn", "ns": "", "checkpoint_id": "1"}
    row = {**place, "task_id": "one", "task_path": "", "idx": 0, "channel": "messages", "type": "bytes", "blob": ""}
    put = {**place, "parent_id": None, "checkpoint": {}, "metadata": {}}
    group = [checkpoints.Write(run["configurable"][checkpoints.LEASE], writes=[row], puts=[put]) for run in runs]
    for order in (group, group[::-1]):
        await saver._write(order)
        assert [write.held for write in group] == [False, True]
        assert await rows(database, "delete from checkpoint_writes returning task_id") == [("one",)]
        assert await rows(database, "delete from checkpoints returning checkpoint_id") == [("1",)]


async def test_what_is_pruned_are_the_checkpoints_of_turns_that_ended_long_ago(arrange, database, monkeypatch):
    monkeypatch.setattr(checkpoints, "BATCH", 2, raising=False)
    runner, _, question = arrange(lambda _: AIMessage("done"))
    asked = []
    for number in range(5):
        asked.append(await question("go", thread_ts=f"{number}.0"))
        await runner.answer(asked[-1], Quiet(), Quiet())
    old, young = sorted(str(each.turn.turn_id) for each in asked[:3]), asked[3:]
    await rows(database, "update turns set ended_at = now() - interval '6 days' returning 1")
    async with database.connection() as conn:
        await conn.execute("update turns set ended_at = now() - interval '8 days' where turn_id = any(%s)", (old,))
        await conn.execute("update turns set ended_at = null where turn_id = %s", (young[0].turn.turn_id,))
        await checkpoints.prune(conn, days=7)
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            left = await rows(database, f"select distinct split_part(thread_id, '#', 2) from {table}")
            assert sorted(turn_id for (turn_id,) in left) == sorted(str(each.turn.turn_id) for each in young)


async def test_pruning_looks_up_the_turns_of_what_is_kept_and_not_every_turn_there_ever_was(database):
    async with database.connection() as conn, conn.transaction():
        await conn.execute("set local enable_seqscan = off")  # the tables are empty
        cur = await conn.execute(f"explain {checkpoints.ENDED}", {"days": 7})
        plan = "\n".join(line for (line,) in await cur.fetchall())
    assert "Index Scan using turns_pkey" in plan and "Seq Scan" not in plan
