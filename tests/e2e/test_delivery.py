"""The same question by every door, over Socket Mode and over signed HTTP: one answer, in the right place."""

import asyncio
import socket
import time

import aiohttp
import pytest
from pydantic import SecretStr

QUESTION = "which alerts fired?"
RULES = [{"match": "which alerts", "steps": [{"text": "Two of them"}]}]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(params=["socket", "http"])
async def connected(world, request):
    """Ratchet connected in one of the two ways."""
    await world.client.script(RULES)
    if request.param == "socket":
        async with world.ratchet():
            yield world
        return
    address = f"127.0.0.1:{free_port()}"
    settings = world.settings(app_token=None, signing_secret=SecretStr(world.sandbox.signing_secret))
    settings = settings.model_copy(update={"http_addr": address})
    await world.client.delivery(mode="http", request_url=f"http://{address}/slack/events", verify=False)
    async with world.ratchet("slack", "worker", "web", settings=settings):
        yield world


async def test_a_mention_is_answered_in_its_thread(connected):
    ts = await connected.client.say("ops", f"<@{connected.sandbox.bot_user_id}> {QUESTION}", user="oncall-a")
    assert await connected.answers("ops", ts) == ["Two of them"]
    assert await connected.posts("ops") == []


async def test_a_dm_is_answered_in_its_thread(connected):
    channel = await connected.client.dm("oncall-a")
    ts = await connected.client.say(channel, QUESTION, user="oncall-a")
    assert await connected.answers(channel, ts) == ["Two of them"]


async def test_a_command_is_answered_below_its_question(connected):
    response = await connected.client.command("/ratchet", QUESTION, user="oncall-a", channel="ops")
    assert response["ok"]
    (question,) = await connected.until_posts("ops")
    assert question["text"].endswith(f"asked: {QUESTION}")
    assert await connected.answers("ops", question["ts"]) == ["Two of them"]


async def test_buttons_reactions_edits_and_joins_are_acked(connected):
    ts = await connected.client.say("ops", "hello", user="oncall-a")
    await connected.client.edit("ops", ts, "hello again")
    await connected.client.react("ops", ts, "oncall-b", "eyes")
    await connected.client.create_user("newcomer")
    await connected.client.join("ops", "newcomer")
    await connected.client.delete("ops", ts)
    await asyncio.sleep(0.5)
    deliveries = (await connected.client.ledger())["deliveries"]
    assert deliveries and all(delivery["acked_at"] and delivery["attempt"] == 0 for delivery in deliveries)


async def endless():
    """Two mebibytes in chunks, without a length."""
    for _ in range(32):
        yield b"x" * 65536


async def test_unsigned_requests_are_refused(world):
    address = f"127.0.0.1:{free_port()}"
    settings = world.settings(app_token=None, signing_secret=SecretStr(world.sandbox.signing_secret))
    settings = settings.model_copy(update={"http_addr": address})
    stale = {"X-Slack-Request-Timestamp": "1000000000", "X-Slack-Signature": "v0=" + "0" * 64}
    async with world.ratchet("slack", "web", settings=settings), aiohttp.ClientSession(f"http://{address}") as http:
        expected = [({}, 400), (stale, 401), ({**stale, "X-Slack-Request-Timestamp": "soon"}, 400)]
        for headers, status in expected:
            async with http.post("/slack/events", json={"type": "event_callback"}, headers=headers) as response:
                assert response.status == status, await response.text()
        for timestamp in ("9" * 400, "9" * 13):
            headers = {**stale, "X-Slack-Request-Timestamp": timestamp}
            async with http.post("/slack/events", json={}, headers=headers) as response:
                assert response.status == 400
        async with http.post("/slack/events", data=endless(), headers=stale) as response:
            assert response.status == 413
        headers = {**stale, "X-Slack-Request-Timestamp": str(int(time.time()))}
        async with http.post("/slack/events", data=b"\xff", headers=headers) as response:
            assert response.status == 400, await response.text()
        async with http.get("/readyz") as response:
            assert response.status == 200, await response.text()
            assert (await response.json())["checks"]["embeddings"] == "ok, hashing/384"
        async with http.get("/healthz") as response:
            assert response.status == 200


async def test_an_event_that_cannot_be_stored_is_delivered_again(world):
    await world.client.script(RULES)
    await world.client.delivery(retry_delays=[0.2, 0.5, 1.0, 2.0], ack_timeout=0.5)
    async with world.ratchet() as services:
        async with services.database.connection() as conn:
            await conn.execute("alter table inbox_events rename to inbox_events_away")
        ts = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> {QUESTION}", user="oncall-a")
        await asyncio.sleep(0.4)
        async with services.database.connection() as conn:
            await conn.execute("alter table inbox_events_away rename to inbox_events")
        assert await world.answers("ops", ts) == ["Two of them"]
