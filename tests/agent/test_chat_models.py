"""A channel's own model and language: who is asked, what is said, and under which name it is recorded."""

from dataclasses import replace

import pytest
from langchain_core.messages import AIMessage

from agent.question import Limits
from agent.redaction import Redactor
from agent.retries import ModelCaller, Price
from agent.runner import Runner
from tests.agent.conftest import Quiet, Scripted, call, lookup, this_turn
from tools.registry import build_catalogue


@pytest.fixture
async def models(database, arrange):
    """A runner over scripted models by name, of which ``costly`` has a price; returns a way to ask."""
    built = {}
    _, _, question = arrange(lambda messages: AIMessage("unused"))

    def answer(messages):
        return AIMessage("done") if this_turn(messages) else call("lookup", word="x")

    def build(name):
        assert name not in built, "each model is built once"
        built[name] = Scripted(answer=answer, seen=[], tools=[])
        return built[name]

    caller = ModelCaller(
        database,
        model="plain",
        tries=2,
        prices={"costly": Price(1_000_000, 0)},
        redactor=Redactor(),
        wait=lambda _: 0.0,
    )
    runner = Runner(
        database,
        build("plain"),
        build_catalogue([("test", lookup)]),
        caller=caller,
        limits=Limits(history_tokens=600, keep_turns=1),
        redactor=Redactor(),
        build_model=build,
    )

    async def ask(text="why?", **channel):
        reply = Quiet()
        asked = replace(await question(text), allowed_tools=frozenset({"lookup"}), **channel)
        return await runner.answer(asked, reply, reply)

    return ask, built


async def recorded(database):
    async with database.connection() as conn:
        return await (
            await conn.execute(
                "select model, module, count(*), sum(cost) > 0 from model_usage group by 1, 2 order by 1, 2"
            )
        ).fetchall()


async def test_a_channels_own_model_answers_with_the_same_tools_and_is_recorded_by_its_name_and_price(models, database):
    ask, built = models
    assert [await ask(), await ask(model="costly"), await ask(model="costly")] == ["done"] * 3
    assert {name: len(model.seen) for name, model in built.items()} == {"plain": 2, "costly": 4}
    assert built["costly"].tools == ["lookup"]
    assert await recorded(database) == [("costly", "agent", 4, True), ("plain", "agent", 2, False)]


async def test_it_is_tried_again_and_it_summarises_too(models, database):
    ask, built = models
    for _ in range(3):
        await ask("x" * 1500, model="costly")
    assert built["plain"].seen == []
    assert ("costly", "compaction", 1, True) in await recorded(database)
    built["costly"].answer = lambda messages: AIMessage("")
    assert "costly gave no answer in 2 tries" in await ask(model="costly")


async def test_the_system_prompt_asks_for_the_channels_language(models):
    ask, built = models
    await ask()
    await ask(language="German")
    first, second = built["plain"].seen[0][0].text, built["plain"].seen[2][0].text
    assert "Answer in the language of the question." in first
    assert "Answer in German, in whatever language you are asked." in second
