"""What is deleted or edited away in Slack stands in no table of a dump, wherever it had got to; threads go on."""

import asyncio

import pytest

from ratchet.sections import AgentSettings
from tests.dumps import places

CANARY = "canary7f9cq"
SECRET = f"the launch code is {CANARY}"
LOOK = {"tool_calls": [{"name": "search_messages", "args": {"query": "launch code"}}]}
QUOTE = {"match": "code", "steps": [LOOK, {"text": "I found: {tools}"}]}
REPEAT = {"match": "again", "steps": [{"text": "As before: {history} {human}"}]}


async def until_gone(services, words=CANARY, seconds=15):
    """Wait for the job; where the words still stand when the time is over, that is named."""
    end = asyncio.get_running_loop().time() + seconds
    while found := await places(services.database, words):
        assert asyncio.get_running_loop().time() < end, found
        await asyncio.sleep(0.1)


async def until_stored(services, words=CANARY, seconds=15):
    async with asyncio.timeout(seconds):
        while not await places(services.database, words):
            await asyncio.sleep(0.05)


async def ask(world, text, *, thread_ts=None, count=1, user="oncall-a", channel="ops"):
    """Ask in a channel, once all that was said before is stored; the thread's ts and the newest answer."""
    async with asyncio.timeout(20):
        while not all(delivery.acked_at for delivery in world.sandbox.slack.ledger.deliveries):
            await asyncio.sleep(0.02)
    ts = await world.client.say(channel, f"<@{world.sandbox.bot_user_id}> {text}", user=user, thread_ts=thread_ts)
    answers = await world.answers(channel, thread_ts or ts, count=count)
    return thread_ts or ts, answers[-1]


async def shown_to_the_model(world):
    """The last request to the model, as text."""
    return str((await world.client.model_calls())[-1])


async def test_a_deleted_message_is_in_no_table_though_turns_found_and_repeated_it(world):
    await world.client.script([REPEAT, QUOTE])
    async with world.ratchet() as services:
        secret = await world.client.say("ops", SECRET, user="oncall-b")
        await world.client.say("ops", "lunch is at noon", user="oncall-b")
        thread, answer = await ask(world, "which code?")
        assert CANARY in answer
        await ask(world, "again", thread_ts=thread, count=2)
        held = await places(services.database, CANARY)
        assert {
            "messages.text", "messages.search", "inbox_events.payload", "turns.answer", "posts.text",
            "conversation_messages.message", "checkpoint_writes.blob", "checkpoint_blobs.blob",
        } <= set(held)  # fmt: skip
        await world.client.delete("ops", secret)
        await until_gone(services)
        _, answer = await ask(world, "again", thread_ts=thread, count=3)
        assert "As before: 2" in answer
        shown = await shown_to_the_model(world)
        assert "which code?" in shown and "[removed: the message was deleted]" in shown and CANARY not in shown
        assert await places(services.database, "lunch is at noon")


async def test_a_turn_that_read_an_answer_of_ratchet_loses_it_with_the_message_under_it(world):
    read = {"name": "read_thread", "args": {"channel": "ops", "thread_ts": ""}}
    async with world.ratchet() as services:
        await world.client.script([QUOTE])
        secret = await world.client.say("ops", SECRET, user="oncall-b")
        thread, answer = await ask(world, "which code?")
        assert CANARY in answer
        read["args"]["thread_ts"] = thread
        await world.client.script([{"match": "read", "steps": [{"tool_calls": [read]}, {"text": "There: {tools}"}]}])
        _, answer = await ask(world, "read it to me", user="oncall-b")
        assert CANARY in answer
        await world.client.delete("ops", secret)
        await until_gone(services)


async def test_what_stood_in_the_thread_before_a_question_goes_and_the_rest_is_read_again(world):
    await world.client.script([{"match": ".*", "steps": [{"text": "Said: {human}"}]}])
    async with world.ratchet() as services:
        root = await world.client.say("ops", "the database is slow", user="oncall-b")
        secret = await world.client.say("ops", SECRET, user="oncall-b", thread_ts=root)
        _, answer = await ask(world, "so?", thread_ts=root)
        assert CANARY in answer and "database is slow" in answer
        await world.client.delete("ops", secret)
        await until_gone(services)
        _, answer = await ask(world, "and now?", thread_ts=root, count=2)
        assert "database is slow" in answer and CANARY not in answer


async def test_a_question_that_is_deleted_goes_with_its_answer(world):
    await world.client.script([{"match": ".*", "steps": [{"text": "You said: {human}"}]}])
    async with world.ratchet() as services:
        thread, answer = await ask(world, SECRET)
        assert CANARY in answer
        await ask(world, "and then?", thread_ts=thread, count=2)
        await world.client.delete("ops", thread)
        await until_gone(services)
        async with services.database.connection() as conn:
            rows = await (await conn.execute("select question, answer from turns order by created_at")).fetchall()
    note = "[removed: the message was deleted]"
    assert rows == [(note, note), ("and then?", note)]


async def test_a_question_that_is_deleted_before_its_turn_is_not_answered(world):
    await world.client.script([{"match": ".*", "steps": [{"text": "You said: {human}"}]}])
    async with world.ratchet("slack") as services:  # no worker yet
        ts = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> {SECRET}", user="oncall-a")
        await until_stored(services)
        await world.client.delete("ops", ts)
        other = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> hello", user="oncall-a")
        await until_stored(services, "hello")
    async with world.ratchet("worker") as services:
        await until_gone(services)
        await world.answers("ops", other)
        assert await world.posts("ops", ts) == []
        assert not await places(services.database, CANARY)


async def test_a_summary_is_made_anew_without_the_words(world):
    asked = [{"match": "Summarise", "steps": [{"text": f"They spoke of {CANARY}"}]}, QUOTE, REPEAT]
    await world.client.script(asked)
    settings = world.settings().model_copy(update={"agent": AgentSettings(history_tokens=500, keep_turns=1)})
    async with world.ratchet(settings=settings) as services:
        secret = await world.client.say("ops", SECRET + " and more words" * 60, user="oncall-b")
        thread, _ = await ask(world, "which code?")
        for number in range(2, 6):
            await ask(world, "which code, once more?", thread_ts=thread, count=number)
        assert "conversations.summary" in await places(services.database, CANARY)
        await world.client.delete("ops", secret)
        await until_gone(services)
        await world.client.script([{"match": "Summarise", "steps": [{"text": "They spoke"}]}, REPEAT])
        _, answer = await ask(world, "again", thread_ts=thread, count=6)
        assert answer.startswith("As before")


async def test_words_that_are_edited_away_go_and_the_new_ones_are_found(world):
    await world.client.script([REPEAT, QUOTE])
    async with world.ratchet() as services:
        secret = await world.client.say("ops", SECRET, user="oncall-b")
        thread, answer = await ask(world, "which code?")
        assert CANARY in answer
        await world.client.edit("ops", secret, "the launch code is no longer here", user="oncall-b")
        await until_gone(services)
        _, answer = await ask(world, "which code?", thread_ts=thread, count=2)
        assert "no longer here" in answer and CANARY not in answer
        assert "[removed: the message was edited]" in await shown_to_the_model(world)


async def test_a_message_that_is_deleted_while_a_turn_reads_it_goes_when_the_turn_is_over(world):
    slow = {"match": "code", "steps": [LOOK, {"delay": 2.5, "text": "I found: {tools}"}]}
    await world.client.script([REPEAT, slow])
    async with world.ratchet() as services:
        secret = await world.client.say("ops", SECRET, user="oncall-b")
        thread = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> which code?", user="oncall-a")
        async with asyncio.timeout(10):
            while "checkpoint_writes.blob" not in await places(services.database, CANARY):
                await asyncio.sleep(0.05)
        await world.client.delete("ops", secret)
        (answer,) = await world.answers("ops", thread)
        assert CANARY in answer  # Slack keeps what was said there
        await until_gone(services)
        _, answer = await ask(world, "again", thread_ts=thread, count=2)
        assert "As before" in answer


@pytest.mark.parametrize("late", ["message", "app_mention"])
async def test_a_message_that_comes_after_its_deletion_is_not_kept(world, late):
    await world.client.script([{"match": ".*", "steps": [{"text": "You said: {human}"}]}])
    async with world.ratchet() as services:
        info = await world.client.info()
        channel = next(c["id"] for c in info["channels"] if c["name"] == "ops")
        user = next(u["id"] for u in info["users"] if u["name"] == "oncall-a")
        ts = "1700000000.000100"
        place = {"channel": channel, "channel_type": "channel"}
        await world.client.event({"type": "message", "subtype": "message_deleted", "deleted_ts": ts, "ts": ts, **place})
        said = {"type": late, "user": user, "ts": ts, "text": f"<@{world.sandbox.bot_user_id}> {SECRET}", **place}
        await world.client.event(said)
        await ask(world, "hello")
        assert not await places(services.database, CANARY)
        async with services.database.connection() as conn:
            assert await (await conn.execute("select count(*) from turns")).fetchone() == (1,)
