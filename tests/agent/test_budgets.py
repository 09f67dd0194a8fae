"""A turn in a channel whose budget is spent ends, and says so."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from langchain_core.messages import AIMessage

from agent.budgets import notice
from storage.budgets import Balance, Budget
from tests.agent.conftest import Quiet, call, stored, this_turn


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


async def test_it_ends_in_the_middle_of_a_turn_too(arrange):
    def answer(messages):
        usage = {"input_tokens": 900, "output_tokens": 50, "total_tokens": 950}
        return AIMessage("", tool_calls=call("lookup", word="x").tool_calls, usage_metadata=usage)

    runner, model, question = arrange(answer)
    asked, reply = replace(await question("loop"), budget=Budget(daily_tokens=3000)), Quiet()
    said = await runner.answer(asked, reply, reply)
    assert "3,000 tokens a day" in said and len(model.seen) == 3
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
