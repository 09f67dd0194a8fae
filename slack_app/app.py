"""Builds the Bolt app. Socket Mode and HTTP share it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import aiohttp
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from slack_app import private_answers
from slack_app.errors import is_refusal, reason
from slack_app.identity import Identity
from slack_app.inbox import Inbox
from slack_app.listeners import register


class Modals(Protocol):
    """Opens modals; what they decide is taken in when the event is stored."""

    def register(self, app: AsyncApp) -> None:
        """Attach the listeners."""


class SlackError(Exception):
    """Slack cannot be reached or refuses us; the message says which token or URL to look at."""


def build_client(token: str, api_url: str, session: aiohttp.ClientSession, *, patient: bool = True) -> AsyncWebClient:
    """A Web API client on our own session.

    It waits out 429s, unless it is told not to be ``patient``. It has no handler that repeats after a lost
    connection: that posts twice.
    """
    client = AsyncWebClient(token=token, base_url=api_url, session=session, timeout=30)
    client.retry_handlers = [AsyncRateLimitErrorRetryHandler(max_retry_count=5)] if patient else []
    return client


async def identify(client: AsyncWebClient) -> Identity:
    """Ask Slack who we are.

    Raises:
        SlackError: the bot token is refused, or Slack cannot be reached.
    """
    try:
        who = await client.auth_test()
    except SlackApiError as error:
        if is_refusal(error):
            raise SlackError(f"Slack refuses the bot token: {reason(error)} (RATCHET_SLACK_BOT_TOKEN)") from error
        raise SlackError(f"Slack cannot be reached at {client.base_url}: {reason(error)}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # ValueError: no URL, or no header value
        raise SlackError(f"Slack cannot be reached at {client.base_url}: {error or type(error).__name__}") from error
    return Identity(
        str(who["team_id"]), str(who["user_id"]), str(who["bot_id"]), str(who["url"]), str(who.get("user") or "ratchet")
    )


def build_app(client: AsyncWebClient, signing_secret: str | None, inbox: Inbox, *modals: Modals) -> AsyncApp:
    """The Bolt app: every delivery is recorded after the signature check and before anything can drop it."""

    async def record(body: dict[str, Any], next: Callable[[], Awaitable[Any]]) -> None:
        await inbox.record(body)
        await next()

    app = AsyncApp(
        name="ratchet",  # without it, Bolt reads the source of the whole call stack to find one
        client=client,
        signing_secret=signing_secret or "",
        before_authorize=record,
        request_verification_enabled=bool(signing_secret),
    )
    for opened in modals:
        opened.register(app)
    private_answers.register(app)
    register(app)
    return app
