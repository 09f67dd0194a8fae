"""The model and the tool that every subject is measured with: no latency of their own, realistic sizes."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

QUESTION_CHARS = 150
RESULT_CHARS = 1000
ANSWER_CHARS = 500
SUMMARY_CHARS = 1500
TOOL_CALLS = 2
VOCABULARY = [
    "alert",
    "pod",
    "node",
    "queue",
    "latency",
    "replica",
    "payments",
    "checkout",
    "gateway",
    "restarted",
    "evicted",
    "throttled",
    "disk",
    "memory",
    "cpu",
    "quota",
    "deploy",
    "rollback",
    "canary",
    "region",
    "cluster",
    "shard",
    "primary",
    "follower",
    "lag",
    "timeout",
    "retry",
    "backlog",
    "consumer",
    "offset",
    "partition",
    "broker",
    "certificate",
    "expired",
    "rotated",
    "secret",
    "token",
    "refused",
    "handshake",
    "resolved",
    "firing",
    "silenced",
    "paged",
    "escalated",
    "runbook",
    "threshold",
    "percentile",
    "budget",
    "burn",
    "saturation",
    "errors",
    "requests",
    "connections",
    "pool",
    "exhausted",
    "leader",
    "election",
    "heartbeat",
    "missed",
    "snapshot",
    "restore",
    "vacuum",
    "index",
    "bloat",
    "lock",
    "deadlock",
    "migration",
    "schema",
]


def text(seed: object, chars: int) -> str:
    """Varied words, the same ones for the same seed, cut to ``chars`` characters."""
    chosen = random.Random(str(seed))
    words: list[str] = []
    size = 0
    while size <= chars:
        words.append(f"{chosen.choice(VOCABULARY)}-{chosen.randrange(10_000)}")
        size += len(words[-1]) + 1
    return " ".join(words)[:chars]


class FakeModel(BaseChatModel):
    """Calls ``lookup`` twice, one call after the other, then answers; without tools it only answers."""

    latency: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "fake"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Remember that there are tools, without converting them for a server."""
        return self.bind(tools=[{"name": "lookup"}])

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        # LangChain insists on this method; what is measured calls the asynchronous one only.
        raise NotImplementedError("only asynchronous calls are measured")

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if self.latency:
            await asyncio.sleep(self.latency)
        answer = _answer(messages) if kwargs.get("tools") else AIMessage(text(len(messages[-1].text), SUMMARY_CHARS))
        return ChatResult(generations=[ChatGeneration(message=answer)])


def _answer(messages: list[BaseMessage]) -> AIMessage:
    asked = max(index for index, message in enumerate(messages) if isinstance(message, HumanMessage))
    question = messages[asked].text
    done = sum(isinstance(message, AIMessage) for message in messages[asked:])
    usage: Any = {"input_tokens": 1200, "output_tokens": 120, "total_tokens": 1320}
    if done >= TOOL_CALLS:
        return AIMessage(text(question, ANSWER_CHARS), usage_metadata=usage)
    call = {
        "name": "lookup",
        "args": {"word": f"{question[:20]} {done}"},
        "id": f"call_{uuid4().hex[:24]}",
        "type": "tool_call",
    }
    return AIMessage("", tool_calls=[call], usage_metadata=usage)


@tool(parse_docstring=True, extras={"effect": "read"})
async def lookup(word: str) -> str:
    """Look a word up.

    Args:
        word: the word.
    """
    return text(word, RESULT_CHARS)
