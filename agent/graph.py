"""Builds the ReAct graph, once per process."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

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
    return create_agent(
        model,
        [entry.tool for entry in catalogue],
        middleware=[model_calls, gate],
        context_schema=TurnContext,
        checkpointer=checkpointer,
        name="ratchet",
    )
