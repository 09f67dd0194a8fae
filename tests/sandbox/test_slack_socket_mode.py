import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.client import SandboxClient
from sandbox.server import Sandbox, open_sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with open_sandbox() as opened:
        person = opened.workspace.add_user("oncall-a", email="oncall-a@example.com")
        opened.workspace.add_channel("ops", members=[person.id, opened.bot_user_id])
        opened.workspace.add_channel("elsewhere", members=[person.id])
        yield opened


@pytest.fixture
async def people(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    async with SandboxClient(sandbox.url) as client:
        yield client


@pytest.fixture
def app(sandbox: Sandbox) -> AsyncApp:
    return AsyncApp(client=AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.slack_api_url))


@pytest.fixture
async def connect(sandbox: Sandbox, app: AsyncApp) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    handlers = []

    async def open_socket(ping_interval: float = 10) -> AsyncSocketModeHandler:
        handler = AsyncSocketModeHandler(app, sandbox.app_token, ping_interval=ping_interval)
        handlers.append(handler)
        await handler.connect_async()
        return handler

    yield open_socket
    for handler in handlers:
        await handler.close_async()


async def until(condition: Callable[[], Any], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def raw_socket(sandbox: Sandbox, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    socket = await session.ws_connect(f"{sandbox.url}/socket?ticket={sandbox.slack.sockets.new_ticket()}")
    assert (await socket.receive_json())["type"] == "hello"
    return socket


async def test_a_mention_is_answered_once(sandbox: Sandbox, people: SandboxClient, app: AsyncApp, connect: Any) -> None:
    seen = []

    @app.event("message")
    async def on_message(event: dict[str, Any]) -> None:
        seen.append(event["type"])

    @app.event("app_mention")
    async def on_mention(event: dict[str, Any], say: Any) -> None:
        seen.append(event["type"])
        await say("On it.", thread_ts=event["ts"])

    await connect()
    async with people.watch() as items:
        ts = await people.say("ops", f"<@{sandbox.bot_user_id}> what broke?", user="oncall-a")
        shown = [await anext(items), await anext(items)]
    assert [item["type"] for item in shown] == ["message", "message"]
    assert [m["text"] for m in await people.messages("ops", ts)][1:] == ["On it."]
    await until(lambda: all(d.acked_at for d in sandbox.slack.ledger.deliveries))
    assert sorted(seen) == ["app_mention", "message"]
    assert [d.event_type for d in sandbox.slack.ledger.deliveries].count("message") == 2


async def test_an_event_without_ack_comes_again_with_its_number(sandbox: Sandbox, people: SandboxClient) -> None:
    await people.delivery(ack_timeout=0.1, retry_delays=[0, 0.05])
    async with aiohttp.ClientSession() as session, await raw_socket(sandbox, session) as socket:
        await people.say("ops", "disk full", user="oncall-a")
        envelopes = [await socket.receive_json() for _ in range(3)]
        assert [e["retry_attempt"] for e in envelopes] == [0, 1, 2]
        assert [e["retry_reason"] for e in envelopes] == ["", "timeout", "timeout"]
        assert len({e["payload"]["event_id"] for e in envelopes}) == 1
        await socket.send_json({"envelope_id": envelopes[2]["envelope_id"]})
        await until(lambda: sandbox.slack.ledger.deliveries[-1].acked_at)
    deliveries = (await people.ledger())["deliveries"]
    assert [d["attempt"] for d in deliveries] == [0, 1, 2]
    assert [d["acked_at"] is None for d in deliveries] == [True, True, False]
    assert deliveries[2]["ms"] >= 0


async def test_an_event_on_a_dead_socket_goes_to_another(sandbox: Sandbox, people: SandboxClient) -> None:
    async with aiohttp.ClientSession() as session:
        first = await raw_socket(sandbox, session)
        await people.say("ops", "disk full", user="oncall-a")
        lost = await first.receive_json()
        assert await people.disconnect("abrupt") == 1
        second = await raw_socket(sandbox, session)
        found = await second.receive_json()
        assert found["payload"] == lost["payload"]
        assert (found["retry_attempt"], found["retry_reason"]) == (1, "connection_failed")
        await second.close()
        await first.close()


async def test_events_wait_for_the_first_socket(
    sandbox: Sandbox, people: SandboxClient, app: AsyncApp, connect: Any
) -> None:
    texts = []

    @app.event("message")
    async def on_message(event: dict[str, Any]) -> None:
        texts.append(event["text"])

    for number in range(200):
        await people.say("ops", f"alert {number}", user="oncall-a")
    assert (await people.info())["waiting"] == 200
    await connect()
    await until(lambda: len(texts) == 200)
    assert set(texts) == {f"alert {number}" for number in range(200)}


@pytest.mark.parametrize("reason", ["refresh_requested", "abrupt", "too_many_websockets"])
async def test_the_client_comes_back_after_a_disconnect(
    sandbox: Sandbox, people: SandboxClient, app: AsyncApp, connect: Any, reason: str
) -> None:
    texts = []

    @app.event("message")
    async def on_message(event: dict[str, Any]) -> None:
        texts.append(event["text"])

    handler = await connect(ping_interval=0.2)
    await until(lambda: sandbox.slack.sockets.connected == 1)
    before = handler.client.current_session
    assert await people.disconnect(reason) == 1
    await until(lambda: handler.client.current_session is not before and sandbox.slack.sockets.connected == 1)
    await people.say("ops", "still there?", user="oncall-a")
    await until(lambda: texts == ["still there?"])


async def test_pings_are_answered_for_longer_than_the_client_waits(
    sandbox: Sandbox, app: AsyncApp, connect: Any
) -> None:
    handler = await connect(ping_interval=0.1)
    session = handler.client.current_session
    first = handler.client.last_ping_pong_time
    await asyncio.sleep(0.8)
    assert handler.client.last_ping_pong_time != first
    assert handler.client.current_session is session
    assert await handler.client.is_connected()


async def test_copies_carry_the_same_event_id(sandbox: Sandbox, people: SandboxClient) -> None:
    async with aiohttp.ClientSession() as session, await raw_socket(sandbox, session) as socket:
        await people.say("ops", "once", user="oncall-a", copies=3)
        envelopes = [await socket.receive_json() for _ in range(3)]
    assert len({e["payload"]["event_id"] for e in envelopes}) == 1
    assert len({e["envelope_id"] for e in envelopes}) == 3


async def test_a_paused_delivery_keeps_events_until_it_goes_on(sandbox: Sandbox, people: SandboxClient) -> None:
    async with aiohttp.ClientSession() as session, await raw_socket(sandbox, session) as socket:
        await people.delivery(paused=True)
        await people.say("ops", "later", user="oncall-a")
        with pytest.raises(TimeoutError):
            await socket.receive_json(timeout=0.1)
        await people.delivery(paused=False)
        assert (await socket.receive_json())["payload"]["event"]["text"] == "later"


async def test_shuffled_events_all_arrive_in_another_order(sandbox: Sandbox, people: SandboxClient) -> None:
    await people.delivery(shuffle=True)
    texts = [str(number) for number in range(30)]
    async with aiohttp.ClientSession() as session, await raw_socket(sandbox, session) as socket:
        await asyncio.gather(*(people.say("ops", text, user="oncall-a") for text in texts))
        seen = [(await socket.receive_json())["payload"]["event"]["text"] for _ in texts]
    assert sorted(seen) == sorted(texts)
    assert seen != sorted(seen, key=int)


async def test_events_of_channels_without_the_bot_stay_there(sandbox: Sandbox, people: SandboxClient) -> None:
    await people.say("elsewhere", f"<@{sandbox.bot_user_id}> hello?", user="oncall-a")
    assert (await people.info())["waiting"] == 0


async def test_a_ticket_is_good_for_one_connection(sandbox: Sandbox) -> None:
    client = AsyncWebClient(base_url=sandbox.slack_api_url)
    url = (await client.apps_connections_open(app_token=sandbox.app_token))["url"]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            await socket.receive_json()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_the_eleventh_socket_is_sent_away(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as session:
        sockets = [await raw_socket(sandbox, session) for _ in range(10)]
        url = f"{sandbox.url}/socket?ticket={sandbox.slack.sockets.new_ticket()}"
        async with session.ws_connect(url) as extra:
            assert (await extra.receive_json())["reason"] == "too_many_websockets"
        assert sandbox.slack.sockets.connected == 10
        for socket in sockets:
            await socket.close()
