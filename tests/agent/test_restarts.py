"""A retry that is attempted again uses what it began with, unless that may not be used any more."""

from dataclasses import replace

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool

from agent.errors import MembersUnknown
from storage import leases, sources, turns
from storage.sources import Source
from tests.agent.conftest import Quiet, call, this_turn


class Slack(Quiet):
    """Members of which Slack may not tell."""

    is_away = False

    async def refresh(self, team_id, user_id):
        return not self.is_away


@pytest.fixture
async def retry(arrange, database, memory):
    """A retry of an answer that showed a private channel, whose worker dies after its first tool call."""
    await memory.channel("C1", "im", user_id="U1")
    await memory.channel("C2", "private")

    class Retry:
        def __init__(self):
            self.runs = []
            self.dies = False
            self.slack = Slack()

        async def begin(self):
            @tool(extras={"effect": "post"})
            async def tell() -> str:
                """Tell."""
                self.runs.append("told")
                return "told"

            def answer(messages):
                new = this_turn(messages)
                if "after these calls: tell." in messages[-1].text:
                    return AIMessage("not again")
                if "shorter" in messages[-1].text:
                    return call("tell")
                if isinstance(messages[-1], ToolMessage) and self.dies:
                    self.dies = False
                    return RuntimeError("the worker is gone")
                return AIMessage("told" if new else "first")

            self.runner, self.model, question = arrange(answer, extra=(tell,))
            first = await question("which code?")
            await self.runner.answer(first, self.slack, self.slack)
            async with database.connection() as conn:
                await sources.record(conn, [Source(first.turn.turn_id, "T1", "C2", "50.0")])
            self.asked = await question("shorter")
            async with database.connection() as conn:
                await conn.execute(
                    "update turns set source = 'retry', retry_of = %s where turn_id = %s",
                    (first.turn.turn_id, self.asked.turn.turn_id),
                )
            self.dies = True
            with pytest.raises(RuntimeError):
                await self.go_on()
            assert self.runs == ["told"]

        async def go_on(self):
            async with database.connection() as conn:
                turn = await turns.begin(conn, self.asked.turn.turn_id)
                lease = await leases.take(conn, turn.thread_key)
            asked = replace(self.asked, turn=turn, lease=lease)
            return await self.runner.answer(asked, self.slack, self.slack)

        async def leave(self):
            async with database.connection() as conn:
                await conn.execute("delete from memberships")

    return Retry()


async def test_one_that_began_anew_goes_on_so_although_what_was_found_may_be_used_now(retry, memory):
    await retry.begin()
    await memory.member("U1", "C2")
    answer = await retry.go_on()
    assert "what may not be shown to you here now" in answer and retry.runs == ["told"]


async def test_one_that_uses_what_was_found_goes_on_with_it(retry, memory):
    await memory.member("U1", "C2")
    await retry.begin()
    answer = await retry.go_on()
    assert "anew" not in answer and retry.runs == ["told"]


async def test_while_slack_does_not_tell_who_may_read_what_it_neither_goes_on_nor_starts_anew(retry, memory):
    await memory.member("U1", "C2")
    await retry.begin()
    await retry.leave()  # as far as is known
    retry.slack.is_away = True
    with pytest.raises(MembersUnknown):
        await retry.go_on()
    retry.slack.is_away = False
    await memory.member("U1", "C2")
    answer = await retry.go_on()
    assert "anew" not in answer and retry.runs == ["told"]


async def test_one_that_died_again_before_its_first_step_still_knows_what_it_did(retry, database, memory):
    await retry.begin()
    async with database.connection() as conn:
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            await conn.execute(f"delete from {table}")
    await retry.go_on()
    assert retry.runs == ["told"]


async def test_one_that_may_not_use_any_more_what_was_found_starts_anew_and_knows_what_it_did(retry, memory):
    await memory.member("U1", "C2")
    await retry.begin()
    await retry.leave()
    answer = await retry.go_on()
    assert "what may not be shown to you here now" in answer and retry.runs == ["told"]
