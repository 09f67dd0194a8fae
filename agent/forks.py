"""Answering again from where an earlier turn stood before its answer: its tool results kept, a correction added.

The new turn is a LangGraph thread of its own, which begins with the messages of the old one's last checkpoint, without
its answer. What was found for somebody else is not used, nor what the requester may not see any more; and after some
days the checkpoints are gone. Then the question is asked anew, with the correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from uuid import UUID

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

import prompts
from agent.graph import Graph
from agent.repair import complete
from storage import retries
from storage.access import Viewer
from storage.db import Database
from storage.retries import Retried
from storage.turns import Turn

BEGUN = "begun"  # of a retry's correction: KEPT, or why nothing that was found before stands in front of it
KEPT = "kept"


@dataclass(frozen=True)
class Fork:
    """What a retry begins with.

    Attributes:
        retried: the turn whose answer is to be corrected.
        messages: the new turn's first messages; the last one is the correction.
        reason: why nothing that was found then is used; empty where it is.
    """

    retried: Retried
    messages: list[AnyMessage]
    reason: str = ""

    @property
    def replaced(self) -> frozenset[UUID]:
        """The turns that the history is shown without: it begins with them, or they show what may not be seen."""
        return frozenset() if self.reason and self.retried.is_visible else frozenset(self.retried.chain)


async def fork(graph: Graph, database: Database, turn: Turn, viewer: Viewer, *, reason: str = "") -> Fork | None:
    """What a retry begins with; None where the turn that it is about is gone.

    Memberships must be fresh: they decide what may be used. Where an earlier attempt began anew, for a ``reason``, so
    does this one.
    """
    if turn.retry_of is None:
        return None
    async with database.connection() as conn:
        retried = await retries.find(conn, viewer, turn.retry_of)
    if retried is None or retried.is_erased:
        return None
    if not reason and retried.requester_id != turn.requester_id:
        reason = "It rests on what was found for somebody else, so I looked everything up anew."
    elif not reason and not retried.is_visible:
        reason = "It rests on what may not be shown to you here now, so I looked everything up anew."
    found = [] if reason else await _found(graph, turn, retried.turn_id)
    if not (reason or found):
        reason = "What was found for it is not kept any more, so I looked everything up anew."
    if reason:
        text = prompts.render("retry_anew", question=retried.question, correction=turn.question)
        async with database.connection() as conn:
            await retries.inherit_question(conn, retried.turn_id, turn.turn_id)
    else:
        text = prompts.render("retry", answer=retried.answer or "(none)", correction=turn.question)
        async with database.connection() as conn:
            await retries.inherit_sources(conn, retried.turn_id, turn.turn_id)
    if retried.is_reset:  # what was said in the thread before the first question stays behind
        asked = str(retried.chain[-1])
        found = [HumanMessage(retried.first_question, id=asked) if m.id == asked else m for m in found]
    begun = Fork(retried, [*found], reason)
    begun.messages.append(HumanMessage(text, id=str(turn.turn_id), additional_kwargs={BEGUN: reason or KEPT}))
    return begun


def thread_id(thread_key: str, turn_id: UUID) -> str:
    """The name of a turn's checkpoints."""
    return f"{thread_key}#{turn_id}"


async def _found(graph: Graph, turn: Turn, retried: UUID) -> list[AnyMessage]:
    """The messages of a turn without its answer; once they are gone, as its retry has begun with them."""
    messages = complete(await _messages(graph, turn, retried))
    while messages and isinstance(messages[-1], AIMessage) and not messages[-1].tool_calls:
        messages.pop()
    if messages:
        return messages
    return list(takewhile(lambda message: message.id != str(turn.turn_id), await _messages(graph, turn, turn.turn_id)))


async def _messages(graph: Graph, turn: Turn, of: UUID) -> list[AnyMessage]:
    config: RunnableConfig = {"configurable": {"thread_id": thread_id(turn.thread_key, of)}}
    messages: list[AnyMessage] = (await graph.aget_state(config)).values.get("messages", [])
    return messages
