"""The end of a turn that somebody stopped: what it did until then stays, and what it might still have done does not."""

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

WHY = "the turn was stopped"


async def record(
    database: Database, question: Question, reply: Reply, messages: Sequence[AnyMessage], redactor: Redactor
) -> str:
    """Record in one transaction that a turn was stopped; returns what is said about it.

    Its open requests for approval end, and calls with an effect that were cut off count as unknown.

    Raises:
        LeaseLost: another worker took the thread; nothing was recorded.
    """
    turn, lease = question.turn, question.lease
    async with database.connection() as conn, conn.transaction():
        await hold(conn, lease)
        ledger = await effects.close(conn, turn.turn_id)
        added = await steering.list_taken_in(conn, turn.turn_id)
        text = asides.stopped(turn.stopped_by or question.signals.stopped_by or "", ledger)
        if line := asides.taken_in([message.question for message in added]):
            text = f"{text}\n\n{redactor.clean(line)}"
        ended = [message_to_dict(message) for message in halted(messages, added, ledger, text)]
        await conversations.append(conn, lease, turn.turn_id, ended, seen_upto_ts=turn.message_ts or "0")
        await end_requests(conn, question, WHY)
        await turns.finish(conn, lease, turn.turn_id, answer=text, stopped=True)
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
