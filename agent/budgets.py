"""Sets aside what a model call may cost before it is made, and says so when the channel's budget does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from langchain_core.messages import BaseMessage

from agent.context import TurnContext
from agent.errors import BudgetSpent
from storage import budgets
from storage.budgets import Balance, Budget
from storage.db import Database

ANSWER_TOKENS = 500  # what an answer is expected to need; a longer one is counted when it is there
CHARS_A_TOKEN = 4


async def reserve(
    database: Database,
    context: object,
    messages: Sequence[BaseMessage],
    cost_of: Callable[[int, int], Decimal],
) -> None:
    """Set aside what the next call of a turn may cost; without a turn or a budget nothing happens.

    A call can cost more than was set aside for it, so a budget can be overrun by that of the calls in flight.

    Args:
        database: the pool.
        context: on whose behalf it is made. What is no turn spends from the budget too, but is not refused.
        messages: what is about to be sent; its size is the estimate.
        cost_of: US dollars for tokens in and out.

    Raises:
        BudgetSpent: it does not suffice; the message is for the user.
    """
    if not isinstance(context, TurnContext) or not context.budget.is_set:
        return
    budget = context.budget
    sent = (len(context.system_prompt) + sum(len(message.text) for message in messages)) // CHARS_A_TOKEN
    async with database.connection() as conn:
        short = await budgets.reserve(
            conn,
            team_id=context.viewer.team_id,
            channel_id=context.viewer.asked_in,
            turn_id=context.turn_id,
            budget=budget,
            tokens=sent + ANSWER_TOKENS,
            cost=cost_of(sent, ANSWER_TOKENS),
            now=datetime.now(UTC),
        )
    if short:
        raise BudgetSpent(notice(short, budget))


def notice(short: Balance, budget: Budget) -> str:
    """What the user is told: the budget, when it renews, and whom to ask."""

    def say(amount: Decimal) -> str:
        return f"${amount:,.2f}" if short.unit == "usd" else f"{amount:,.0f} tokens"

    renews = short.renews_at.astimezone(budget.zone).strftime("%Y-%m-%d %H:%M")
    asked = f"Ask {budget.contact}" if budget.contact else "Ask the operators of Ratchet"
    reserved = f" and {say(short.reserved)} set aside for other questions" if short.reserved else ""
    return (
        f"I stopped: this channel's budget for the model, {say(short.limit)} a {short.period}, does not suffice for "
        f"another step ({say(short.spent)} spent{reserved}). It renews at {renews} ({budget.zone.key}). "
        f"{asked} if you need more before that."
    )
