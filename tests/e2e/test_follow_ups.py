"""Replies without a mention: taken as questions where the channel wants that, and only while they are meant so."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from ratchet.sections import FollowUpSettings, Policy, PolicySettings
from slack_app import payloads

ANSWERS = [{"match": "", "steps": [{"text": "Answered."}]}]


def configured(world, **follow_ups):
    policies = PolicySettings(channels={"ops": Policy(auto=["follow_ups"])})
    changed = {"policies": policies, "follow_ups": FollowUpSettings(**follow_ups)}
    return world.settings().model_copy(update=changed)


@asynccontextmanager
async def conversing(world, channel="ops", **follow_ups):
    """A thread of #ops in which oncall-a was answered; yields services and the thread."""
    await world.client.script(ANSWERS)
    async with world.ratchet(settings=configured(world, **follow_ups)) as services:
        ts = await world.client.say(channel, f"<@{world.sandbox.bot_user_id}> why is it slow?", user="oncall-a")
        await world.until_posts(channel, ts)
        yield services, ts


async def reply(world, thread, text, user="oncall-a", channel="ops", **more):
    return await world.client.say(channel, text, user=user, thread_ts=thread, **more)


async def taken(services, world, ts):
    """Whether a message became a turn, once it is stored and all jobs are done; with whose words."""
    async with asyncio.timeout(10):
        while not await rows(services, "select 1 from messages where ts = %s", ts):
            await asyncio.sleep(0.02)
        while await rows(services, "select 1 from procrastinate_jobs where task_name = 'answer'"):
            await asyncio.sleep(0.02)
    return [source for (source,) in await rows(services, "select source from turns where message_ts = %s", ts)]


async def rows(services, statement, *params):
    async with services.database.connection() as conn:
        return await (await conn.execute(statement, params)).fetchall()


async def test_a_reply_of_who_was_answered_is_answered_without_a_mention_and_once(world):
    async with conversing(world) as (services, thread):
        ts = await reply(world, thread, "and in the other region?", copies=3)
        assert len(await world.until_posts("ops", thread, 2)) == 2
        assert await taken(services, world, ts) == ["followup"]
        again = await reply(world, thread, "what about yesterday?")
        assert await taken(services, world, again) == ["followup"]


REFUSED = {
    "somebody whom it did not answer there": ("and in the other region?", {"user": "oncall-b"}),
    "thanks": ("thanks!", {}),
    "thanks, at length": ("ok great, thank you so much", {}),
    "an emoji": (":+1: :tada:", {}),
    "punctuation": ("…", {}),
    "somebody else is mentioned": ("could you look, <@{b}>?", {}),
    "it begins with somebody's name": ("oncall-b, could you look?", {}),
    "it begins with somebody's name, without a comma": ("oncall-b can you take this over?", {}),
    "it begins with a part of somebody's name": ("Oncall? What do you think", {}),
    "it begins with a handle": ("@oncall-b could you look?", {}),
    "everybody is mentioned": ("<!here> could anybody look?", {}),
    "a bot": ("and in the other region?", {"user": None, "bot_username": "Alertmanager"}),
    "broadcast to the channel": ("so what do we do now?", {"broadcast": True}),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_not_meant_for_it_is_left_alone(world, case):
    text, more = REFUSED[case]
    async with conversing(world) as (services, thread):
        users = {user["name"]: user["id"] for user in (await world.client.info())["users"]}
        await services.slack.directory.load_users()
        ts = await reply(world, thread, text.format(b=users["oncall-b"]), **more)
        assert await taken(services, world, ts) == []
        assert len(await world.posts("ops", thread)) == 1


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("Will you look, or is it over?", ["followup"]),
        ("will, could you look?", []),
        ("Will's deploy broke it?", ["followup"]),
        ("ratchet and yesterday?", ["followup"]),
    ],
)
async def test_a_word_that_is_somebodys_name_too_calls_nobody(world, text, called):
    await world.client.create_user("will")
    async with conversing(world) as (services, thread):
        await services.slack.directory.load_users()
        assert await taken(services, world, await reply(world, thread, text)) == called


async def test_without_the_policy_only_mentions_count(world):
    await world.client.create_channel("quiet", members=["oncall-a", world.sandbox.bot_user_id])
    async with conversing(world, "quiet") as (services, thread):
        ts = await reply(world, thread, "and in the other region?", channel="quiet")
        assert await taken(services, world, ts) == []


async def test_in_another_thread_and_outside_of_threads_only_mentions_count(world):
    async with conversing(world) as (services, _):
        other = await world.client.say("ops", "deploying now", user="oncall-b")
        assert await taken(services, world, await reply(world, other, "is it slow too?")) == []
        top = await world.client.say("ops", "and in the other region?", user="oncall-a")
        assert await taken(services, world, top) == []


async def test_people_who_talk_to_each_other_mute_it_for_a_while(world):
    async with conversing(world) as (services, thread):
        await reply(world, thread, "I think it is the cache", user="oncall-b")
        ts = await reply(world, thread, "did you look at the hit rate?")
        assert await taken(services, world, ts) == []
        mention = await reply(world, thread, f"<@{world.sandbox.bot_user_id}> what is the hit rate?")
        assert await taken(services, world, mention) == ["mention"]  # and that makes it Ratchet's thread again
        assert await taken(services, world, await reply(world, thread, "and yesterday?")) == ["followup"]


async def test_after_the_quiet_minutes_replies_count_again(world):
    async with conversing(world, quiet_minutes=0.01) as (services, thread):
        await reply(world, thread, "I think it is the cache", user="oncall-b")
        await asyncio.sleep(0.8)
        assert await taken(services, world, await reply(world, thread, "and in the other region?")) == ["followup"]


async def test_who_mentioned_a_colleague_talks_to_them_next_too(world):
    async with conversing(world) as (services, thread):
        users = {user["name"]: user["id"] for user in (await world.client.info())["users"]}
        await reply(world, thread, f"<@{users['oncall-b']}> look at this")
        assert await taken(services, world, await reply(world, thread, "is that the cache?")) == []


async def test_a_thumb_down_on_the_last_answer_mutes_it(world):
    async with conversing(world) as (services, thread):
        (answer,) = await world.posts("ops", thread)
        await world.client.react("ops", answer["ts"], "oncall-b", "-1")
        async with asyncio.timeout(10):
            while not await rows(services, "select 1 from messages where attrs -> 'reactions' ? '-1'"):
                await asyncio.sleep(0.02)
        assert await taken(services, world, await reply(world, thread, "and in the other region?")) == []


async def test_the_window_closes(world):
    async with conversing(world, minutes=0.01) as (services, thread):
        await asyncio.sleep(0.8)
        assert await taken(services, world, await reply(world, thread, "and in the other region?")) == []


async def test_a_delivery_that_was_held_back_for_long_starts_nothing(world):
    async with conversing(world) as (services, thread):
        await rows(services, "update posts set ts = (ts::numeric - 700)::text where part = 1 returning 1")
        late = f"{time.time() - 301:.6f}"
        assert await taken(services, world, await reply(world, thread, "and in the other region?", ts=late)) == []


async def test_what_is_read_in_history_follows_up_nothing(world):
    async with conversing(world) as (services, thread):
        ts = await reply(world, thread, "and in the other region?", silent=True)
        (told,) = [m for m in await world.client.messages("ops", thread) if m["ts"] == ts]
        channel = (await rows(services, "select channel_id from channels where name = 'ops'"))[0][0]
        message = payloads.parse_message(services.slack.identity.team_id, told, channel, "channel")
        await services.slack.inbox.take_in([message])
        assert await taken(services, world, ts) == []


async def test_a_guest_who_follows_up_may_use_no_tools_either(world):
    await world.client.create_user("visitor", is_restricted=True)
    await world.client.join("ops", "visitor")
    asks = [{"tool_calls": [{"name": "list_channels", "args": {}}]}, {"text": "Results: {tools}"}]
    async with conversing(world) as (services, _):
        await world.client.script([{"match": "", "steps": asks}])
        thread = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> channels?", user="visitor")
        await world.until_posts("ops", thread)
        ts = await reply(world, thread, "really none?", user="visitor")
        assert all("guests" in answer for answer in await world.answers("ops", thread, 2))
        assert await taken(services, world, ts) == ["followup"]
