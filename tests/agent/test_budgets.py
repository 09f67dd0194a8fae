"""A turn in a channel whose budget is spent ends, and says so."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

from langchain_core.messages import AIMessage, HumanMessage

from agent.budgets import chars_of, notice, reserve
from agent.context import Errand, Requester, TurnContext
from agent.errors import BudgetSpent
from agent.redaction import Redactor
from agent.retries import ModelCaller
from storage import turns
from storage.access import Viewer
from storage.budgets import Balance, Budget
from storage.leases import Lease
from tests.agent.conftest import Quiet, call, lookup, stored, this_turn


def budgeted(turn_id, budget):
    return TurnContext(
        turn_id=turn_id, viewer=Viewer("T1", "U1", "C1"), thread_ts=None, database=None, now=datetime.now(UTC),
        workspace_url="", requester=Requester("U1", "oncall-a"), lease=Lease(str(turn_id), 1), reply=Quiet(),
        members=Quiet(), allowed_tools=frozenset(), system_prompt="", deadline=0, budget=budget,
    )  # fmt: skip


async def test_a_turn_without_budget_is_not_even_counted(arrange, database):
    runner, _, question = arrange(lambda _: AIMessage("fine"))
    asked, reply = await question("hello"), Quiet()
    assert await runner.answer(asked, reply, reply) == "fine"
    async with database.connection() as conn:
        assert await (await conn.execute("select * from budget_reservations")).fetchall() == []


async def test_when_the_budget_is_spent_no_model_is_asked_and_the_user_is_told(arrange, database):
    runner, model, question = arrange(lambda _: AIMessage("fine"))
    budget = Budget(daily_tokens=20, zone=ZoneInfo("Europe/Berlin"), contact="#platform")
    asked, reply = replace(await question("hello"), budget=budget), Quiet()
    said = await runner.answer(asked, reply, reply)
    assert "20 tokens a day" in said and "renews at" in said and "(Europe/Berlin)" in said and "Ask #platform" in said
    assert reply.posted == [said] and model.seen == []
    turn = await stored(database, asked.turn.turn_id)
    assert turn.status == "failed" and turn.error.startswith("BudgetSpent")


async def test_questions_at_once_do_not_overrun_the_budget_together(database):
    said = [HumanMessage("?"), call("lookup", word="x" * 4000)]  # 1,000 tokens of arguments, and a schema
    context = lambda turn_id: budgeted(turn_id, Budget(daily_tokens=7000))  # noqa: E731
    free = lambda sent, answered: Decimal(0)  # noqa: E731

    async def ask():
        turn_id = uuid4()
        async with database.connection() as conn:
            await turns.insert(conn, turns.NewTurn(turn_id, "T1", "C1", str(turn_id), None, "U1", "mention", "?"))
        try:
            await reserve(database, context(turn_id), said, free, module="agent", tools=[lookup])
        except BudgetSpent:
            return 0
        return 1

    assert sum(await asyncio.gather(*(ask() for _ in range(10)))) == 2  # at 3,000 and a little each
    assert chars_of(said, [lookup]) > chars_of(said) + 100


async def test_what_ratchet_does_unasked_is_bound_too_and_gives_back_what_it_set_aside(database):
    caller = ModelCaller(database, model="m", tries=1, prices={}, redactor=Redactor(), wait=lambda _: 0)
    budget = Budget(daily_tokens=4500)

    async def answer():
        async with database.connection() as conn:
            held.extend(await (await conn.execute("select tokens from budget_reservations")).fetchall())
        await asyncio.sleep(0.2)
        return AIMessage("x" * 1000)

    async def run():
        errand = Errand(None, Viewer("T1", "", "C1"), budget)
        try:
            await caller.call(answer, context=errand, module="runbook", messages=[HumanMessage("?")])
        except BudgetSpent:
            return 0
        return 1

    held = []
    assert sum(await asyncio.gather(*(run() for _ in range(5)))) == 2 and held[-1] == (2000,)
    async with database.connection() as conn:
        assert await (await conn.execute("select * from budget_reservations")).fetchall() == []
        assert await (await conn.execute("select output_tokens from model_usage")).fetchall() == [(250,)] * 2
        await conn.execute("update model_usage set output_tokens = 2000")
    assert await run() == 0


async def test_what_the_last_calls_came_to_is_set_aside(database):
    async with database.connection() as conn:
        turn_id = uuid4()
        await turns.insert(conn, turns.NewTurn(turn_id, "T1", "C1", str(turn_id), None, "U1", "mention", "?"))
        for module, tokens in (("agent", 6000), ("runbook", 90_000)):
            await conn.execute(
                """insert into model_usage (team_id, channel_id, module, model, input_chars, output_chars,
                                            prompt_tokens, output_tokens, cost, latency_ms)
                   values ('T1', 'C1', %s, 'm', 0, 0, %s, 0, 0.5, 1)""",
                (module, tokens),
            )
    free = lambda sent, answered: Decimal(0)  # noqa: E731
    await reserve(database, budgeted(turn_id, Budget(daily_tokens=200_000)), [HumanMessage("?")], free, module="agent")
    async with database.connection() as conn:
        kept = await (await conn.execute("select tokens, cost from budget_reservations")).fetchall()
    assert kept == [(6000, Decimal("0.5"))]


async def test_it_ends_in_the_middle_of_a_turn_too(arrange):
    def answer(messages):
        usage = {"input_tokens": 900, "output_tokens": 50, "total_tokens": 950}
        return AIMessage("", tool_calls=call("lookup", word="x").tool_calls, usage_metadata=usage)

    runner, model, question = arrange(answer, allowed=["lookup"])
    asked, reply = replace(await question("loop"), budget=Budget(daily_tokens=5000)), Quiet()
    said = await runner.answer(asked, reply, reply)
    assert "5,000 tokens a day" in said and len(model.seen) == 3
    assert "2,850 tokens spent" in said


async def test_what_is_left_is_enough_for_the_next_turn(arrange):
    runner, _, question = arrange(
        lambda messages: AIMessage(
            "done" if this_turn(messages) else "",
            tool_calls=[] if this_turn(messages) else call("lookup", word="x").tool_calls,
        )
    )
    for _ in range(3):  # a reservation that stayed would block the second
        asked, reply = replace(await question("hello"), budget=Budget(daily_tokens=6000)), Quiet()
        assert await runner.answer(asked, reply, reply) == "done"


def test_the_notice_names_dollars_and_what_others_have_set_aside():
    renews = datetime(2024, 5, 31, 22, tzinfo=UTC)
    short = Balance("usd", "month", Decimal(5), Decimal("4.9"), Decimal("0.08"), renews)
    said = notice(short, Budget(monthly_usd=Decimal(5), zone=ZoneInfo("Europe/Berlin")))
    assert "$5.00 a month" in said and "($4.90 spent and $0.08 set aside" in said
    assert "2024-06-01 00:00 (Europe/Berlin)" in said and "Ask the operators of Ratchet" in said
