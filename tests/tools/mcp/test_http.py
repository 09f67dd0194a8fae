"""A server behind a URL."""

import asyncio
import time

from tests.tools.mcp.conftest import ask
from tools.mcp.servers import McpServers


async def test_a_server_behind_a_url_works(opened, http_desk):
    async with opened(http_desk.spec(effects={"add": "read"})) as servers:
        assert isinstance(servers, McpServers)
        assert await ask(servers, "desk__add", a=2, b=3) == ("5", "success")
        text, status = await ask(servers, "desk__large", size=10_000_000)
        assert status == "success" and len(text.encode()) < 65536


async def test_a_server_that_was_restarted_is_asked_again_in_a_new_session(opened, http_desk):
    async with opened(http_desk.spec()) as servers:
        assert (await ask(servers, "desk__count"))[0] == "1"
        await asyncio.to_thread(http_desk.stop)
        await http_desk.start()
        assert await ask(servers, "desk__count") == ("1", "success")


async def test_a_server_that_goes_away_is_said_to_and_found_again(opened, http_desk):
    async with opened(http_desk.spec()) as servers:
        await ask(servers, "desk__count")
        await asyncio.to_thread(http_desk.stop)
        started = time.monotonic()
        text, status = await ask(servers, "desk__add", a=1, b=1)
        assert status == "error" and "desk" in text and time.monotonic() - started < 15
        await http_desk.start()
        assert await ask(servers, "desk__add", a=1, b=1) == ("2", "success")


async def test_a_hung_server_is_given_up_at_the_limit(opened, http_desk):
    async with opened(http_desk.spec(timeout_seconds=0.5)) as servers:
        started = time.monotonic()
        text, status = await ask(servers, "desk__rest", seconds=60)
        assert status == "error" and "no answer within 0.5 s" in text and time.monotonic() - started < 20
        assert await ask(servers, "desk__add", a=1, b=1) == ("2", "success")


async def test_a_response_that_is_too_long_to_hold_is_cut_off(opened, http_desk, monkeypatch):
    monkeypatch.setattr("tools.mcp.http.LARGEST_MESSAGE", 1024 * 1024)
    async with opened(http_desk.spec(timeout_seconds=60)) as servers:
        started = time.monotonic()
        text, status = await ask(servers, "desk__large", size=3_000_000)
        assert status == "error" and "more than 1 MiB" in text and time.monotonic() - started < 20
        assert await ask(servers, "desk__add", a=1, b=1) == ("2", "success")


async def test_a_server_that_dies_in_mid_call_is_not_waited_for(opened, http_desk):
    async with opened(http_desk.spec(timeout_seconds=60)) as servers:
        await ask(servers, "desk__count")
        started = time.monotonic()
        call = asyncio.create_task(ask(servers, "desk__rest", seconds=60))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(http_desk.stop)
        text, status = await call
        assert status == "error" and "cut off" in text and time.monotonic() - started < 20
        await http_desk.start()
        assert await ask(servers, "desk__add", a=1, b=1) == ("2", "success")
