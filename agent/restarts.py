"""What a retry begins with, the same at each of its attempts: a crash or an approval may come in between.

The graph resumes with the messages that the first attempt stored, whatever it is given. A retry that began anew goes
on so, whatever could be used by now. One that began with what was found before, and may not use that any more, starts
anew: its checkpoints go, and with them its open requests for approval. It is told what it did until then.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

import prompts
from agent import endings
from agent.errors import MembersUnknown
from agent.forks import BEGUN, KEPT, Fork, fork, thread_id
from agent.graph import Graph
from agent.question import Question
from storage import effects, purges
from storage.access import Viewer
from storage.db import Database
from storage.effects import Effect
from storage.leases import hold

log = structlog.get_logger()
WHY = "what it rests on may not be used any more"


async def begin_retry(
    graph: Graph, database: Database, question: Question, viewer: Viewer, *, is_fresh: bool
) -> Fork | None:
    """What a retry begins with, or began with; None where the turn that it is about is gone.

    Args:
        graph: where the turns' steps are.
        database: the pool.
        question: the retry.
        viewer: who asks, and where.
        is_fresh: whether Slack told which channels they may read.

    Raises:
        MembersUnknown: it would have to start anew, but perhaps only because Slack did not tell.
        LeaseLost: another worker took the thread; nothing was deleted.
    """
    turn = question.turn
    thread = thread_id(turn.thread_key, turn.turn_id)
    state = await graph.aget_state({"configurable": {"thread_id": thread}})
    first = next((each for each in state.values.get("messages", []) if each.id == str(turn.turn_id)), None)
    before = first.additional_kwargs.get(BEGUN) if first else None
    begun = await fork(graph, database, turn, viewer, reason=before if before and before != KEPT else "")
    is_new = state.metadata is None and turn.attempts == 1
    if is_new or (first and (before != KEPT or (begun and not begun.reason))):
        return begun
    if first and begun and not is_fresh:
        raise MembersUnknown(f"Slack did not tell which channels {turn.requester_id} may read")
    async with database.connection() as conn, conn.transaction():
        await hold(conn, question.lease)
        await purges.delete_checkpoints(conn, [thread])
        await endings.end_requests(conn, question, WHY)
        ledger = await effects.close(conn, turn.turn_id)
    log.info("retry starts anew", turn_id=str(turn.turn_id))
    return _told(begun, ledger)


def _told(begun: Fork | None, ledger: Sequence[Effect]) -> Fork | None:
    """What a retry begins with, and that an earlier attempt made calls with an effect."""
    if begun and ledger:
        correction = begun.messages[-1]
        done = prompts.render("retry_done", calls=", ".join(sorted({effect.tool for effect in ledger})))
        begun.messages[-1] = correction.model_copy(update={"content": f"{correction.text}\n\n{done}"})
    return begun
