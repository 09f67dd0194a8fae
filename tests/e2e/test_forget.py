"""People and channels are forgotten while Ratchet runs, and what Slack tells afterwards does not bring them back."""

import asyncio
import time

from ratchet.forget import Target, forget
from storage import retention
from storage.retention import Retention
from tests.dumps import places
from tests.e2e.test_deletion import CANARY, QUOTE, SECRET, ask, until_gone

HELLO = {"match": "hello", "steps": [{"text": "Hello {human}"}]}


async def remove(services, kind, name):
    said = []
    assert await forget(services.database, Target(kind, name), say=said.append, confirm=lambda: True), said
    return said


async def ids(world):
    info = await world.client.info()
    return {item["name"]: item["id"] for kind in ("users", "channels") for item in info[kind]}


async def test_a_person_is_forgotten_everywhere_and_others_go_on(world):
    await world.client.script([HELLO, QUOTE])
    known = await ids(world)
    async with world.ratchet() as services:
        await world.client.say("ops", SECRET, user="oncall-b")
        await world.client.say("ops", f"ask <@{known['oncall-b']}> about lunch", user="oncall-a")
        thread, answer = await ask(world, "which code?")
        assert CANARY in answer
        await ask(world, f"code? {CANARY}", user="oncall-b")
        dm = await world.client.dm("oncall-b")
        ts = await world.client.say(dm, f"hello {CANARY}", user="oncall-b")
        await world.answers(dm, ts)
        said = await remove(services, "user", known["oncall-b"])
        for words in (CANARY, known["oncall-b"], "oncall-b"):
            assert await places(services.database, words) == {}, words
        assert said[-1].startswith("removed from")
        _, answer = await ask(world, "hello", thread_ts=thread, count=2)
        assert "ask @someone about lunch" not in answer  # no message of the thread
        ts = await world.client.say(dm, "hello again", user="oncall-b")
        assert (await world.answers(dm, ts))[-1].startswith("Hello")
    async with world.ratchet() as services:  # everybody of the workspace is loaded at each start
        await ask(world, "hello")
        await asyncio.sleep(0.5)
        assert await places(services.database, CANARY) == {}
        assert not {"users.name", "users.user_id"} & set(await places(services.database, "oncall-b"))


async def test_a_channel_is_forgotten_until_ratchet_is_invited_again(world):
    await world.client.script([HELLO, QUOTE])
    await world.client.create_channel("doomed", members=["oncall-a", world.sandbox.bot_user_id])
    channel = (await ids(world))["doomed"]
    async with world.ratchet() as services:
        await world.client.say("doomed", SECRET, user="oncall-a")
        _, answer = await ask(world, "which code?")
        assert CANARY in answer
        await remove(services, "channel", channel)
        assert await places(services.database, CANARY) == {} and await places(services.database, channel) == {}
        await world.client.say("doomed", f"<@{world.sandbox.bot_user_id}> hello {CANARY}", user="oncall-a")
        await ask(world, "hello")
        assert await places(services.database, CANARY) == {}
    async with world.ratchet() as services:  # every channel of Ratchet's is loaded at each start
        await ask(world, "hello")
        await asyncio.sleep(0.5)
        assert await places(services.database, CANARY) == {} and await places(services.database, channel) == {}
        await world.client.leave("doomed", world.sandbox.bot_user_id)
        await world.client.join("doomed", world.sandbox.bot_user_id)
        _, answer = await ask(world, "hello you", channel="doomed")
        assert answer.startswith("Hello")


async def test_an_expired_message_goes_from_answers_that_are_younger(world):
    await world.client.script([QUOTE])
    async with world.ratchet() as services:
        sixty_days_ago = f"{time.time() - 60 * 86400:.6f}"
        await world.client.say("ops", SECRET, user="oncall-b", ts=sixty_days_ago)
        _, answer = await ask(world, "which code?")
        assert CANARY in answer
        await retention.expire(services.database, Retention(channels={"ops": 30}))
        await until_gone(services)
