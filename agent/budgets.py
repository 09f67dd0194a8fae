"""Sets aside what a model call may cost before it is made, and says so when the channel's budget does not suffice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID, uuid4

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from agent.context import TurnContext
from agent.errors import BudgetSpent
from agent.images import image_chars
from storage import budgets
from storage.access import Viewer
from storage.budgets import Balance, Budget
from storage.db import Database

ANSWER_TOKENS = 2000  # what an answer is expected to need; a longer one is counted when it is there
CHARS_A_TOKEN = 4


class Spending(Protocol):
    """What a call is made for, as far as budgets go."""

    @property
    def viewer(self) -> Viewer:
        """Who asks, and where."""

    @property
    def budget(self) -> Budget:
        """That of the channel."""


async def reserve(
    database: Database,
    context: Spending,
    messages: Sequence[BaseMessage],
    cost_of: Callable[[int, int], Decimal],
    *,
    module: str,
    tools: Sequence[Any] = (),
) -> UUID | None:
    """Set aside what the next call may cost; without a budget nothing happens.

    That is its estimate, or what the dearest of the module's last calls in the channel came to, where that is more.
    A call can cost more still, so a budget can be overrun by that of the calls in flight.

    Args:
        database: the pool.
        context: on whose behalf it is made: a turn, whose reservation stands until its next one, or something else.
        messages: what is about to be sent; its size is the estimate.
        cost_of: US dollars for tokens in and out.
        module: which part of Ratchet asks.
        tools: the tools that the model is offered; their schemas are sent along.

    Returns:
        What is to be released once a call that belongs to no turn is recorded.

    Raises:
        BudgetSpent: it does not suffice; the message is for the user.
    """
    if not context.budget.is_set:
        return None
    budget, viewer = context.budget, context.viewer
    turn = context if isinstance(context, TurnContext) else None
    reservation = turn.turn_id if turn else uuid4()
    sent = (len(turn.system_prompt if turn else "") + chars_of(messages, tools)) // CHARS_A_TOKEN
    async with database.connection() as conn:
        dearest = await budgets.dearest_of_last(conn, viewer.team_id, viewer.asked_in, module)
        short = await budgets.reserve(
            conn,
            team_id=viewer.team_id,
            channel_id=viewer.asked_in,
            turn_id=reservation,
            budget=budget,
            tokens=max(sent + ANSWER_TOKENS, dearest.tokens),
            cost=max(cost_of(sent, ANSWER_TOKENS), dearest.cost),
            now=datetime.now(UTC),
        )
    if short:
        raise BudgetSpent(notice(short, budget))
    return None if turn else reservation


async def release(database: Database, reservation: UUID) -> None:
    """Give back what was set aside for a call that belongs to no turn."""
    async with database.connection() as conn:
        await budgets.release(conn, reservation)


def chars_of(messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> int:
    """The size of a request: texts, images, the arguments of tool calls, and the schemas of tools."""
    chars = sum(len(json.dumps(convert_to_openai_tool(tool))) for tool in tools)
    for message in messages:
        chars += len(message.text) + image_chars(message)
        if isinstance(message, AIMessage) and message.tool_calls:
            chars += len(json.dumps(message.tool_calls, default=str))
    return chars


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
