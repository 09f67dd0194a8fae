"""Socket Mode: several connections, because Slack refreshes each from time to time, and a watchdog."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from slack_app.app import SlackError
from slack_app.errors import is_refusal, reason

log = structlog.get_logger()
CHECK_SECONDS = 3.0
FAILED_CHECKS = 3
SETTLE_SECONDS = 2.0
CONNECT_SECONDS = 10.0  # the SDK itself never gives up, and keeps to the ticket it has


class Handler(AsyncSocketModeHandler):
    """Bolt's handler, which also knows how many deliveries it works on and when the last one came."""

    def __init__(self, app: AsyncApp, app_token: str) -> None:
        super().__init__(app, app_token)
        self.in_flight = 0
        self.last_delivery = time.monotonic()

    async def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]
        """Hand one delivery to Bolt, which acks it."""
        self.in_flight += 1
        self.last_delivery = time.monotonic()
        try:
            await super().handle(client, req)
        finally:
            self.in_flight -= 1


class Sockets:
    """The open connections, for health: how many live, and how old the last delivery is."""

    def __init__(self, handlers: list[Handler]) -> None:
        self.handlers = handlers

    async def connected(self) -> int:
        """How many connections are up."""
        return sum([bool(await handler.client.is_connected()) for handler in self.handlers])

    def seconds_since_event(self) -> float:
        """Age of the last delivery, or of the start if there was none."""
        return time.monotonic() - max(handler.last_delivery for handler in self.handlers)

    async def settle(self, *, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until no delivery is being worked on: closing a socket does not wait for its acks."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(handler.in_flight for handler in self.handlers):  # noqa: ASYNC110 - they are not ours
                    await asyncio.sleep(0.02)

    async def watch(self, *, check_seconds: float = CHECK_SECONDS, connect_seconds: float = CONNECT_SECONDS) -> None:
        """Free connections that are stuck, for ever.

        After one failed handshake the SDK tries the same used-up ticket again and again; without its URL it
        asks Slack for a new one.
        """
        failed = [0] * len(self.handlers)
        while True:
            await asyncio.sleep(check_seconds)
            for index, handler in enumerate(self.handlers):
                up = await handler.client.is_connected()
                failed[index] = 0 if up else failed[index] + 1
                if failed[index] >= FAILED_CHECKS:
                    log.warning("socket stuck, asking Slack for a new one", socket=index)
                    handler.client.wss_uri = None
                    with contextlib.suppress(Exception):  # tried again at the next checks
                        async with asyncio.timeout(connect_seconds):
                            await handler.client.connect_to_new_endpoint(force=True)
                    failed[index] = 0


@asynccontextmanager
async def open_sockets(
    app: AsyncApp, app_token: str, *, count: int, connect_seconds: float = CONNECT_SECONDS
) -> AsyncIterator[Sockets]:
    """Connect ``count`` times, each within ``connect_seconds``, and keep it so.

    Raises:
        SlackError: the app token is refused, or Slack cannot be reached.
    """
    handlers = [Handler(app, app_token) for _ in range(count)]
    sockets = Sockets(handlers)
    watchdog: asyncio.Task[None] | None = None
    try:
        try:
            # The SDK would try a refused token again and again; here its answer is seen.
            await app.client.apps_connections_open(app_token=app_token)
            for handler in handlers:
                async with asyncio.timeout(connect_seconds):
                    await handler.connect_async()  # type: ignore[no-untyped-call]
        except SlackApiError as error:
            if is_refusal(error):
                raise SlackError(f"Slack refuses the app token: {reason(error)} (RATCHET_SLACK_APP_TOKEN)") from error
            raise SlackError(f"Slack's Socket Mode cannot be reached: {reason(error)}") from error
        except TimeoutError as error:
            raise SlackError("Slack's Socket Mode cannot be reached: no connection in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise SlackError(f"Slack's Socket Mode cannot be reached: {error or type(error).__name__}") from error
        watchdog = asyncio.create_task(sockets.watch())
        yield sockets
    finally:
        if watchdog:
            watchdog.cancel()
            await sockets.settle()
        for handler in handlers:
            with contextlib.suppress(Exception):  # it is going away in any case
                await handler.close_async()  # type: ignore[no-untyped-call]
