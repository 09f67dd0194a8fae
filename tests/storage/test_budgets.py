"""Budgets: periods by the channel's clock, what is left, and reservations that do not overlap."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from storage import budgets, turns
from storage.budgets import Budget

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime.now(UTC)


async def turn(conn, status="running", channel="C1"):
    turn_id = uuid4()
    await turns.insert(conn, turns.NewTurn(turn_id, "T1", channel, str(turn_id), None, "U1", "mention", "?"))
    await conn.execute("update turns set status = %s where turn_id = %s", (status, turn_id))
    return turn_id


async def spend(conn, *, tokens=0, cost="0", at=NOW, channel="C1", team="T1"):
    await conn.execute(
        """insert into model_usage (at, team_id, channel_id, module, model, input_chars, output_chars, prompt_tokens,
                                    output_tokens, cost, latency_ms)
           values (%s, %s, %s, 'agent', 'm', 0, 0, %s, %s, %s, 1)""",
        (at, team, channel, tokens - tokens // 3, tokens // 3, cost),
    )


async def reserve(conn, turn_id, budget, *, tokens=10, cost="0.01", channel="C1", now=NOW):
    return await budgets.reserve(
        conn,
        team_id="T1",
        channel_id=channel,
        turn_id=turn_id,
        budget=budget,
        tokens=tokens,
        cost=Decimal(cost),
        now=now,
    )


def test_periods_follow_the_channels_clock_and_its_changes():
    moment = datetime(2024, 3, 31, 22, 30, tzinfo=UTC)  # 00:30 of April 1st there, a day after the change
    assert [edge.isoformat() for edge in budgets.month_of(moment, BERLIN)] == [
        "2024-04-01T00:00:00+02:00",
        "2024-05-01T00:00:00+02:00",
    ]
    before = datetime(2024, 3, 31, 21, 30, tzinfo=UTC)
    begin, end = budgets.day_of(before, BERLIN)
    assert (end.astimezone(UTC) - begin.astimezone(UTC)).total_seconds() == 23 * 3600
    assert budgets.month_of(datetime(2024, 12, 31, 23, 30, tzinfo=UTC), BERLIN)[0].year == 2025


async def test_what_is_left_is_that_of_this_channel_in_this_period(database):
    day, month = budgets.day_of(NOW, BERLIN)[0], budgets.month_of(NOW, BERLIN)[0]
    async with database.connection() as conn:
        await spend(conn, tokens=300, cost="1.5", at=day)
        await spend(conn, tokens=50, cost="0.25", at=NOW)
        await spend(conn, tokens=1000, cost="9", at=month.replace(year=month.year - 1))
        await spend(conn, tokens=7000, cost="8", channel="C2")
        await spend(conn, tokens=7000, cost="8", team="T2")
        usd, tokens = await budgets.balances(conn, "T1", "C1", Budget(Decimal(2), 1000, BERLIN), NOW)
        assert (usd.spent, usd.remaining, usd.renews_at) == (
            Decimal("1.75"),
            Decimal("0.25"),
            budgets.month_of(NOW, BERLIN)[1],
        )
        assert (tokens.spent, tokens.remaining, tokens.period) == (350, 650, "day")
        assert await budgets.balances(conn, "T1", "C1", Budget(), NOW) == []


async def test_a_reservation_counts_for_others_until_the_turn_is_over(database):
    budget = Budget(daily_tokens=100)
    async with database.connection() as conn:
        first, second = await turn(conn), await turn(conn)
        assert await reserve(conn, first, budget, tokens=60) is None
        short = await reserve(conn, second, budget, tokens=60)
        assert short and (short.spent, short.reserved, short.remaining) == (0, 60, 40)
        assert await reserve(conn, first, budget, tokens=90) is None  # in place of its own
        await conn.execute("update turns set status = 'answered' where turn_id = %s", (first,))
        assert await reserve(conn, second, budget, tokens=60) is None
        (left,) = await (await conn.execute("select count(*) from budget_reservations")).fetchone()
        assert left == 1


async def test_a_reservation_that_nobody_ends_lapses(database):
    budget = Budget(daily_tokens=100)
    async with database.connection() as conn:
        assert await reserve(conn, await turn(conn), budget, tokens=100) is None
        await conn.execute("update budget_reservations set at = now() - interval '31 minutes'")
        assert await reserve(conn, await turn(conn), budget, tokens=100) is None


@pytest.mark.parametrize("budget", [Budget(daily_tokens=100), Budget(monthly_usd=Decimal("0.10"))])
async def test_processes_that_reserve_at_once_do_not_overrun_together(database, budget):
    async def one():
        async with database.connection() as conn:
            return await reserve(conn, await turn(conn), budget, tokens=30, cost="0.03") is None

    assert sum(await asyncio.gather(*(one() for _ in range(9)))) == 3


async def test_a_spent_budget_lets_nothing_through_not_even_what_costs_nothing(database):
    async with database.connection() as conn:
        await spend(conn, tokens=90, cost="0.1")
        assert await reserve(conn, await turn(conn), Budget(monthly_usd=Decimal("0.1")), cost="0")
        assert await reserve(conn, await turn(conn), Budget(daily_tokens=100), tokens=11)
        assert await reserve(conn, await turn(conn), Budget(daily_tokens=100), tokens=10) is None
