"""References of results: given by the gate, shown to the model, kept in the thread."""

import asyncio

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import ToolException, tool
from langgraph.errors import NodeCancelledError

from agent import references
from agent.evidence import GENERAL, HYPOTHESIS, NOT_NOW
from agent.question import Limits
from storage import conversations, sources
from storage.sources import Source
from tests.agent.conftest import Quiet, call, stored, this_turn


@tool(extras={"effect": "read"})
async def broken() -> str:
    """Fail."""
    raise ToolException("it is broken")


@tool(extras={"effect": "read"})
async def lookup(word: str) -> str:
    """Look a word up."""
    return f"{word} is known"


def both(*calls):
    return AIMessage("", tool_calls=[each.tool_calls[0] for each in calls])


def heads(messages):
    """The first lines of the results that the model was shown."""
    return [message.text.split("\n")[0] for message in messages if isinstance(message, ToolMessage)]


async def test_each_result_that_succeeds_has_a_reference_of_its_own_in_the_thread(arrange, database):
    def answer(messages):
        if this_turn(messages):
            return AIMessage("The first is known [e1], the second not [e2], nor the third [e3].")
        return both(call("lookup", word="a"), call("broken"), call("lookup", word="b"))

    runner, model, question = arrange(answer, extra=(lookup, broken))
    for expected in (
        ["[e1]", "it is broken", "[e3]"],
        ["[e1]", "it is broken", "[e3]", "[e4]", "it is broken", "[e6]"],
    ):
        asked, reply = await question("go"), Quiet()
        text = await runner.answer(asked, reply, reply)
        assert heads(model.seen[-1]) == expected
        assert text == (
            "The first is known [1], the second not, nor the third [2].\n\n"
            "**Evidence**\n- [1] Running lookup(word: a)\n- [2] Running lookup(word: b)"
        )
    async with database.connection() as conn:
        kept = await conversations.list_messages(conn, asked.turn.thread_key, after_seq=0)
    assert kept[-1].message["data"]["content"] == "The first is known [e1], the second not [e2], nor the third [e3]."


async def test_a_call_that_is_run_again_has_the_reference_that_it_had(arrange):
    cut = True

    @tool(extras={"effect": "read"})
    async def slow(step: int) -> str:
        """Run a step."""
        if step == 2 and cut:
            raise asyncio.CancelledError
        return f"step {step} done"

    def answer(messages):
        done = len(this_turn(messages))
        return AIMessage("Both are done [e1, e2].") if done >= 4 else call("slow", step=1 + done // 2)

    runner, model, question = arrange(answer, extra=(slow,))
    asked, reply = await question("go"), Quiet()
    with pytest.raises(NodeCancelledError):
        await runner.answer(asked, reply, reply)
    cut = False
    assert (await runner.answer(asked, reply, reply)).startswith("Both are done [1, 2].")
    assert heads(model.seen[-1]) == ["[e1]", "[e2]"]


@pytest.mark.parametrize("how", ["reset", "closed"])
async def test_a_number_is_given_once_in_a_thread_even_if_its_result_is_shown_no_more(arrange, database, how):
    runner, model, question = arrange(
        lambda messages: AIMessage("I have looked.") if this_turn(messages) else call("lookup", word="a")
    )
    asked, reply = await question("go", ts="100.1"), Quiet()
    await runner.answer(asked, reply, reply)
    async with database.connection() as conn:
        if how == "reset":
            await conversations.reset(conn, asked.turn.thread_key, "100.2")
        else:
            await sources.record(conn, [Source(asked.turn.turn_id, "T1", "C9", "1.0")])
    for expected in (["[e2]"], ["[e2]", "[e3]"]):
        asked, reply = await question("go", ts=f"100.3{expected[-1][2]}"), Quiet()
        await runner.answer(asked, reply, reply)
        assert heads(model.seen[-1]) == expected


async def test_a_follow_up_can_rest_on_what_was_found_before(arrange):
    def answer(messages):
        if messages[-1].text == "go":
            return call("lookup", word="a")
        asked = [message.text for message in messages if message.type == "human"][-1]
        return AIMessage(
            {"go": "It is known [e1].", "sure?": "It is known, as found [e1]."}.get(asked, "It is so now.")
        )

    runner, _, question = arrange(answer)
    answers = []
    for text in ("go", "sure?", "and now?"):
        asked, reply = await question(text), Quiet()
        answers.append(await runner.answer(asked, reply, reply))
    assert answers[1] == "It is known, as found [1].\n\n**Evidence**\n- [1] Running lookup(word: a)"
    assert answers[2] == f"It is so now.\n\n{NOT_NOW}"


async def test_at_a_limit_the_answer_still_says_what_it_rests_on(arrange):
    def answer(messages):
        if "limit of this turn" in messages[-1].text:
            return AIMessage("I stopped at a limit. One word is known [e1]. The other is not known.")
        return call("lookup", word="a")

    runner, _, question = arrange(answer, limits=Limits(tool_calls=1))
    asked, reply = await question("go"), Quiet()
    text = await runner.answer(asked, reply, reply)
    assert text.startswith("I stopped at a limit. One word is known [1]. The other")
    assert text.endswith("**Evidence**\n- [1] Running lookup(word: a)")


async def test_an_answer_that_names_nothing_says_so_and_an_empty_one_is_none(arrange, database):
    words = {"a": "Postgres keeps a log of all changes.", "b": "[e9]", "c": "Hello!"}
    runner, _, question = arrange(lambda messages: AIMessage(words[messages[-1].text]))
    answers = []
    for text in words:
        asked, reply = await question(text), Quiet()
        answers.append(await runner.answer(asked, reply, reply))
        assert (await stored(database, asked.turn.turn_id)).answer == answers[-1] == reply.posted[0]
    assert answers[0] == f"{words['a']}\n\n{GENERAL}" and answers[1].startswith("I stopped") and answers[2] == "Hello!"


async def test_what_only_failed_calls_stand_behind_is_a_hypothesis(arrange):
    def answer(messages):
        return AIMessage("The disk is full [e1].") if this_turn(messages) else call("broken")

    runner, _, question = arrange(answer, extra=(broken,))
    asked, reply = await question("go"), Quiet()
    assert await runner.answer(asked, reply, reply) == f"{HYPOTHESIS} The disk is full."


def test_the_next_reference_comes_after_all_that_the_thread_has():
    history = [
        ToolMessage("x", tool_call_id="a", additional_kwargs={references.KEY: name}) for name in ("e2", "e11", "?")
    ]
    assert references.of_call(references.highest(history), 0) == "e12"
    assert references.of_call(references.highest([]), 3) == "e4"
    assert references.show(history[0]).text == "[e2]\nx" and references.show(history[0]).additional_kwargs == {}
    plain = ToolMessage("x", tool_call_id="a")
    assert references.show(plain) is plain


@pytest.mark.parametrize("depth", [1, 3, 30, 3_000])
def test_no_reference_is_left_however_deep_they_stand_within_each_other(depth):
    text = "It fired " + "[e" * depth + "[e1]" + "1]" * depth + " and (so on)."
    left = references.rewrite(text, lambda _: "")
    assert not [*references.names(left)]
    assert (left == "It fired and (so on).") == (depth <= 3)
