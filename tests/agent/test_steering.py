"""A turn is stopped between two steps, and what it takes in is kept through any crash, once."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from agent.asides import quoted
from agent.errors import ModelRefused
from agent.gate import Gate
from agent.runner import Runner
from agent.signals import Signals, Stopped
from storage import conversations, leases, steering, turns
from storage.steering import Seen
from storage.turns import NewTurn
from tests.agent.conftest import Quiet, call, stored


@pytest.fixture
def steer(arrange, database):
    """One turn, whose tool ``wait`` lets the test do something in its middle."""

    class Steer:
        def __init__(self):
            self.middle = self.die = None
            self.breaks = False
            self.effects = []

        async def begin(self):
            @tool(extras={"effect": "read"})
            async def wait() -> str:
                """Wait."""
                if self.middle:
                    await self.middle()
                return "waited"

            @tool(extras={"effect": "post"})
            async def tell() -> str:
                """Tell."""
                self.effects.append("told")
                return "told"

            def answer(messages):
                said = [m.text for m in messages if isinstance(m, HumanMessage)]
                if not any(isinstance(m, AIMessage) for m in messages):
                    return call("wait", "c1")
                if self.die and isinstance(messages[-1], HumanMessage):
                    self.die = False
                    return RuntimeError("the worker is gone")
                done = isinstance(messages[-1], ToolMessage)
                if self.breaks and said[-1] == "tell" and done:
                    return ModelRefused("The model refuses.")
                return call("tell", "c2") if said[-1] == "tell" and not done else AIMessage(" + ".join(said))

            self.runner, self.model, question = arrange(answer, extra=(wait, tell))
            self.asked = await question("first", ts="100.000010")
            return self

        async def run(self):
            turn = self.asked.turn
            async with database.connection() as conn:
                turn = await turns.begin(conn, turn.turn_id)
                lease = await leases.take(conn, turn.thread_key)
            self.signals = Signals(turn.turn_id, stopped_by=turn.stopped_by, has_news=turn.attempts > 2)
            self.reply = Quiet()
            asked = replace(self.asked, turn=turn, lease=lease, signals=self.signals)
            return await self.runner.answer(asked, self.reply, self.reply)

        async def say(self, text, *, ts="100.000020", user="U1", source="mention"):
            turn_id = uuid4()
            async with database.connection() as conn:
                await turns.insert(conn, NewTurn(turn_id, "T1", "C1", "100.000001", ts, user, source, text))
            self.signals.has_news = True  # as whoever watches the turn tells it
            return turn_id

        async def stop(self, user="U2"):
            async with database.connection() as conn, conn.transaction():
                return await steering.stop(
                    conn, team_id="T1", channel_id="C1", user_id=user, thread_ts="100.000001", before=None
                )

    return Steer()


async def test_a_crash_between_taking_in_and_the_checkpoint_keeps_the_message_once(steer, database):
    await steer.begin()
    added = []

    async def middle():
        added.append(await steer.say("second"))

    steer.middle, steer.die = middle, True
    with pytest.raises(RuntimeError):
        await steer.run()
    assert (await stored(database, added[0])).status == "merged", "it was given to the turn"
    steer.middle = None
    assert (await steer.run()).endswith("first + second")
    assert steer.reply.posted == ["> Taken in: “second”\n\nfirst + second"]
    async with database.connection() as conn:
        kept = await conversations.list_messages(conn, steer.asked.turn.thread_key, after_seq=0)
    assert [row.message["type"] for row in kept] == ["human", "ai", "tool", "human", "ai"]


async def test_only_what_its_requester_addressed_to_it_later_is_taken_in(steer, database):
    await steer.begin()
    others = []

    async def middle():
        for fields in (
            {"user": "U2", "ts": "100.000021"},
            {"ts": "100.000005"},
            {"source": "chat", "ts": "100.000022"},
        ):
            others.append(await steer.say("other", **fields))
        others.append(await steer.say("", ts="100.000023"))

    steer.middle = middle
    assert await steer.run() == "first"
    assert {(await stored(database, turn_id)).status for turn_id in others} == {"queued"}


async def test_nothing_is_looked_up_while_nothing_comes(steer, monkeypatch):
    async def never(*args):
        raise AssertionError("looked up")

    monkeypatch.setattr("storage.steering.take_in", never)
    await steer.begin()
    assert await steer.run() == "first"


async def test_a_stop_between_two_steps_is_seen_with_the_checkpoint(steer, database):
    await steer.begin()

    async def middle():
        assert await steer.stop()

    steer.middle = middle
    assert (await steer.run()).startswith("Stopped by <@U2>")
    assert len(steer.model.seen) == 1, "no watcher ran: the checkpoint told"
    assert (await stored(database, steer.asked.turn.turn_id)).status == "stopped"


async def test_an_effect_is_refused_in_the_ledger_where_the_stop_is_not_known_yet(steer, database, monkeypatch):
    await steer.begin()
    intend = Gate._intend

    async def late(*args):
        assert await steer.stop()  # pressed after every look at the turn
        return await intend(*args)

    monkeypatch.setattr(Gate, "_intend", late)

    async def middle():
        await steer.say("tell")

    steer.middle = middle
    assert (await steer.run()).startswith("Stopped by <@U2>")
    assert steer.effects == [] and "tell failed" in steer.reply.steps
    async with database.connection() as conn:
        assert await (await conn.execute("select count(*) from effects")).fetchall() == [(0,)]


async def test_what_an_unfinished_effect_may_have_done_is_said(steer, database):
    await steer.begin()
    await steer.stop()
    async with database.connection() as conn:
        await conn.execute(
            "insert into effects (turn_id, tool_call_id, tool, state, result) values (%(id)s, 'c1', 'tell', 'intent', "
            "null), (%(id)s, 'c2', 'page', 'done', 'paged')",
            {"id": steer.asked.turn.turn_id},
        )
    text = await steer.run()
    assert "Done by then: `page`." in text and "may or may not have happened: `tell`" in text
    assert not steer.model.seen
    async with database.connection() as conn:
        states = await (await conn.execute("select state from effects order by tool_call_id")).fetchall()
    assert states == [("unknown",), ("done",)]


async def test_a_stop_after_the_last_look_is_seen_where_the_answer_is_recorded(steer, database, monkeypatch):
    await steer.begin()
    beside, ground = [], Runner._ground

    async def middle():
        beside.append(await steer.say("second", user="U2"))

    steer.middle = middle

    async def late(*args):
        assert [marked.status for marked in await steer.stop()] == ["running"]
        return await ground(*args)

    monkeypatch.setattr(Runner, "_ground", late)
    assert (await steer.run()).startswith("Stopped by <@U2>")
    assert len(steer.reply.posted) == 1 and steer.reply.posted[0].startswith("Stopped by <@U2>")
    assert (await stored(database, steer.asked.turn.turn_id)).status == "stopped"
    assert (await stored(database, beside[0])).status == "stopped", "the other one's word is for both"
    async with database.connection() as conn:
        kept = await conversations.list_messages(conn, steer.asked.turn.thread_key, after_seq=0)
    assert [row.message["type"] for row in kept] == ["human", "ai", "tool", "ai", "ai"]


async def test_a_turn_that_fails_says_what_it_did_and_took_in(steer, database):
    await steer.begin()

    async def middle():
        await steer.say("tell")
        steer.breaks = True

    steer.middle = middle
    text = await steer.run()
    assert steer.effects == ["told"] and "Done by then: `tell`." in text and "Taken in: “tell”" in text
    turn = await stored(database, steer.asked.turn.turn_id)
    assert (turn.status, turn.answer) == ("failed", text) and steer.reply.posted == [text]
    async with database.connection() as conn:
        assert not await conversations.list_messages(conn, turn.thread_key, after_seq=0)


async def test_a_turn_that_fails_after_it_was_stopped_says_so_for_all_that_the_stop_ended(steer, database):
    await steer.begin()
    await steer.stop()
    text = await steer.runner.fail(steer.asked, Quiet(), notice="Sorry.", error="away")
    assert text == "Stopped by <@U2>. Ask again or go on here."
    assert (await stored(database, steer.asked.turn.turn_id)).status == "stopped"


async def test_an_outcome_that_another_worker_recorded_is_not_posted_again(steer, database):
    await steer.begin()
    await steer.run()
    stale, reply = replace(steer.asked, lease=await taken(database, steer.asked.turn.thread_key)), Quiet()
    assert stale.turn.status == "running"
    for again in (steer.runner.answer(stale, reply, reply), steer.runner.fail(stale, reply, notice="no", error="no")):
        await again
    assert reply.posted == []


async def taken(database, thread_key):
    async with database.connection() as conn:
        return await leases.take(conn, thread_key)


async def test_a_call_under_way_ends_with_the_stop_and_a_later_one_does_not_begin():
    signals, seen = Signals(), Seen(uuid4(), "U1", False)
    ended = []

    async def work():
        try:
            async with signals.until_stopped():
                await asyncio.sleep(30)
        except Stopped:
            ended.append("stopped")

    async with asyncio.timeout(5):
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        signals.tell(seen)
        await task
    assert ended == ["stopped"]
    with pytest.raises(Stopped):
        async with signals.until_stopped():
            raise AssertionError
    with pytest.raises(TimeoutError):
        async with Signals().until_stopped(), asyncio.timeout(0):
            await asyncio.sleep(1)


def test_words_are_quoted_in_one_line_and_mark_nothing_up():
    assert quoted("a\n> *b* [c](d)") == r"“a \> \*b\* \[c\](d)”"
    assert len(quoted("word " * 100)) <= 122
