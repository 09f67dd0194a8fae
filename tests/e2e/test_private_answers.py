"""What an answer cannot show since others read along is offered to its requester alone, and answered in their DM."""

import asyncio
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest

from slack_app import private_answers
from slack_app.events import Click
from tests.e2e.conftest import text_of
from tests.e2e.test_images import png
from tests.e2e.test_retry import correct, press

CANARY = "cobalt-heron-17"


def asking(*calls):
    return [{"match": "canary", "steps": [{"tool_calls": list(calls)}, {"text": "Results: {tools}"}]}]


SEARCH = {"name": "search_messages", "args": {"query": CANARY}}


async def ask(world, *calls, channel="ops", user="oncall-a", ask="canary?", **more):
    await world.client.script(asking(*(calls or [SEARCH])))
    ts = await world.client.say(channel, f"<@{world.sandbox.bot_user_id}> {ask}", user=user, **more)
    thread = more.get("thread_ts") or ts
    await world.until_posts(channel, thread)
    return thread


async def offers(world, count=1, seconds=10):
    """What was shown to single persons, once there are so many, and then a moment later."""
    async with asyncio.timeout(seconds):
        while len(await world.client.ephemerals()) < count:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.4)
    return await world.client.ephemerals()


async def no_offer(world, services):
    """Nothing is offered, and nothing waits to be."""
    async with asyncio.timeout(10):
        while await rows(services, "select 1 from procrastinate_jobs where task_name in ('offer', 'answer')"):
            await asyncio.sleep(0.05)
    return await world.client.ephemerals() == [] and not await rows(services, "select 1 from private_offers")


async def rows(services, statement, *params):
    async with services.database.connection() as conn:
        return await (await conn.execute(statement, params)).fetchall()


@asynccontextmanager
async def secretive(world, **options):
    async with world.ratchet(**options) as services:
        for number in range(3):
            await world.client.say("secrets", f"the launch code {number} is {CANARY}", user="oncall-a")
        yield services


async def test_only_the_requester_learns_that_there_is_more_and_is_answered_in_their_own_dm(world):
    async with secretive(world) as services:
        thread = await ask(world)
        (offer,) = await offers(world)
        users = {user["name"]: user["id"] for user in (await world.client.info())["users"]}
        assert offer["user"] == users["oncall-a"] and offer["thread_ts"] == thread
        assert offer["text"].startswith("3 more messages in channels that not everyone here can read match")
        posts = await world.posts("ops", thread)
        assert len(posts) == 1 and "launch code" not in str(posts) and "private" not in str(posts)
        assert "more messages" not in str(await world.client.model_calls())

        clicks = [world.client.click("ops", offer["ts"], "private", user="oncall-a") for _ in range(3)]
        await asyncio.gather(*clicks, return_exceptions=True)  # some come when the button is gone already
        dm = await world.client.dm("oncall-a")
        (question,) = await world.until_posts(dm)
        (answer,) = await world.answers(dm, question["ts"])
        assert "canary?" in question["text"] and "launch code 2" in answer and "#secrets" in answer
        assert await rows(services, "select requester_id, source from turns where source = 'private'") == [
            (users["oncall-a"], "private")
        ]
        assert await rows(services, "select who from audit_logs where action = 'private_answer_asked'") == [
            (users["oncall-a"],)
        ]
        (shown,) = await world.client.ephemerals()
        assert shown["text"] == "I answer that in our direct messages." and not shown["blocks"]
        assert await world.posts(await world.client.dm("oncall-b")) == []
        assert len(await world.posts("ops", thread)) == 1


async def test_nobody_else_can_take_an_offer_and_none_is_taken_twice(world):
    async with secretive(world) as services:
        await ask(world)
        (offer,) = await offers(world)
        value = offer["blocks"][-1]["elements"][0]["value"]
        team = services.slack.identity.team_id

        async def take(user, team_id=team, of=value):
            async with services.database.connection() as conn, conn.transaction():
                return [job.task for job in await private_answers.decide(conn, click(team_id, user, of))]

        assert await take("U0NOBODY") == [] == await take(offer["user"], of="nonsense")
        assert await take(offer["user"], team_id="T0OTHER") == []
        assert await take(offer["user"], of=str(uuid4())) == []
        assert await take(offer["user"]) == ["ask"]
        assert await take(offer["user"]) == []


async def test_a_question_that_is_deleted_after_its_offer_was_taken_is_not_asked(world):
    async with secretive(world) as services:
        thread = await ask(world)
        (offer,) = await offers(world)
        value = offer["blocks"][-1]["elements"][0]["value"]
        team = services.slack.identity.team_id
        async with services.database.connection() as conn, conn.transaction():
            (job,) = await private_answers.decide(conn, click(team, offer["user"], value))
        await world.client.delete("ops", thread)
        async with asyncio.timeout(10):
            while not await rows(services, "select 1 from turns where purged_at is not null"):
                await asyncio.sleep(0.05)
        await services.answering.ask(UUID(job.arguments["turn_id"]))
        assert await rows(services, "select status, question from turns where source = 'private'") == [("failed", "")]
        assert await world.posts(await world.client.dm("oncall-a")) == []


def click(team_id, user, value):
    return Click(team_id, "C1", user, "private", value, None)


@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_question_in_private_knows_its_thread_since_the_last_reset(world, is_reset):
    async with secretive(world):
        root = await world.client.say("ops", "the checkout is broken, who looks?", user="oncall-b")
        if is_reset:
            await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> reset", user="oncall-a", thread_ts=root)
            await world.until_posts("ops", root)
            await world.client.say("ops", "so is the login", user="oncall-b", thread_ts=root)
        await ask(world, thread_ts=root)
        (offer,) = await offers(world)
        await world.client.click("ops", offer["ts"], "private", user="oncall-a")
        (question,) = await world.until_posts(await world.client.dm("oncall-a"))
        await world.answers(await world.client.dm("oncall-a"), question["ts"])
        sent = (await world.client.model_calls())[-1]["messages"]
        shown = str([message for message in sent if message["role"] != "tool"])
        assert ("the checkout is broken" in shown, "so is the login" in shown) == (not is_reset, is_reset)


CALLS = {
    "search in it": ({"name": "search_messages", "args": {"query": CANARY, "channel": "#secrets"}}, "3 more"),
    "search of people, lately": ({"name": "search_messages", "args": {"author": "human", "since": "1h"}}, "3 more"),
    "recent activity": ({"name": "find_recent_activity", "args": {"query": "launch code", "window": "1d"}}, "3 more"),
    "its thread": ({"name": "read_thread", "args": {"permalink": "{link}"}}, "1 more message in"),
    "report": ({"name": "report_channel", "args": {"channel": "secrets", "days": 7}}, "1 more message in"),
    "runbook": ({"name": "lookup_runbook", "args": {"alert": "secretlag"}}, "1 more message in"),
    "channels": ({"name": "list_channels", "args": {}}, "1 more channel that"),
}


@pytest.mark.parametrize("call", CALLS)
async def test_each_tool_that_searches_counts_what_it_could_not_show(world, call):
    tool, told = CALLS[call]
    async with secretive(world):
        ts = await world.client.say("secrets", "[FIRING:1] SecretLag (vault critical)", bot_username="Alertmanager")
        link = next(m["permalink"] for m in await world.client.messages("secrets") if m["ts"] == ts)
        args = {name: link if value == "{link}" else value for name, value in tool["args"].items()}
        await ask(world, {**tool, "args": args})
        (offer,) = await offers(world)
        assert told in offer["text"]


NOTHING = {
    "somebody who is not in the channel": {"user": "oncall-b"},
    "in the private channel itself": {"channel": "secrets"},
    "a question that matches nothing there": {"call": {"name": "search_messages", "args": {"query": "weather report"}}},
    "a query of which only a small part matches": {
        "call": {"name": "search_messages", "args": {"query": "code review of billing invoices, customers, refunds"}}
    },
    "a tool that searches nothing": {"call": {"name": "report_usage", "args": {}}},
    "arguments that mean nothing": {"call": {"name": "search_messages", "args": {"query": CANARY, "since": "never"}}},
}


@pytest.mark.parametrize("case", NOTHING)
async def test_nothing_is_offered_where_there_is_nothing_to_offer(world, case):
    given = dict(NOTHING[case])
    calls = [given.pop("call")] if "call" in given else []
    async with secretive(world) as services:
        await ask(world, *calls, **given)
        assert await no_offer(world, services)


async def test_a_job_that_runs_again_offers_nothing_twice(world):
    async with secretive(world) as services:
        await ask(world)
        await offers(world)
        ((turn_id,),) = await rows(services, "select turn_id from turns where source = 'mention'")
        assert not await services.offering.offer(turn_id)
        assert len(await world.client.ephemerals()) == 1


async def test_who_left_the_channel_before_the_click_is_shown_nothing_of_it(world, monkeypatch):
    monkeypatch.setattr("slack_app.directory.MEMBERSHIP_SECONDS", 0.0)
    async with secretive(world):
        await ask(world)
        (offer,) = await offers(world)
        await world.client.leave("secrets", "oncall-a")
        await world.client.click("ops", offer["ts"], "private", user="oncall-a")
        dm = await world.client.dm("oncall-a")
        (question,) = await world.until_posts(dm)
        (answer,) = await world.answers(dm, question["ts"])
        assert "launch code" not in answer + text_of(question)


async def test_deleting_the_question_takes_its_words_from_the_private_answer_too(world):
    async with secretive(world) as services:
        thread = await ask(world, ask="canary? I mean the zebra-crossing one")
        (offer,) = await offers(world)
        await world.client.click("ops", offer["ts"], "private", user="oncall-a")
        dm = await world.client.dm("oncall-a")
        (question,) = await world.until_posts(dm)
        await world.answers(dm, question["ts"])
        await world.client.delete("ops", thread)
        async with asyncio.timeout(15):
            while await rows(services, "select 1 from turns where question like '%%zebra-crossing%%'"):
                await asyncio.sleep(0.1)
        assert await rows(services, "select count(*) from turns where source = 'private'") == [(1,)]


async def test_a_private_answer_to_a_retry_knows_what_was_asked_first_and_its_images(world):
    async with secretive(world) as services:
        again = {"match": "shorter", "steps": [{"tool_calls": [SEARCH]}, {"text": "Again {images}"}]}
        await world.client.script([again, {"match": "canary", "steps": [{"text": "R"}]}])
        bot = world.sandbox.bot_user_id
        said = f"<@{bot}> canary? I mean the zebra-crossing one"
        thread = await world.client.say("ops", said, user="oncall-a", files=(("shot.png", png()),))
        (post,) = await world.until_posts("ops", thread)
        await correct(world, await press(world, post))
        await world.until_posts("ops", thread, count=2)
        (offer,) = await offers(world)
        await world.client.click("ops", offer["ts"], "private", user="oncall-a")
        dm = await world.client.dm("oncall-a")
        (question,) = await world.until_posts(dm)
        (answer,) = await world.answers(dm, question["ts"])
        assert "zebra-crossing" in question["text"] and "shorter, please" in question["text"]
        assert "Again image/png" in answer
        await world.client.delete("ops", thread)
        async with asyncio.timeout(15):
            while await rows(services, "select 1 from turns where question like '%%zebra-crossing%%'"):
                await asyncio.sleep(0.1)
