"""Retry from here: a new answer below the old one, from what was found then or from what this person may see."""

import asyncio

import pytest

from ratchet.sections import Policy, PolicySettings
from tests.dumps import places
from tests.e2e import test_outsiders as outsiders
from tests.e2e.conftest import text_of
from tests.e2e.test_stop import LOG, ask, calls, people, rows, until, until_logged
from tests.e2e.test_stop import settings as stop_settings

__all__ = ["people"]
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
        assert await rows(services, "select status, source, attempts from turns order by created_at") == [
            ("answered", "mention", 1),
            ("answered", "retry", 1),
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


async def test_its_results_and_those_of_the_thread_since_have_references_of_their_own(world):
    found = {"match": "second", "steps": [{"tool_calls": [{"name": "list_channels", "args": {}}]}, {"text": "Seen."}]}
    await world.client.script([AGAIN, found, FIRST])
    async with world.ratchet():
        thread, post = await answered(world)
        for count, words in enumerate(("reset", "second?"), 2):
            await ask(world, words, thread_ts=thread)
            await world.until_posts("ops", thread, count)
        await correct(world, await press(world, post))
        await world.until_posts("ops", thread, count=4)
        last = [m for m in (await world.client.model_calls())[-1]["messages"] if m["role"] == "tool"]
        assert sorted(m["content"].split("\n")[0] for m in last) == ["[e1]", "[e2]"]


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
        assert "what may not be shown to you here now" in text_of(posts[1])
        assert "tern44" not in str((await world.client.model_calls())[-1]), "nor in the history"


async def test_who_may_not_be_shown_the_documentation_any_more_does_not_get_back_what_was_found_there(world):
    search = {"tool_calls": [outsiders.TOOLS[2]]}
    async with world.ratchet() as services:
        await outsiders.prepare(world, services)
        await world.client.script([AGAIN, {"match": "code", "steps": [search, {"text": "I have looked."}]}])
        thread, post = await answered(world)
        await world.client.change_channel("ops", shared=True)
        await outsiders.until(services, "select shared from channels where name = 'ops'")
        asked = len(await world.client.model_calls())
        await correct(world, await press(world, post))
        posts = await world.until_posts("ops", thread, count=2)
        assert "what may not be shown to you here now" in text_of(posts[1])
        assert "heron handbook" in str((await world.client.model_calls())[:asked])
        assert "heron handbook" not in str((await world.client.model_calls())[asked:])


@pytest.mark.parametrize("leaves", [True, False], ids=["left", "stayed"])
async def test_a_retry_that_resumes_uses_what_its_requester_may_still_see(world, people, leaves):
    policy = Policy(tools=["@read", "restart"], approvers=[people["oncall-a"]], self_approval=True)
    settings = world.settings().model_copy(update={"policies": PolicySettings(default=policy)})
    change = calls(("restart", {"service": "api"}))
    await world.client.script([{"match": "shorter", "steps": [change, {"text": "Again: {tools}"}]}, FIRST])
    async with world.ratchet(settings=settings) as services:
        await world.client.say("secrets", "the launch code is tern44", user="oncall-a")
        dm = await world.client.dm("oncall-a")
        thread, post = await answered(world, channel=dm)
        await correct(world, await press(world, post, channel=dm))

        await until_requests(services, ["pending"])
        (request,) = [p for p in await world.posts(dm, thread) if "approval_approve" in str(p)]
        kept = "split_part(thread_id, '#', 2) not in (select turn_id::text from turns where source = 'retry')"
        await rows(services, f"delete from checkpoints where {kept} returning 1")
        if leaves:
            await world.client.leave("secrets", "oncall-a")
        before = len(await world.client.model_calls())
        await world.client.click(dm, request["ts"], "approval_approve", user="oncall-a")
        if not leaves:
            posts = await world.until_posts(dm, thread, count=3)
            assert "anew" not in text_of(posts[-1]) and LOG == ["restart"]
            return
        await until_requests(services, ["void", "pending"])
        assert LOG == [] and "tern44" not in str((await world.client.model_calls())[before:])
        (again,) = [p for p in await world.posts(dm, thread) if "approval_approve" in str(p)]
        await world.client.click(dm, again["ts"], "approval_approve", user="oncall-a")
        posts = await world.until_posts(dm, thread, count=4)
        assert "looked everything up anew" in text_of(posts[-1]) and LOG == ["restart"]


async def until_requests(services, statuses):
    async def reached():
        found = await rows(
            services,
            "select a.status from approvals a join posts p on p.post_id = "
            "a.turn_id || '/' || a.part where p.state = 'posted' order by a.part",
        )
        return [status for (status,) in found] == statuses

    await until(reached)


async def test_what_was_taken_in_is_asked_again_too(world, people):
    gazing = calls(("gaze", {"seconds": 1.5}))
    await world.client.script(
        [AGAIN, {"match": "also", "steps": [{"text": "Both"}]}, {"match": "look", "steps": [gazing, {"text": "One"}]}]
    )
    async with world.ratchet(settings=stop_settings(world, people)) as services:
        thread = await ask(world, "look here")
        await until_logged("gaze begins")
        added = await ask(world, "also at the heron", thread_ts=thread)
        (post,) = await world.until_posts("ops", thread)
        await correct(world, await press(world, post, user="oncall-b"), user="oncall-b")
        await world.until_posts("ops", thread, count=2)
        asked = (await world.client.model_calls())[-1]["messages"][-1]["content"]
        assert asked.startswith("look here\n\nalso at the heron") and "shorter, please" in asked
        sources = "select s.ts from turn_sources s join turns t using (turn_id) where t.source = 'retry' order by 1"
        assert {(thread,), (added,)} <= set(await rows(services, sources))


async def test_after_a_reset_a_retry_brings_back_its_own_question_and_nothing_else(world):
    await world.client.script([AGAIN, FIRST])
    async with world.ratchet():
        await world.client.say("ops", "the launch code is tern44", user="oncall-b")
        root = await world.client.say("ops", "the old story", user="oncall-b")
        await ask(world, "which code?", thread_ts=root)
        (post,) = await world.until_posts("ops", root)
        assert "the old story" in str(await world.client.model_calls())
        await ask(world, "reset", thread_ts=root)
        await world.until_posts("ops", root, count=2)
        asked = len(await world.client.model_calls())
        await correct(world, await press(world, post))
        await world.until_posts("ops", root, count=3)
        (call,) = (await world.client.model_calls())[asked:]
        said = [m["content"] for m in call["messages"] if m["role"] != "system"]
        assert said[0] == "which code?" and "tern44" in said[2]
        assert "Earlier in this thread" not in str(call["messages"])


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
