"""What is heard of a model while it speaks."""

import itertools
import random

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from agent import references
from agent.redaction import Redactor
from agent.speech import Speech, listen
from tests.agent.conftest import Quiet, Scripted, call, this_turn
from tests.answers import said

PHRASE = "correct horse battery staple"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc def\nghi\n-----END RSA PRIVATE KEY-----"
SECRETS = ["xoxb-" + "1234567890-abcdefghijkl", "AKIA" + "ABCDEFGHIJKLMNOP", PHRASE, KEY, "hunter2secret"]
TEXT = (
    f"The token {SECRETS[0]} and\nthe key id {SECRETS[1]}, the phrase {PHRASE} and the correct horse.\n\n{KEY}\n"
    f"-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\npassword:\n {SECRETS[4]} and that is all there is. "
    + "More words follow. "
    * 20
)


@pytest.mark.parametrize("seed", range(20))
async def test_however_it_is_cut_no_part_of_a_secret_is_passed_on(seed):
    redactor, reply, chance = Redactor([PHRASE]), Quiet(), random.Random(seed)
    speech, at = Speech(reply, redactor), 0
    while at < len(TEXT):
        size = chance.choice([1, 3, 20, 200])
        await speech.on_llm_new_token(TEXT[at : at + size])
        said = "".join(reply.said)
        assert redactor.clean(TEXT).startswith(said)
        assert not any(secret[:12] in said.replace("the correct horse", "") for secret in SECRETS)
        at += size
    assert None not in reply.said and "More words follow." in said


def settled(redactor, text):
    return redactor.clean(text[: redactor.settled(text)])


def test_an_open_private_key_is_held_back_and_other_marks_are_not():
    redactor = Redactor()
    assert settled(redactor, "so: -----BEGIN RSA PRIVATE KEY-----\nMII abc ") == "so: "
    assert settled(redactor, "so: -----BEGIN RSA ") == "so: "
    assert settled(redactor, "so: -----BEGIN CERTIFICATE-----\nabc def") == "so: -----BEGIN CERTIFICATE-----\nabc "
    assert settled(redactor, f"{KEY} done here") == "[redacted] done "


class Streaming(Scripted):
    """Streams what it answers, word by word; a call that is to fail fails after its words."""

    def bind_tools(self, tools, **settings):
        return super().bind_tools(tools).bind(stream=settings["stream"])

    async def _astream(self, messages, stop=None, run_manager=None, **_):
        self.seen.append(list(messages))
        answer = self.answer(messages)
        words, failing = answer if isinstance(answer, tuple) else (answer.text, None)
        for word in words.split(" "):
            chunk = ChatGenerationChunk(message=AIMessageChunk(f"{word} "))
            if run_manager:
                await run_manager.on_llm_new_token(f"{word} ", chunk=chunk)
            yield chunk
        if failing:
            raise failing
        if answer.tool_calls:
            made = answer.tool_calls[0]
            part = {"name": made["name"], "args": '{"word": "x"}', "id": made["id"], "index": 0}
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[part]))


async def test_the_reply_hears_the_answer_as_it_comes(arrange):
    words = "It ran out of memory. " * 20
    runner, _, question = arrange(lambda _: AIMessage(words), kind=Streaming)
    asked, reply = await question("why?"), Quiet()
    assert said(await runner.answer(asked, reply, reply)) == words.strip()
    assert len(reply.said) > 3 and words.startswith("".join(reply.said))


async def test_words_before_a_tool_call_and_of_a_failed_call_are_taken_back(arrange):
    words = "Let me look into this, and see what there is. " * 5
    failures = [ConnectionError("cut off")]

    def answer(messages):
        if not this_turn(messages):
            made = call("lookup", word="x")
            return AIMessage(words, tool_calls=made.tool_calls)
        return (words, failures.pop()) if failures else AIMessage("It ran out of memory. " * 20)

    runner, _, question = arrange(answer, kind=Streaming)
    asked, reply = await question("why?"), Quiet()
    await runner.answer(asked, reply, reply)
    assert reply.said.count(None) == 2
    last = "".join(reply.said[len(reply.said) - reply.said[::-1].index(None) :])
    assert last and ("It ran out of memory. " * 20).startswith(last)


async def test_models_that_nobody_listens_to_are_not_heard():
    reply = Quiet()
    speech = Speech(reply, Redactor())
    model = Streaming(answer=lambda _: AIMessage("word " * 100), seen=[], tools=[])
    with listen(speech):
        pass
    await model.ainvoke("hello", stream=True)
    assert reply.said == []


async def test_references_are_not_spoken_and_take_nothing_back(arrange):
    words = " ".join(f"Pod {number} ran out of memory [e{number}, e{number + 1}], again [e7]." for number in range(20))
    runner, _, question = arrange(lambda _: AIMessage(words), kind=Streaming)
    asked, reply = await question("why?"), Quiet()
    await runner.answer(asked, reply, reply)
    assert None not in reply.said and "[" not in "".join(reply.said)
    assert "".join(reply.said).startswith("Pod 0 ran out of memory, again. Pod 1 ran")


class Counting(Redactor):
    """Knows how many characters it looked through."""

    seen = 0

    def clean(self, text):
        self.seen += len(text)
        return super().clean(text)

    def settled(self, text):
        self.seen += len(text)
        return super().settled(text)


async def speak(text, redactor, sizes):
    speech, reply, at = Speech(reply := Quiet(), redactor), reply, 0
    while at < len(text):
        size = next(sizes)
        await speech.on_llm_new_token(text[at : at + size])
        at += size
    return speech, reply


@pytest.mark.parametrize(
    "unit",
    [
        "- item is ok\n",
        "a\n",
        "word ",
        "x",
        "-----BEGIN RSA PRIVATE KEY-----\nabc ",
        "[e1,\n",
        "`a\n",
        "password:\n",
        " ",
    ],
)
async def test_the_work_grows_with_what_is_heard(unit):
    seen = []
    for size in (8_000, 16_000):
        redactor = Counting([PHRASE])
        await speak((unit * size)[:size], redactor, itertools.repeat(4))
        seen.append(redactor.seen)
    assert seen[1] < 2.3 * seen[0] and seen[1] < 16_000 * 200


@pytest.mark.parametrize("seed", range(30))
async def test_a_long_text_is_said_as_if_it_were_looked_through_as_a_whole(seed):
    chance, redactor = random.Random(seed), Redactor([PHRASE])
    parts = [
        *SECRETS[:4],
        f"password:\n {SECRETS[4]}",
        f"Bearer\n{'t0ken' * 5}",
        "[e1, e2]",
        "`code [e1]`",
        "(see e3)",
        "[x](y)",
    ]
    filler = ["It ran out of memory.", "\n", "- again\n", "\n\n", "word", "of the", "correct horse"]
    text = (
        " ".join(chance.choice(parts if chance.random() < 0.1 else filler) for _ in range(900)) + " The end of it. " * 9
    )
    speech, reply = await speak(text, redactor, iter(lambda: chance.choice([1, 3, 9, 50]), None))
    said = ""
    for each in reply.said:
        said = "" if each is None else said + each
    assert references.without(redactor.clean(text)).startswith(said) and "The end of it." in said
    speech.take_back()
    assert reply.said[-1] is None


async def test_what_is_taken_back_midway_is_said_again_from_the_beginning():
    begin, end = "It ran out of memory.\n" * 100, "\nand so it is, as all of them say. " * 10
    _, reply = await speak(f"{begin}It is so [e1,\ne2]{end}", Redactor(), itertools.repeat(4))
    again = reply.said.index(None)
    assert "".join(reply.said[:again]).startswith(begin)
    assert f"{begin}It is so{end}".startswith("".join(reply.said[again + 1 :])) and len(reply.said) > again + 3
