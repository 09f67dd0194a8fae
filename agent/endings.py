"""The end of a turn without its answer: somebody stopped it, or it failed.

It says what was done until then, and what it might still have done does not happen. Of a turn that was stopped, what
was said and found stays in its conversation; one that failed leaves nothing there.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, message_to_dict

from agent import asides
from agent.approvals import details
from agent.context import Reply
from agent.middleware import taken_in
from agent.question import Question
from agent.redaction import Redactor
from agent.repair import complete
from storage import approvals, audit, conversations, effects, steering, turns
from storage.db import Connection, Database
from storage.effects import Effect
from storage.leases import hold
from storage.steering import Added
from storage.turns import Outcome

WHY_STOPPED = "the turn was stopped"
WHY_FAILED = "the turn failed"


async def record(
    database: Database,
    question: Question,
    reply: Reply,
    redactor: Redactor,
    *,
    notice: str = "",
    error: str | None = None,
    messages: Sequence[AnyMessage] = (),
) -> str:
    """Record in one transaction that a turn ended without its answer; returns what is said about it.

    Its open requests for approval end, and calls with an effect that were cut off count as unknown. One that failed
    after somebody stopped it counts as stopped: whatever else the stop ended relies on its word.

    Args:
        database: the pool.
        question: the turn's.
        reply: where what is said is posted.
        redactor: of what the turn took in.
        notice: what is said of a failure.
        error: what failed; None: the turn was stopped.
        messages: its own; of a turn that was stopped they are kept.

    Raises:
        LeaseLost: another worker took the thread; nothing was recorded.
    """
    turn, lease = question.turn, question.lease
    async with database.connection() as conn, conn.transaction():
        await hold(conn, lease)
        stopped_by = await steering.stopped_by(conn, turn.turn_id) or question.signals.stopped_by
        ledger = await effects.close(conn, turn.turn_id)
        added = await steering.list_taken_in(conn, turn.turn_id)
        is_stopped = stopped_by is not None or error is None
        text = asides.ended(asides.stopped(stopped_by or "") if is_stopped else notice, ledger)
        if line := asides.taken_in([message.question for message in added]):
            text = f"{text}\n\n{redactor.clean(line)}"
        if not await turns.finish(conn, lease, turn.turn_id, answer=text, error=error, stopped=is_stopped):
            return text
        if messages:
            ended = [message_to_dict(message) for message in halted(messages, added, ledger, text)]
            await conversations.append(conn, lease, turn.turn_id, ended, seen_upto_ts=turn.message_ts or "0")
        await end_requests(conn, question, WHY_STOPPED if is_stopped else WHY_FAILED)
        await reply.record(conn, Outcome(text, failed=True))
    return text


async def end_requests(conn: Connection, question: Question, why: str) -> None:
    """Inside a transaction: end a turn's requests for approval, and have their messages say so."""
    for approval in await approvals.void_all(conn, question.turn.turn_id, why):
        if question.approving:
            await question.approving.tell(conn, approval)
        await audit.record(
            conn, who=approval.decided_by or "ratchet", action="approval_void", details=details(approval)
        )


def halted(
    messages: Sequence[AnyMessage], added: Sequence[Added], ledger: Sequence[Effect], note: str
) -> list[AnyMessage]:
    """What stays of a turn that was stopped: its calls with their results, all that people said, and the note."""
    results = {effect.tool_call_id: effect.result or "" for effect in ledger if effect.state == "done"}
    held = {message.id for message in messages}
    said = [taken_in(message) for message in added if str(message.turn_id) not in held]
    return [*complete(messages, results), *said, AIMessage(note)]
