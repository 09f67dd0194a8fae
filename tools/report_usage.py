"""Tool: how Ratchet is used, and what it costs (behaviour A15)."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from langchain_core.tools import ToolException, tool

from storage import budgets, help_channels, usage
from storage.help_channels import HelpCounts
from tools.channel_report import BudgetRow, rfc3339, show_balance
from tools.context import Runtime, ToolContext


class UsageSummary(TypedDict):
    """Totals; messages and thumbs are those of channels that the requester may read."""

    total_messages: int
    total_thumbs_up: int
    total_thumbs_down: int
    total_llm_requests: int


class HelpUsage(TypedDict):
    """Questions of people in a help channel: seen, answered out of the documentation, and votes on these answers."""

    questions: int
    answered: int
    helpful: int
    unhelpful: int


class ChannelUsage(TypedDict):
    """One channel; thumbs are reactions to Ratchet's posts. ``help`` is None, ``budget`` empty where there is none."""

    name: str
    messages: int
    answers: int
    thumbs_up: int
    thumbs_down: int
    help: HelpUsage | None
    budget: list[BudgetRow]


class ModuleUsage(TypedDict):
    """One part of Ratchet: its model calls and its posts."""

    module: str
    requests: int
    posts: int


class ModelUsage(TypedDict):
    """One model; cost in US dollars by the configured prices."""

    model: str
    requests: int
    prompt_tokens: int
    output_tokens: int
    cost: float


class UsageReport(TypedDict):
    """The report; dates are RFC 3339."""

    start_date: str
    end_date: str
    channel_count: int
    summary: UsageSummary
    channels: list[ChannelUsage]
    modules: list[ModuleUsage]
    llm_usage: list[ModelUsage]


@tool(
    parse_docstring=True,
    extras={
        "effect": "read",
        "doing": "Counting usage, last {days|7} days",
        "outcome": "{channel_count} channels",
        "topic": "Ratchet itself",
        "example": "what did the model cost this week?",
    },
)
async def report_usage(runtime: Runtime, days: int = 7) -> UsageReport:
    """Report how Ratchet was used: messages, feedback, help channels, model calls, tokens, cost, budgets.

    Use it for "what did you cost this week", "how busy are the channels", "which models do we use", "what remains
    of our budget".

    Args:
        days: Length of the window that ends now, 1 to 365.
    """
    if not 1 <= days <= 365:
        raise ToolException(f"days must be 1 to 365, not {days}.")
    return await read_usage(runtime.context, days)


async def read_usage(context: ToolContext, days: int) -> UsageReport:
    """The usage of the days before the context's time, as far as its viewer may see it."""
    since, until = context.now - timedelta(days=days), context.now
    viewer = context.viewer
    async with context.database.connection() as conn:
        by_channel = await usage.sum_channels(conn, viewer, since, until)
        by_help = await help_channels.counts(conn, viewer, since, until)
        by_module = await usage.sum_modules(conn, viewer, since, until)
        by_model = await usage.sum_models(conn, viewer, since, until)
        standing = {
            row.channel_id: await budgets.balances(
                conn, viewer.team_id, row.channel_id, context.rules.budget(row.channel_id, row.name), until
            )
            for row in by_channel
            if context.rules.budget(row.channel_id, row.name).is_set
        }
    return UsageReport(
        start_date=rfc3339(since),
        end_date=rfc3339(until),
        channel_count=len(by_channel),
        summary=UsageSummary(
            total_messages=sum(row.messages for row in by_channel),
            total_thumbs_up=sum(row.thumbs_up for row in by_channel),
            total_thumbs_down=sum(row.thumbs_down for row in by_channel),
            total_llm_requests=sum(row.requests for row in by_model),
        ),
        channels=[
            ChannelUsage(
                name=f"#{row.name}" if row.name else row.channel_id,
                messages=row.messages,
                answers=row.answers,
                thumbs_up=row.thumbs_up,
                thumbs_down=row.thumbs_down,
                help=_show_help(by_help.get(row.channel_id)),
                budget=[show_balance(balance) for balance in standing.get(row.channel_id, [])],
            )
            for row in by_channel
        ],
        modules=[ModuleUsage(module=row.module, requests=row.requests, posts=row.posts) for row in by_module],
        llm_usage=[
            ModelUsage(
                model=row.model,
                requests=row.requests,
                prompt_tokens=row.prompt_tokens,
                output_tokens=row.output_tokens,
                cost=float(row.cost),
            )
            for row in by_model
        ],
    )


def _show_help(counts: HelpCounts | None) -> HelpUsage | None:
    if counts is None:
        return None
    return HelpUsage(
        questions=counts.questions, answered=counts.answered, helpful=counts.helpful, unhelpful=counts.unhelpful
    )
