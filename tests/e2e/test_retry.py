"""Retry from here: a new answer below the old one, from what was found then or from what this person may see."""

import asyncio

from tests.dumps import places
from tests.e2e.conftest import text_of
from tests.e2e.test_stop import ask, rows, until

LOOK = {"tool_calls": [{"name": "search_messages", "args": {"query": "launch code"}}]}
AGAIN = {"match": "shorter", "steps": [{"text": "Again: {human}"}]}
FIRST = {"match": "code", "steps": [LOOK, {"text": "I found: {tools}"}]}


def button(post):
    elements = [e for block in post["blocks"] if block["type"] == "actions" for e in block["elements"]]
    return next((e["value"] for e in elements if e["action_id"] == "retry"), None)


async def answered(world, user="oncall-a", channel="ops"):
    """A question with its answer; the thread, and the post with the button."""
    thread = await ask(world, "which code?", user=user, channel=channel)
    (post,) = await world.until_posts(channel, thread)
    return thread, post


async def views(world):
    return (await world.client.info())["views"]


async def press(world, post, *, user="oncall-a", channel="ops"):
    """Press the button; the modal that opens."""
    known = len(await views(world))
    await world.client.click(channel, post["ts"], "retry", user=user)

    async def opened():
        return len(await views(world)) > known

    await until(opened)
    return (await views(world))[-1]


async def correct(world, view, words="shorter, please", *, user="oncall-a"):
    values = {"input": {"input": {"type": "plain_text_input", "value": words}}}
    return await world.client.submit(view["id"], user=user, values=values)


async def whispered(world, words):
    async def told():
        return [w for w in await world.client.ephemerals() if words in w["text"]]

    await until(told)


async def test_the_turn_goes_on_from_its_tool_results_with_the_correction(world):
    await world.client.script([AGAIN, FIRST, {"match": "next", "steps": [{"text": "{history} before"}]}])
    async with world.ratchet() as services:
        await world.client.say("ops", "the launch code is tern44", user="oncall-b")
        thread, post = await answered(world)
        before = await world.client.model_calls()
        assert (await correct(world, await press(world, post)))["ok"]
        posts = await world.until_posts("ops", thread, count=2)
        assert text_of(posts[0]) == text_of(post), "the old answer stays"
        new = text_of(posts[1])
        assert new.startswith("> Correction of [the earlier answer](") and "“shorter, please”" in new
        assert f"p{post['ts'].replace('.', '')}" in new and "anew" not in new
        (call,) = (await world.client.model_calls())[len(before) :]
        roles = [m["role"] for m in call["messages"] if m["role"] != "system"]
        assert roles == ["user", "assistant", "tool", "user"], "once, without the old answer as one of its own"
        assert "tern44" in call["messages"][-2]["content"] and "I found" in call["messages"][-1]["content"]
        assert await rows(services, "select status, source from turns order by created_at") == [
            ("answered", "mention"),
            ("answered", "retry"),
        ]
        assert await rows(services, "select count(*) from effects") == [(0,)]
        await ask(world, "next?", thread_ts=thread)
        answers = await world.answers("ops", thread, count=3)
        assert answers[2] == "2 before", "both stand in the conversation, in their order"
        again = await press(world, (await world.posts("ops", thread))[1])
        await correct(world, again, "even shorter")
        answers = await world.answers("ops", thread, count=4)
        assert "“even shorter”" in answers[3]
        roles = [m["role"] for m in (await world.client.model_calls())[-1]["messages"]]
        assert roles.count("tool") == 1


async def test_two_submissions_of_the_same_words_make_one_turn(world):
    await world.client.script([AGAIN, FIRST])
    async with world.ratchet() as services:
        thread, post = await answered(world)
        one, two = await press(world, post), await press(world, post)
        await correct(world, one)
        await correct(world, two)
        await whispered(world, "this very correction already")
        await world.until_posts("ops", thread, count=2)
        assert await rows(services, "select count(*) from turns where source = 'retry'") == [(1,)]
        await correct(world, await press(world, post), "   ")
        await whispered(world, "Nothing was said")


async def test_without_checkpoints_the_question_is_asked_anew_and_that_is_said(world):
    await world.client.script([AGAIN, FIRST])
    async with world.ratchet() as services:
        thread, post = await answered(world)
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            await rows(services, f"delete from {table} returning 1")
        await correct(world, await press(world, post))
        posts = await world.until_posts("ops", thread, count=2)
        assert "not kept any more, so I looked everything up anew" in text_of(posts[1])
        asked = (await world.client.model_calls())[-1]["messages"][-1]["content"]
        assert asked.startswith("which code?") and "shorter, please" in asked


async def test_somebody_else_gets_only_what_they_may_see(world):
    await world.client.script([{"match": "shorter", "steps": [LOOK, {"text": "Again: {tools}"}]}, FIRST])
    async with world.ratchet() as services:
        thread, post = await answered(world)
        view = await press(world, post, user="oncall-b")
        await correct(world, view, user="oncall-b")
        posts = await world.until_posts("ops", thread, count=2)
        assert "found for somebody else, so I looked everything up anew" in text_of(posts[1])
        users = {user.name: user.id for user in world.sandbox.workspace.users.values()}
        assert await rows(services, "select requester_id from turns where source = 'retry'") == [(users["oncall-b"],)]
        last = [m for m in (await world.client.model_calls())[-1]["messages"] if m["role"] != "system"]
        assert [m["role"] for m in last][-3:] == ["user", "assistant", "tool"]


async def test_who_left_a_channel_does_not_get_back_what_was_found_there(world):
    await world.client.script([AGAIN, FIRST])
    async with world.ratchet():
        await world.client.say("secrets", "the launch code is tern44", user="oncall-a")
        dm = await world.client.dm("oncall-a")
        thread, post = await answered(world, channel=dm)
        assert "tern44" in text_of(post)
        await world.client.leave("secrets", "oncall-a")
        await correct(world, await press(world, post, channel=dm))
        posts = await world.until_posts(dm, thread, count=2)
        assert "messages that you cannot read now" in text_of(posts[1])
        assert "tern44" not in str((await world.client.model_calls())[-1]), "nor in the history"


async def test_what_was_removed_cannot_be_retried_and_goes_from_retries_too(world):
    await world.client.script([AGAIN, FIRST])
    async with world.ratchet() as services:
        secret = await world.client.say("ops", "the launch code is tern44", user="oncall-b")
        thread, post = await answered(world)
        await correct(world, await press(world, post))
        await world.until_posts("ops", thread, count=2)
        late = await press(world, post)
        await world.client.delete("ops", secret)
        async with asyncio.timeout(20):
            while await places(services.database, "tern44"):
                await asyncio.sleep(0.1)
        await correct(world, late, "still shorter")
        await whispered(world, "not kept any more")
        assert await rows(services, "select count(*) from turns where source = 'retry'") == [(1,)]


async def test_a_retry_can_be_stopped_and_a_failed_answer_has_no_button(world):
    await world.client.script(
        [
            {"match": "shorter", "steps": [{"text": "late", "delay": 30}]},
            FIRST,
            {"match": "bad", "steps": [{"error": 400}]},
        ]
    )
    async with world.ratchet():
        thread, post = await answered(world)
        asked = len(await world.client.model_calls())
        await correct(world, await press(world, post))

        async def called():
            return len(await world.client.model_calls()) > asked

        await until(called)
        await world.client.stop("ops", thread, user="oncall-a")
        posts = await world.until_posts("ops", thread, count=2)
        assert text_of(posts[1]).startswith("Stopped by") and button(posts[1]) is None
        failed = await ask(world, "bad")
        (notice,) = await world.until_posts("ops", failed)
        assert button(notice) is None and button(post)
