"""Limits of a turn, and models that fail."""

from dataclasses import replace

import pytest
from langchain_core.messages import AIMessage

from agent.question import Limits
from storage import turns
from tests.agent.conftest import Quiet, call, stored


@pytest.mark.parametrize("limits", [Limits(model_calls=4), Limits(tool_calls=3), Limits(turn_seconds=0.001)])
async def test_a_model_that_never_stops_is_asked_once_without_tools(arrange, limits):
    def answer(messages):
        return (
            AIMessage("I stopped at a limit.") if "reached the limit" in messages[-1].text else call("lookup", word="x")
        )

    runner, model, question = arrange(answer, limits=limits)
    asked, reply = await question("loop"), Quiet()
    assert await runner.answer(asked, reply, reply) == "I stopped at a limit."
    assert len(model.seen) <= limits.model_calls


async def test_even_a_model_that_ignores_the_limit_ends(arrange):
    runner, _, question = arrange(lambda _: call("lookup", word="x"), limits=Limits(model_calls=3))
    asked, reply = await question("loop"), Quiet()
    assert "stopped at a limit" in await runner.answer(asked, reply, reply)


class Overloaded(Exception):
    status_code = 503


class Unauthorised(Exception):
    status_code = 401


async def test_a_failing_model_is_tried_again_and_every_try_is_recorded(arrange, database):
    failures = [Overloaded("busy"), AIMessage(""), AIMessage("at last")]
    runner, _, question = arrange(lambda _: failures.pop(0), tries=4)
    asked, reply = await question("hello"), Quiet()
    assert await runner.answer(asked, reply, reply) == "at last"
    async with database.connection() as conn:
        errors = await (await conn.execute("select error from model_usage order by usage_id")).fetchall()
    assert errors == [("HTTP 503: busy",), ("an empty answer",), (None,)]


@pytest.mark.parametrize(
    ("error", "tries", "says"), [(Overloaded("busy"), 3, "3 tries"), (Unauthorised("no"), 1, "refuses")]
)
async def test_a_model_that_stays_away_is_told_to_the_user(arrange, database, error, tries, says):
    runner, model, question = arrange(lambda _: error, tries=3)
    asked, reply = await question("hello"), Quiet()
    assert says in await runner.answer(asked, reply, reply) and reply.posted and says in reply.posted[0]
    assert len(model.seen) == tries and (await stored(database, asked.turn.turn_id)).status == "failed"


async def test_time_limit_counts_from_the_turns_first_start(arrange, database):
    runner, _, question = arrange(lambda messages: AIMessage("limit" if "limit" in messages[-1].text else "plain"))
    asked, reply = await question("hello"), Quiet()
    async with database.connection() as conn:
        await conn.execute("update turns set started_at = now() - interval '11 minutes'")
        turn = await turns.begin(conn, asked.turn.turn_id)
    late = replace(asked, turn=turn)
    assert await runner.answer(late, reply, reply) == "limit"
