"""Guests and people of other organizations: what they may ask, and what is shown where they read along."""

import asyncio

import pytest

from ratchet.sections import Policy, PolicySettings
from storage import channels, documents
from storage.documents import NewChunk, NewDocument
from tests.e2e.conftest import text_of

TOOLS = [
    {"name": "search_messages", "args": {"query": "canary heron"}},
    {"name": "list_channels", "args": {}},
    {"name": "search_docs", "args": {"query": "heron handbook"}},
    {"name": "read_doc", "args": {"identifier": "https://docs.example.com/guide.md"}},
]
RULES = [{"match": "", "steps": [{"tool_calls": TOOLS}, {"text": "Results: {tools}"}]}]
OUTSIDERS = {"guest": {"is_restricted": True}, "stranger": {"team_id": "T0OTHER"}}


def allowing(world, **policy):
    policies = PolicySettings(default=Policy(**policy))
    return world.settings().model_copy(update={"policies": policies})


async def prepare(world, services):
    """Another public channel, and a document."""
    await world.client.script(RULES)
    await world.client.create_channel("plans", members=["oncall-a", world.sandbox.bot_user_id])
    await world.client.say("plans", "the canary is a heron of the plans", user="oncall-a")
    await world.client.say("ops", "the canary is a heron of ops", user="oncall-a")
    document = NewDocument("docs", "guide.md", "https://docs.example.com/guide.md", "Guide", "b1", "heron handbook")
    async with services.database.connection() as conn:
        await documents.put(conn, document, [NewChunk(("Guide",), 1, 1, "heron handbook")])
    await until(services, "select count(*) = 2 from messages where text like 'the canary%%'")


async def until(services, statement, *params):
    async with asyncio.timeout(20):
        while (await rows(services, statement, *params))[0][0] is not True:
            await asyncio.sleep(0.05)


async def rows(services, statement, *params):
    async with services.database.connection() as conn:
        return await (await conn.execute(statement, params)).fetchall()


async def ask(world, user, *, by="mention", channel="ops"):
    bot = world.sandbox.bot_user_id
    if by == "command":
        await world.client.command("/ratchet", "what is the canary?", user=user, channel=channel)
        async with asyncio.timeout(20):
            while not (top := [p for p in await world.posts(channel) if "asked:" in text_of(p)]):
                await asyncio.sleep(0.05)
        ts = top[0]["ts"]
    elif by == "dm":
        channel = await world.client.dm(user)
        ts = await world.client.say(channel, "what is the canary?", user=user)
    else:
        ts = await world.client.say(channel, f"<@{bot}> what is the canary?", user=user)
    return "\n".join(await world.answers(channel, ts))


@pytest.mark.parametrize("by", ["mention", "dm", "command"])
@pytest.mark.parametrize("kind", OUTSIDERS)
async def test_outsiders_may_use_no_tools_however_they_ask(world, kind, by):
    await world.client.create_user("visitor", **OUTSIDERS[kind])
    await world.client.join("ops", "visitor")
    async with world.ratchet() as services:
        await prepare(world, services)
        answer = await ask(world, "visitor", by=by)
        assert "guests and people of other workspaces may not use tools" in answer and "heron of" not in answer
        assert await world.client.ephemerals() == []


@pytest.mark.parametrize("by", ["mention", "dm", "command"])
@pytest.mark.parametrize("kind", OUTSIDERS)
async def test_where_the_policy_lets_them_they_see_the_channels_that_they_are_in(world, kind, by):
    await world.client.create_user("visitor", **OUTSIDERS[kind])
    await world.client.join("ops", "visitor")
    async with world.ratchet(settings=allowing(world, allow_guests=True)) as services:
        await prepare(world, services)
        answer = await ask(world, "visitor", by=by)
        assert "heron of ops" in answer and "heron of the plans" not in answer and "#plans" not in answer
        assert "heron handbook" not in answer
        assert "heron of the plans" in await ask(world, "oncall-b", by=by if by == "dm" else "mention")


async def test_a_guest_who_may_use_tools_is_offered_their_other_channels_and_gets_only_these(world):
    await world.client.create_user("visitor", is_restricted=True)
    for channel in ("ops", "secrets"):
        await world.client.join(channel, "visitor")
    async with world.ratchet(settings=allowing(world, allow_guests=True)) as services:
        await prepare(world, services)
        await world.client.say("secrets", "the canary heron of secrets", user="oncall-a")
        await until(services, "select count(*) = 1 from messages where text like '%%of secrets'")
        assert "of secrets" not in await ask(world, "visitor")
        async with asyncio.timeout(10):
            while not (shown := await world.client.ephemerals()):
                await asyncio.sleep(0.05)
        assert shown[0]["text"].startswith("1 more message in")
        await world.client.click("ops", shown[0]["ts"], "private", user="visitor")
        dm = await world.client.dm("visitor")
        (question,) = await world.until_posts(dm)
        (answer,) = await world.answers(dm, question["ts"])
        assert "of secrets" in answer and "of the plans" not in answer


async def test_a_channel_that_is_shared_with_another_organization_is_shown_only_itself(world):
    async with world.ratchet() as services:
        await prepare(world, services)
        assert "heron of the plans" in (answer := await ask(world, "oncall-b")) and "heron handbook" in answer
        await world.client.change_channel("ops", shared=True)
        await until(services, "select shared from channels where name = 'ops'")
        answer = await ask(world, "oncall-b")
        assert "heron of ops" in answer and "of the plans" not in answer and "heron handbook" not in answer
        async with asyncio.timeout(10):  # what the others may not read is there for who asked
            while not (shown := await world.client.ephemerals()):
                await asyncio.sleep(0.05)
        assert "1 more message in channels that not everyone here can read" in shown[0]["text"]
        assert "heron of the plans" in await ask(world, "oncall-b", by="dm")
        await world.client.change_channel("ops", shared=False)
        await until(services, "select not shared from channels where name = 'ops'")
        assert "heron of the plans" in await ask(world, "oncall-b")


async def test_the_first_message_of_a_shared_channel_closes_it_before_it_is_answered(world):
    async with world.ratchet() as services:
        await prepare(world, services)
        ops = (await rows(services, "select channel_id from channels where name = 'ops'"))[0][0]
        world.sandbox.slack.workspace.channels[ops].is_ext_shared = True  # and no event tells of it
        assert "heron of the plans" not in await ask(world, "oncall-b")
        assert await rows(services, "select shared from channels where name = 'ops'") == [(True,)]


@pytest.mark.parametrize(("audience", "sees"), [("workspace", True), ("auto", False), ("channel", False)])
async def test_operators_decide_what_a_shared_channel_is_shown(world, audience, sees):
    async with world.ratchet(settings=allowing(world, audience=audience)) as services:
        await prepare(world, services)
        await world.client.change_channel("ops", shared=True)
        await until(services, "select shared from channels where name = 'ops'")
        answer = await ask(world, "oncall-b")
        assert ("heron of the plans" in answer and "heron handbook" in answer) is sees
        assert "heron of the plans" in await ask(world, "oncall-b", by="dm")


async def test_what_slack_says_of_a_channel_tells_whether_it_is_shared(world):
    async with world.ratchet() as services:
        await prepare(world, services)
        info = await world.client.info()
        ops = next(channel["id"] for channel in info["channels"] if channel["name"] == "ops")
        world.sandbox.slack.workspace.channels[ops].is_ext_shared = True
        await services.slack.directory.load_channel(ops)
        async with services.database.connection() as conn:
            assert (await channels.get(conn, info["team_id"], ops)).shared


async def follow(world, thread, user, channel="ops"):
    """Ask again in the thread; returns what the model was shown."""
    await world.client.script([{"match": "again", "steps": [{"text": "Again."}]}])
    text = f"<@{world.sandbox.bot_user_id}> again?"
    before = len(await world.posts(channel, thread))
    await world.client.say(channel, text, user=user, thread_ts=thread)
    await world.until_posts(channel, thread, before + 1)
    return str((await world.client.model_calls())[-1])


async def test_a_guest_who_joins_a_thread_is_not_shown_what_tools_told_others_there(world):
    await world.client.create_user("visitor", is_restricted=True)
    await world.client.join("ops", "visitor")
    async with world.ratchet(settings=allowing(world, allow_guests=True)) as services:
        await prepare(world, services)
        quiet = [{"tool_calls": TOOLS}, {"text": "I have looked."}]
        await world.client.script([{"match": "", "steps": quiet}])
        thread = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> canary?", user="oncall-b")
        await world.answers("ops", thread)
        assert "heron of the plans" in await follow(world, thread, "oncall-b")
        shown = await follow(world, thread, "visitor")
        assert "canary?" in shown and "I have looked." in shown
        assert "heron of the plans" not in shown and "heron handbook" not in shown


async def test_a_thread_goes_on_without_what_tools_told_before_its_channel_was_shared(world):
    async with world.ratchet() as services:
        await prepare(world, services)
        await world.client.script([{"match": "", "steps": [{"tool_calls": TOOLS}, {"text": "I have looked."}]}])
        thread = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> canary?", user="oncall-b")
        await world.answers("ops", thread)
        await world.client.change_channel("ops", shared=True)
        await until(services, "select shared from channels where name = 'ops'")
        shown = await follow(world, thread, "oncall-b")
        assert "I have looked." in shown and "heron of the plans" not in shown and "heron handbook" not in shown


async def test_who_left_a_channel_is_not_shown_what_tools_told_of_it_before(world, monkeypatch):
    monkeypatch.setattr("slack_app.directory.MEMBERSHIP_SECONDS", 0.0)
    async with world.ratchet() as services:
        await prepare(world, services)
        await world.client.say("secrets", "the canary heron of secrets", user="oncall-a")
        await until(services, "select count(*) = 1 from messages where text like '%%of secrets'")
        await world.client.script([{"match": "", "steps": [{"tool_calls": TOOLS[:1]}, {"text": "I have looked."}]}])
        dm = await world.client.dm("oncall-a")
        thread = await world.client.say(dm, "canary?", user="oncall-a")
        await world.answers(dm, thread)
        assert "heron of secrets" in await follow(world, thread, "oncall-a", dm)
        await world.client.leave("secrets", "oncall-a")
        assert "heron of secrets" not in await follow(world, thread, "oncall-a", dm)
