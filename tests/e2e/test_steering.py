"""What the requester writes while a turn runs becomes part of it, or a turn of its own, and exactly one of the two."""

import asyncio

from tests.dumps import places
from tests.e2e.test_images import png
from tests.e2e.test_stop import ask, gaze, people, rows, settings, until, until_logged, until_model

__all__ = ["gaze", "people"]
LOOK = {"tool_calls": [{"name": "gaze", "args": {"seconds": 1.5}}]}
ALSO = {"match": "also", "steps": [{"text": "Both: {human}"}]}
ONE = {"match": "look", "steps": [LOOK, {"text": "One: {human}"}]}


async def accepted(services, count):
    async def stored():
        return len(await rows(services, "select 1 from turns")) >= count

    await until(stored)


async def statuses(services):
    return [status for (status,) in await rows(services, "select status from turns order by message_ts")]


async def test_what_the_requester_adds_is_taken_in_and_said(world, people):
    await world.client.script([ALSO, ONE, {"match": "next", "steps": [{"text": "Next: {human}"}]}])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "look here")
        await until_logged("gaze begins")
        await ask(world, "also look there", thread_ts=thread)
        answers = await world.answers("ops", thread)
        assert answers == ["> Taken in: “also look there”\n\nBoth: also look there"]
        assert await statuses(services) == ["answered", "merged"]
        told = [status["status"] for status in (await world.client.ledger())["statuses"]]
        assert "has taken in “also look there”" in told
        calls = await world.client.model_calls()
        assert [m["role"] for m in calls[1]["messages"]][-4:] == ["user", "assistant", "tool", "user"]
        await ask(world, "next one", thread_ts=thread)
        answers = await world.answers("ops", thread, count=2)
        assert answers[1] == "Next: next one", "it is in the conversation, so it is not shown as unseen"
        shown = [m["content"] for m in (await world.client.model_calls())[-1]["messages"] if m["role"] == "user"]
        assert shown == ["look here", "also look there", "next one"]


async def test_what_others_add_is_a_turn_of_its_own_afterwards(world, people):
    await world.client.script([ALSO, ONE])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "look here")
        await until_logged("gaze begins")
        await ask(world, "also look there", user="oncall-b", thread_ts=thread)
        answers = await world.answers("ops", thread, count=2)
        assert answers[0] == "One: look here" and answers[1].startswith("Both:")
        assert await statuses(services) == ["answered", "answered"]


async def test_what_is_asked_after_a_reset_is_a_turn_of_its_own_that_knows_nothing_of_before(world, people):
    await world.client.script([{"match": "fresh", "steps": [{"text": "Fresh: {human}"}]}, ONE])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "look here")
        await until_logged("gaze begins")
        await ask(world, "reset", thread_ts=thread)
        await accepted(services, 2)
        await ask(world, "fresh start", thread_ts=thread)
        answers = await world.answers("ops", thread, count=3)
        assert answers[0] == "One: look here" and answers[-1] == "Fresh: fresh start"
        assert await statuses(services) == ["answered"] * 3
        assert "look here" not in str((await world.client.model_calls())[-1])


async def test_what_comes_during_the_last_model_call_is_a_turn_of_its_own(world, people):
    await world.client.script([ALSO, {"match": "look", "steps": [{"text": "One", "delay": 1.5}]}])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "look here")
        await until_model(world, 1)
        await ask(world, "also look there", thread_ts=thread)
        answers = await world.answers("ops", thread, count=2)
        assert answers[0] == "One" and answers[1].startswith("Both:")
        assert await statuses(services) == ["answered", "answered"]


async def test_what_comes_with_an_image_is_a_turn_of_its_own_that_sees_it(world, people):
    await world.client.script([{"match": "also", "steps": [{"text": "I see {images}."}]}, ONE])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "look here")
        await until_logged("gaze begins")
        words = f"<@{world.sandbox.bot_user_id}> also this"
        await world.client.say("ops", words, user="oncall-a", thread_ts=thread, files=(("shot.png", png()),))
        answers = await world.answers("ops", thread, count=2)
        assert answers == ["One: look here", f"I see image/png, {len(png())} bytes."]
        assert await statuses(services) == ["answered", "answered"]


async def test_what_comes_with_a_text_file_is_taken_in(world, people):
    await world.client.script([ALSO, ONE])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "look here")
        await until_logged("gaze begins")
        words = f"<@{world.sandbox.bot_user_id}> also this"
        await world.client.say("ops", words, user="oncall-a", thread_ts=thread, files=(("app.log", b"OOMKilled"),))
        (answer,) = await world.answers("ops", thread)
        assert answer.startswith("> Taken in: “also this") and await statuses(services) == ["answered", "merged"]


async def test_in_a_dm_thread_and_from_another_process(world, people):
    await world.client.script([ALSO, ONE])
    everything = settings(world, people)
    async with world.ratchet("worker", settings=everything), world.ratchet("slack", settings=everything):
        dm = await world.client.dm("oncall-a")
        thread = await ask(world, "look here", channel=dm)
        await until_logged("gaze begins")
        await ask(world, "also look there", channel=dm, thread_ts=thread)
        await ask(world, "also everywhere", channel=dm, thread_ts=thread)
        (answer,) = await world.answers(dm, thread)
        assert answer.startswith("> Taken in: “also look there”, “also everywhere”")


async def test_stopped_after_it_was_taken_in_it_stays_in_the_conversation(world, people):
    slow = {"match": "also", "steps": [{"text": "late", "delay": 30}]}
    await world.client.script([{"match": "next", "steps": [{"text": "Next"}]}, slow, ONE])
    async with world.ratchet(settings=settings(world, people)):
        thread = await ask(world, "look here")
        await until_logged("gaze begins")
        await ask(world, "also look there", thread_ts=thread)
        await until_model(world, 2)
        await world.client.stop("ops", thread, user="oncall-a")
        (note,) = await world.answers("ops", thread)
        assert note.startswith("Stopped by") and "Taken in: “also look there”" in note
        await ask(world, "next", thread_ts=thread)
        await world.answers("ops", thread, count=2)
        shown = [m["content"] for m in (await world.client.model_calls())[-1]["messages"] if m["role"] == "user"]
        assert shown == ["look here", "also look there", "next"]


async def test_words_that_were_taken_in_go_everywhere_when_their_message_is_deleted(world, people):
    await world.client.script([ALSO, ONE])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "look here")
        await until_logged("gaze begins")
        extra = await ask(world, "also look at kestrel93", thread_ts=thread)
        (answer,) = await world.answers("ops", thread)
        assert "kestrel93" in answer and await places(services.database, "kestrel93")
        await world.client.delete("ops", extra)
        async with asyncio.timeout(20):
            while found := await places(services.database, "kestrel93"):
                await asyncio.sleep(0.1)
        assert not found
        assert await rows(services, "select 1 from turns where question = 'look here'")


async def test_a_message_that_is_deleted_at_once_is_not_taken_in(world, people):
    await world.client.script([ALSO, ONE])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "look here")
        await until_logged("gaze begins")
        extra = await ask(world, "also look there", thread_ts=thread)
        await accepted(services, 2)
        await world.client.delete("ops", extra)
        assert await world.answers("ops", thread) == ["One: look here"]
        assert await statuses(services) == ["answered", "failed"]
