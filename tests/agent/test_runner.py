"""Turns, threads, resuming and compaction."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.errors import NodeCancelledError

from agent import runner as running
from agent.question import Limits
from storage import conversations, leases
from tests.agent.conftest import Quiet, call, stored, this_turn


async def test_a_turn_calls_a_tool_and_records_its_answer(arrange, database):
    def answer(messages):
        new = this_turn(messages)
        return AIMessage(f"So: {new[-1].text} [e1]") if new else call("lookup", word="pg")

    runner, model, question = arrange(answer)
    asked, reply = await question("what is pg?"), Quiet()
    text = "So: pg is known [1]\n\n**Evidence**\n- [1] Running lookup(word: pg)"
    assert await runner.answer(asked, reply, reply) == text
    assert reply.steps == ["lookup…", "lookup ok"] and reply.posted == [text]
    turn = await stored(database, asked.turn.turn_id)
    assert (turn.status, turn.answer) == ("answered", text)
    assert model.seen[0][0].type == "system" and "#ops" in model.seen[0][0].text
    async with database.connection() as conn:
        rows = await conversations.list_messages(conn, turn.thread_key, after_seq=0)
        usage = await (await conn.execute("select module, error, turn_id from model_usage")).fetchall()
        audit = await (await conn.execute("select who, action, details->>'tool' from audit_logs")).fetchall()
    assert [row.message["type"] for row in rows] == ["human", "ai", "tool", "ai"]
    assert usage == [("agent", None, turn.turn_id)] * 2 and audit == [("U1", "tool_run", "lookup")]


@pytest.mark.parametrize("minutes", [-15, 15])
async def test_a_turns_time_does_not_go_by_this_machines_clock(arrange, minutes):
    runner, _, question = arrange(lambda messages: AIMessage("found" if this_turn(messages) else ""))
    asked, reply = await question("go"), Quiet()
    asked = replace(asked, turn=replace(asked.turn, started_at=asked.turn.started_at + timedelta(minutes=minutes)))
    context = runner._context(asked, reply, reply)
    assert 590 < context.deadline - asyncio.get_running_loop().time() <= 600


async def test_the_next_turn_sees_the_thread_and_its_checkpoint_does_not_hold_it(arrange, database):
    runner, model, question = arrange(lambda messages: AIMessage(f"{len(messages)} messages"))
    for text in ("first", "second"):
        asked, reply = await question(text), Quiet()
        await runner.answer(asked, reply, reply)
    assert [message.text for message in model.seen[1][1:]] == ["first", "2 messages", "second"]
    state = await runner.graph.aget_state(
        {"configurable": {"thread_id": f"{asked.turn.thread_key}#{asked.turn.turn_id}"}}
    )
    assert [message.text for message in state.values["messages"]] == ["second", "4 messages"]


async def test_answering_a_turn_again_does_nothing_twice(arrange, database):
    calls = []

    def answer(messages):
        calls.append(1)
        return AIMessage("once")

    runner, _, question = arrange(answer)
    asked, reply = await question("hello"), Quiet()
    await runner.answer(asked, reply, reply)
    assert await runner.answer(asked, reply, reply) == "once" and len(calls) == 1
    async with database.connection() as conn:
        assert len(await conversations.list_messages(conn, asked.turn.thread_key, after_seq=0)) == 2


async def test_a_cut_off_turn_resumes_without_repeating_finished_calls(arrange, database):
    runs = []
    stop = True

    @tool(extras={"effect": "read"})
    async def slow(step: int) -> str:
        """Run a step."""
        runs.append(step)
        if step == 2 and stop:
            raise asyncio.CancelledError
        return f"step {step} done"

    def answer(messages):
        done = len(this_turn(messages))
        return AIMessage("finished") if done >= 4 else call("slow", step=1 + done // 2)

    runner, _, question = arrange(answer, extra=(slow,))
    asked, reply = await question("go"), Quiet()
    with pytest.raises(NodeCancelledError):
        await runner.answer(asked, reply, reply)
    stop = False
    assert await runner.answer(asked, reply, reply) == "finished"
    assert runs == [1, 2, 2]


async def test_a_stale_worker_can_write_nothing(arrange, database):
    runner, _, question = arrange(lambda _: AIMessage("late"))
    asked, reply = await question("hello"), Quiet()
    async with database.connection() as conn:
        await leases.take(conn, asked.turn.thread_key)
    with pytest.raises(leases.LeaseLost):
        await runner.answer(asked, reply, reply)
    async with database.connection() as conn:
        counts = await (
            await conn.execute(
                "select (select count(*) from checkpoints), (select count(*) from "
                "conversation_messages), (select count(*) from checkpoint_writes)"
            )
        ).fetchone()
    assert counts == (0, 0, 0) and not reply.posted


async def test_a_long_thread_is_compacted_and_keeps_its_last_turns(arrange, database):
    def answer(messages):
        if "Summarise the earlier part" in messages[-1].text:
            return AIMessage("SUMMARY OF OLD TURNS")
        new = this_turn(messages)
        return AIMessage("fine " * 50) if new else call("lookup", word="w" * 3000)

    runner, model, question = arrange(answer, limits=Limits(history_tokens=2000, keep_turns=2))
    for number in range(12):
        asked, reply = await question(f"question {number}"), Quiet()
        await runner.answer(asked, reply, reply)
    last = model.seen[-1]
    text = "\n".join(message.text for message in last)
    assert "SUMMARY OF OLD TURNS" in text and "question 10" in text and "question 1\n" not in text
    assert len(text) < 2 * 4 * 2000 + 8000


@pytest.mark.parametrize(("count", "is_aside"), [(10, False), (500, True)])
async def test_a_long_answer_is_taken_apart_aside_from_everything_else(arrange, monkeypatch, count, is_aside):
    threads, ground = [], running.ground

    def watched(*args, **options):
        threads.append(threading.current_thread())
        return ground(*args, **options)

    monkeypatch.setattr(running, "ground", watched)
    runner, _, question = arrange(lambda _: AIMessage("Is it so? " * count))
    asked, reply = await question("go"), Quiet()
    assert await runner.answer(asked, reply, reply) == ("Is it so? " * count).strip()
    assert [thread is not threading.main_thread() for thread in threads] == [is_aside]
