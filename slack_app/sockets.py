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
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from slack_app.app import SlackError

log = structlog.get_logger()
CHECK_SECONDS = 3.0
FAILED_CHECKS = 3


class Sockets:
    """The open connections, for health: how many live, and how old the last delivery is."""

    def __init__(self, handlers: list[AsyncSocketModeHandler]) -> None:
        self.handlers = handlers
        self._last = time.monotonic()
        for handler in handlers:
            handler.client.socket_mode_request_listeners.append(self._note)

    async def connected(self) -> int:
        """How many connections are up."""
        return sum([bool(await handler.client.is_connected()) for handler in self.handlers])

    def seconds_since_event(self) -> float:
        """Age of the last delivery, or of the start if there was none."""
        return time.monotonic() - self._last

    async def _note(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        self._last = time.monotonic()

    async def watch(self, *, check_seconds: float = CHECK_SECONDS) -> None:
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
                    with contextlib.suppress(Exception):  # tried again at the next check
                        await handler.client.connect_to_new_endpoint(force=True)
                    failed[index] = 0


@asynccontextmanager
async def open_sockets(app: AsyncApp, app_token: str, *, count: int) -> AsyncIterator[Sockets]:
    """Connect ``count`` times and keep it so.

    Raises:
        SlackError: the app token is refused, or Slack cannot be reached.
    """
    handlers = [AsyncSocketModeHandler(app, app_token) for _ in range(count)]
    watchdog: asyncio.Task[None] | None = None
    try:
        try:
            for handler in handlers:
                await handler.connect_async()  # type: ignore[no-untyped-call]
        except SlackApiError as error:
            raise SlackError(
                f"Slack refuses the app token: {error.response.get('error')} (RATCHET_SLACK_APP_TOKEN)"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SlackError(f"Slack's Socket Mode cannot be reached: {error or type(error).__name__}") from error
        sockets = Sockets(handlers)
        watchdog = asyncio.create_task(sockets.watch())
        yield sockets
    finally:
        if watchdog:
            watchdog.cancel()
        for handler in handlers:
            with contextlib.suppress(Exception):  # it is going away in any case
                await handler.close_async()  # type: ignore[no-untyped-call]
