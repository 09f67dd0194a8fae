"""What a turn was shown is written down by code, with the step that shows it, whatever the model does."""

import asyncio
from dataclasses import replace

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.errors import NodeCancelledError

from storage import messages
from storage.access import Viewer
from tests.agent.conftest import Quiet, call, this_turn
from tools.hits import shown_messages

LINK = "https://acme.slack.com/archives/C1/p1700000000000100"


@tool(extras={"effect": "read"})
async def show(link: str) -> dict[str, str]:
    """Show a message."""
    return {"text": "password=hunter22 " + "x" * 100_000, "permalink": link}


async def shown(database):
    async with database.connection() as conn:
        return await (
            await conn.execute("select turn_id, team_id, channel_id, ts from turn_sources order by ts")
        ).fetchall()


async def test_what_a_tool_shows_is_noted_before_the_next_step_though_the_model_sees_less(arrange, database):
    noted = []

    def answer(messages):
        new = this_turn(messages)
        if not new:
            return call("show", link=LINK)
        noted.append("permalink" in new[-1].text)
        return call("peek") if len(new) == 2 else AIMessage("done")

    @tool(extras={"effect": "read"})
    async def peek() -> str:
        """Look at what is noted."""
        noted.append(await shown(database))
        return "looked"

    runner, _, question = arrange(answer, extra=(show, peek))
    asked, reply = await question("go"), Quiet()
    await runner.answer(asked, reply, reply)
    assert noted[0] is False  # cut off before the permalink
    assert noted[1] == [(asked.turn.turn_id, "T1", "C1", "1700000000.000100")]


async def test_what_a_cut_off_run_was_shown_is_noted(arrange, database):
    @tool(extras={"effect": "read"})
    async def stuck(step: int) -> str:
        """Never return."""
        raise asyncio.CancelledError

    runner, _, question = arrange(
        lambda messages: call("stuck", step=1) if this_turn(messages) else call("show", link=LINK), extra=(show, stuck)
    )
    asked, reply = await question("go"), Quiet()
    with pytest.raises(NodeCancelledError):
        await runner.answer(asked, reply, reply)
    assert len(await shown(database)) == 1


async def test_what_stood_in_the_thread_is_noted_once_for_the_turn_that_first_saw_it(arrange, database, memory):
    runner, _, question = arrange(lambda _: AIMessage("fine"))
    await memory.say("it is slow", ts="99.000001", thread_ts="100.000001")
    async with database.connection() as conn:
        thread = await messages.read_thread(conn, Viewer("T1", "U1", "C1"), "C1", "100.000001", limit=10)
    turns = []
    for ts in ("101.000001", "102.000001"):
        asked, reply = replace(await question("so?", ts=ts), thread=thread), Quiet()
        await runner.answer(asked, reply, reply)
        turns.append(asked.turn.turn_id)
    assert await shown(database) == [(turns[0], "T1", "C1", "99.000001")]


async def test_a_link_that_a_tool_was_given_counts_whatever_it_returns(arrange, database):
    @tool(extras={"effect": "read"})
    async def judge(link: str) -> str:
        """Judge a message."""
        return "bad words"

    runner, _, question = arrange(
        lambda messages: AIMessage("done") if this_turn(messages) else call("judge", link=LINK), extra=(judge,)
    )
    asked, reply = await question("go"), Quiet()
    await runner.answer(asked, reply, reply)
    assert len(await shown(database)) == 1


async def test_a_name_that_the_model_invents_for_a_tool_is_not_kept_in_the_audit_log(arrange, database):
    runner, _, question = arrange(
        lambda messages: AIMessage("done") if this_turn(messages) else call("the launch code is 7")
    )
    asked, reply = await question("go"), Quiet()
    await runner.answer(asked, reply, reply)
    async with database.connection() as conn:
        rows = await (await conn.execute("select action, details ->> 'tool' from audit_logs")).fetchall()
    assert rows == [("tool_unknown", "(unknown)")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"see {LINK}?thread_ts=1700000000.000001&cid=C1", {("C1", "1700000000.000100")}),
        (f'{{"a": "{LINK}", "b": "{LINK}"}}', {("C1", "1700000000.000100")}),
        ("https://acme.slack.com/archives/C1", set()),
        ("", set()),
    ],
)
def test_permalinks_are_found_in_any_text(text, found):
    assert shown_messages(text) == found
