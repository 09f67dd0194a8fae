"""Tool: how Ratchet is used, and what it costs (behaviour A15)."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from langchain_core.tools import ToolException, tool

from storage import usage
from tools.context import Runtime


class UsageSummary(TypedDict):
    """Totals; messages and thumbs are those of channels that the requester may read."""

    total_messages: int
    total_thumbs_up: int
    total_thumbs_down: int
    total_llm_requests: int


class ChannelUsage(TypedDict):
    """One channel."""

    name: str
    messages: int
    answers: int
    thumbs_up: int
    thumbs_down: int


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


@tool(parse_docstring=True, extras={"effect": "read"})
async def report_usage(runtime: Runtime, days: int = 7) -> UsageReport:
    """Report how Ratchet was used: messages, feedback, model calls, tokens and cost.

    Use it for "what did you cost this week", "how busy are the channels", "which models do we use".

    Args:
        days: Length of the window that ends now, 1 to 365.
    """
    context = runtime.context
    if not 1 <= days <= 365:
        raise ToolException(f"days must be 1 to 365, not {days}.")
    since, until = context.now - timedelta(days=days), context.now
    async with context.database.connection() as conn:
        by_channel = await usage.sum_channels(conn, context.viewer, since, until)
        by_module = await usage.sum_modules(conn, context.viewer.team_id, since, until)
        by_model = await usage.sum_models(conn, context.viewer.team_id, since, until)
    return UsageReport(
        start_date=since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        end_date=until.strftime("%Y-%m-%dT%H:%M:%SZ"),
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
