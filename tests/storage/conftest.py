"""Turns as they stand in the database when they are over, or while they run."""

from uuid import uuid4

import pytest

from storage import conversations, effects, leases, posts, sources, turns
from storage.sources import Source


class Turns:
    """Stores turns; their conversation, answer, post and effect say ``answer``."""

    def __init__(self, database):
        self.database = database

    async def __call__(
        self, thread_ts="100.000001", ts=None, *, channel="C1", user="U1", question="why?", answer="", shown=(),
        over=True, posted=None, source="mention",
    ):  # fmt: skip
        """A turn; ``shown`` are (channel id, ts), ``posted`` is the ts of its answer in Slack."""
        turn_id = uuid4()
        new = turns.NewTurn(turn_id, "T1", channel, thread_ts, ts or thread_ts, user, source, question)
        async with self.database.connection() as conn:
            await turns.insert(conn, new)
            await turns.begin(conn, turn_id)
            await sources.record(conn, [Source(turn_id, "T1", *key) for key in shown])
        if over:
            await self.finish(turn_id, answer, posted)
        return turn_id

    async def finish(self, turn_id, answer, posted=None):
        """End a turn, as the runner, the gate and the outbox do."""
        async with self.database.connection() as conn:
            turn = await turns.get(conn, turn_id)
            lease = await leases.take(conn, turn.thread_key)
            call = {"name": "search_messages", "args": {"query": answer}, "id": "c1", "type": "tool_call"}
            said = [
                {"type": "human", "data": {"content": f"{answer} {turn.question}", "type": "human"}},
                {"type": "ai", "data": {"content": "", "type": "ai", "tool_calls": [call]}},
                {"type": "tool", "data": {"content": answer, "type": "tool", "tool_call_id": "c1"}},
                {"type": "ai", "data": {"content": answer, "type": "ai"}},
            ]
            place = {"channel_id": turn.channel_id, "thread_ts": turn.thread_ts}
            async with conn.transaction():
                await conversations.append(conn, lease, turn_id, said, seen_upto_ts=turn.message_ts)
                await turns.finish(conn, lease, turn_id, answer=answer)
                if posted:
                    post = await posts.insert(conn, turn_id=turn_id, part=1, text=answer, module="agent", **place)
                    await posts.set_posted(conn, post, posted)
            await effects.intend(conn, lease, turn_id, "c1", "note")
            await effects.settle(conn, turn_id, "c1", answer)


@pytest.fixture
def turn(database):
    """Stores turns of T1."""
    return Turns(database)
