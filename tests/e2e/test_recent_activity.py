"""An alert is answered with what people were just saying about the same thing, where a channel turned it on."""

import asyncio

import pytest

from ratchet.recent_activity import is_related
from ratchet.sections import Policy, PolicySettings
from storage.triage import AlertName
from tests.e2e.test_runbooks import FIRING, rows, until


@pytest.fixture
async def running(world):
    """A running Ratchet that posts recent activity unasked; it needs no model for that."""
    settings = world.settings().model_copy(
        update={"policies": PolicySettings(default=Policy(auto=["recent_activity"]))}
    )
    async with world.ratchet(settings=settings) as services:
        yield services


async def said(world, services, channel, text, **who):
    ts = await world.client.say(channel, text, **(who or {"user": "oncall-a"}))
    await until(services, "select 1 from messages where ts = %s", ts)
    return next(m["permalink"] for m in await world.client.messages(channel) if m["ts"] == ts)


async def settled(services, ts):
    await until(
        services, "select 1 from message_steps where ts = %s and step = 'recent_activity' and state = 'done'", ts
    )


async def test_related_words_of_people_are_shown_once_with_their_links_and_nothing_else(world, running):
    link = await said(world, running, "ops", "checkout feels slow since the deploy")
    await said(world, running, "ops", "lunch anyone? high time")
    await said(world, running, "ops", "checkout deployed", bot_username="deploy-bot")
    await said(world, running, "secrets", "checkout had an error like this in the pentest")
    await said(world, running, "ops", f"<@{world.sandbox.bot_user_id}>")
    await world.client.delivery(copies=4, shuffle=True)
    ts = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    (text,) = await world.answers("ops", ts)
    assert link in text and "feels slow since the deploy" in text and text.count("](") == 1
    await asyncio.sleep(0.3)
    assert len(await world.posts("ops", ts)) == 1
    assert await rows(running, "select module from posts where module = 'recent_activity'") == [("recent_activity",)]


async def test_without_related_words_and_for_old_ones_nothing_is_posted(world, running):
    await said(world, running, "ops", "lunch anyone? high time")
    old = await said(world, running, "ops", "checkout is down")
    # Whoever still reads the channel's past would bring the message back to where it was.
    await until(running, "select 1 from channels where name = 'ops' and onboarding_status = 'finished'")
    async with running.database.connection() as conn:
        moved = "update messages set ts = (ts::numeric - 7200)::text where permalink = %s returning 1"
        assert await (await conn.execute(moved, (old,))).fetchall()
    ts = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    await settled(running, ts)
    assert await world.posts("ops", ts) == []


async def test_what_is_said_in_a_private_channel_is_shown_there(world, running):
    await said(world, running, "secrets", "checkout was touched by the pentest")
    ts = await world.client.say("secrets", FIRING, bot_username="Alertmanager")
    (text,) = await world.answers("secrets", ts)
    assert "pentest" in text


@pytest.mark.parametrize(
    ("text", "related"),
    [
        ("checkout is slow", True),
        ("restarting the checkouts", True),
        ("error rates are up", True),
        ("I made an error", False),
        ("lunch?", False),
    ],
)
def test_a_message_is_related_by_a_word_of_the_alerts_own_or_two_common_ones(text, related):
    assert is_related(text, AlertName("checkout", "ErrorRateHigh")) is related
