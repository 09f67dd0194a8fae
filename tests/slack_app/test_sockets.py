"""Connections that stay up, and what is said when they cannot be opened."""

import asyncio
import contextlib

import aiohttp
import pytest
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from slack_app.app import SlackError, build_app, build_client, identify
from slack_app.inbox import Inbox
from slack_app.sockets import open_sockets


@pytest.fixture
async def app(slack, database, enqueue):
    return build_app(slack, None, Inbox(database, await identify(slack), enqueue))


@pytest.fixture
async def opened(app, sandbox):
    """Two connections, and a watchdog that looks often."""
    async with open_sockets(app, sandbox.app_token, count=2) as sockets:
        watchdog = asyncio.create_task(sockets.watch(check_seconds=0.05))
        yield sockets
        watchdog.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watchdog


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_an_event_over_a_socket_is_stored_and_acked(opened, people, sandbox, rows):
    await people.say("ops", f"<@{sandbox.bot_user_id}> why?", user="oncall-a")

    async def acked():
        deliveries = (await people.ledger())["deliveries"]
        return len(deliveries) >= 2 and all(delivery["acked_at"] for delivery in deliveries)

    await until(acked)
    assert await opened.connected() == 2 and opened.seconds_since_event() >= 0
    assert await rows("select question from turns") == [("why?",)]


@pytest.mark.parametrize("reason", ["refresh_requested", "abrupt"])
async def test_a_connection_that_slack_ends_comes_back(opened, people, rows, reason):
    assert await people.disconnect(reason) == 2

    async def both():
        return (await people.info())["sockets"] == 2 and await opened.connected() == 2

    await until(both)
    await people.say("ops", "after it", user="oncall-a")

    async def stored():
        return await rows("select text from messages where text = 'after it'") != []

    await until(stored)


async def break_off(client):
    """Ends a connection; the next ticket that its client gets is the used one, which is returned."""
    used, ask_slack = client.wss_uri, client.issue_new_wss_url

    async def answer_with_the_used_ticket():
        client.issue_new_wss_url = ask_slack
        return used

    client.issue_new_wss_url = answer_with_the_used_ticket
    await client.current_session.close()
    return used


async def test_a_connection_that_is_stuck_on_a_used_ticket_is_freed(opened, people):
    client = opened.handlers[0].client
    used = await break_off(client)
    stuck = asyncio.create_task(client.connect_to_new_endpoint())  # tries it again and again, holding the lock

    async def both():
        return (await people.info())["sockets"] == 2 and await opened.connected() == 2

    await until(both)
    assert client.wss_uri != used
    stuck.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await stuck


async def test_a_watchdog_whose_own_handshake_fails_asks_for_another_ticket(app, sandbox):
    async with open_sockets(app, sandbox.app_token, count=1) as sockets:
        client = sockets.handlers[0].client
        used = await break_off(client)
        watchdog = asyncio.create_task(sockets.watch(check_seconds=0.05, connect_seconds=0.3))
        await until(client.is_connected, seconds=4)
        watchdog.cancel()
    assert client.wss_uri != used


async def test_a_handshake_that_fails_at_the_start_is_told(app, sandbox, monkeypatch):
    async def answer_with_a_wrong_address(client):
        return "ws://127.0.0.1:9/"

    monkeypatch.setattr(SocketModeClient, "issue_new_wss_url", answer_with_a_wrong_address)
    async with asyncio.timeout(3):
        with pytest.raises(SlackError, match=r"^Slack's Socket Mode cannot be reached: no connection in time$"):
            async with open_sockets(app, sandbox.app_token, count=1, connect_seconds=0.2):
                pass


async def test_a_refused_app_token_is_told_with_its_setting(app):
    with pytest.raises(SlackError, match=r"^Slack refuses the app token: \w+ \(RATCHET_SLACK_APP_TOKEN\)$"):
        async with open_sockets(app, "xapp-wrong", count=1):
            pass


async def test_a_refused_bot_token_is_told_with_its_setting(sandbox):
    async with aiohttp.ClientSession() as session:
        with pytest.raises(SlackError, match=r"^Slack refuses the bot token: \w+ \(RATCHET_SLACK_BOT_TOKEN\)$"):
            await identify(build_client("xoxb-wrong", sandbox.slack_api_url, session))


async def test_a_slack_that_is_down_is_told_with_its_address(app):
    async with aiohttp.ClientSession() as session:
        client = build_client("xoxb-any", "http://127.0.0.1:9/api/", session)
        with pytest.raises(SlackError, match=r"^Slack cannot be reached at http://127\.0\.0\.1:9/api/: "):
            await identify(client)
        app._async_client = client
        with pytest.raises(SlackError, match=r"^Slack's Socket Mode cannot be reached: "):
            async with open_sockets(app, "xapp-any", count=1):
                pass


async def test_a_slack_that_is_ill_does_not_count_as_a_refused_token(slack, people):
    await people.fault("auth.test", "http", status=503)
    with pytest.raises(SlackError, match="503") as error:
        await identify(slack)
    assert "token" not in str(error.value)
