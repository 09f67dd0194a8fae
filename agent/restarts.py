"""A retry that goes on after a crash or an approval, and may not use any more what it began with, starts anew.

The graph resumes with the messages that the first attempt stored, whatever it is given. So where what a retry may use
was decided otherwise since, its checkpoints go, and with them its open requests for approval.
"""

from __future__ import annotations

import structlog

from agent import endings
from agent.forks import BEGUN, Fork, thread_id
from agent.graph import Graph
from agent.question import Question
from storage import purges
from storage.db import Database
from storage.leases import hold

log = structlog.get_logger()
WHY = "what it rests on may not be used any more"


async def restart(graph: Graph, database: Database, question: Question, begun: Fork | None) -> None:
    """Have a retry start anew where it began with something else than ``begun``; else it resumes.

    Raises:
        LeaseLost: another worker took the thread; nothing was deleted.
    """
    turn = question.turn
    state = await graph.aget_state({"configurable": {"thread_id": thread_id(turn.thread_key, turn.turn_id)}})
    if state.metadata is None:
        return
    own = [message for message in state.values.get("messages", []) if message.id == str(turn.turn_id)]
    if own and own[0].additional_kwargs.get(BEGUN) == (begun.kind if begun else None):
        return
    async with database.connection() as conn, conn.transaction():
        await hold(conn, question.lease)
        await purges.delete_checkpoints(conn, [thread_id(turn.thread_key, turn.turn_id)])
        await endings.end_requests(conn, question, WHY)
    log.info("retry starts anew", turn_id=str(turn.turn_id))
