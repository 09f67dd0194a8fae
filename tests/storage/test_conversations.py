"""A thread's conversation is read without all that was ever said in it."""

from uuid import uuid4

import pytest

from storage import conversations, leases
from storage.access import Viewer

KEY = "T1:C1:1.0"


class Explaining:
    """A connection that explains statements instead of running them."""

    def __init__(self, conn):
        self._conn = conn
        self.plan = ""

    async def execute(self, statement, params=None):
        cur = await self._conn.execute(f"explain {statement}", params)
        self.plan = "\n".join(line for (line,) in await cur.fetchall())
        return await self._conn.execute("select 0, 0")


@pytest.fixture
async def conn(database):
    """Of a database with a long thread of few tool calls, whose highest reference is e41."""
    async with database.connection() as opened:
        lease = await leases.take(opened, KEY)
        said = [{"type": "human", "data": {"content": "why? " * 50}}] * 50
        for number in range(40):
            found = {"type": "tool", "data": {"additional_kwargs": {"reference": f"e{41 - number}"}}}
            async with opened.transaction():
                await conversations.append(opened, lease, uuid4(), [*said, found], seen_upto_ts="1.0")
        await opened.execute("analyze conversation_messages")
        yield opened


async def test_the_highest_reference_of_a_thread_is_read_off_an_index(conn):
    assert await conversations.last_reference(conn, KEY) == 41
    assert await conversations.last_reference(conn, "T1:C1:2.0") == 0
    explaining = Explaining(conn)
    await conversations.last_reference(explaining, KEY)
    assert "conversation_messages_references" in explaining.plan


async def test_the_turns_that_called_tools_are_read_off_an_index(conn):
    viewer = Viewer("T1", "U1", "C1", audience="workspace")
    assert await conversations.closed_turns(conn, KEY, viewer) == {}
    explaining = Explaining(conn)
    await conversations.closed_turns(explaining, KEY, viewer)
    assert "Index Only Scan using conversation_messages_tools" in explaining.plan
