"""Builds the ReAct graph, once per process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

import langsmith
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langsmith.utils import tracing_is_enabled

from agent.context import TurnContext
from agent.gate import Gate
from agent.middleware import ModelCalls
from tools.registry import CatalogueEntry

Graph = CompiledStateGraph[Any, TurnContext, Any, Any]


def build_graph(
    model: BaseChatModel,
    catalogue: list[CatalogueEntry],
    *,
    model_calls: ModelCalls,
    gate: Gate,
    checkpointer: BaseCheckpointSaver[Any],
) -> Graph:
    """The agent: model, tools, the wrapper of model calls, and the gate around every tool call."""
    if not tracing_is_enabled():
        langsmith.set_runtime_overrides(aio_to_thread=_stay)
    return create_agent(
        model,
        [entry.tool for entry in catalogue],
        middleware=[model_calls, gate],
        context_schema=TurnContext,
        checkpointer=checkpointer,
        name="ratchet",
    )


async def _stay(
    default: Callable[..., Awaitable[Any]], context: Context, func: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Run the bookkeeping of LangSmith's spans here.

    create_agent wraps every middleware in a span. Without tracing a span does nothing, but by default it goes to
    a thread and back for that, twice a call.
    """
    return context.run(func, *args, **kwargs)
