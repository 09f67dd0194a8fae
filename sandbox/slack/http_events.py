"""Signed HTTP requests to the app, the way to it without Socket Mode."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from urllib.parse import urlencode

import aiohttp

from sandbox.slack.delivery import Dispatcher, Envelope
from sandbox.slack.ledger import Delivery

_CONCURRENT = 200


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's signature, version 0: https://docs.slack.dev/authentication/verifying-requests-from-slack."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


class HttpEvents:
    """Posts envelopes to the request URL; only a 200 acks.

    Args:
        dispatcher: Where envelopes come from and results go.
        signing_secret: What requests are signed with.
    """

    def __init__(self, dispatcher: Dispatcher, signing_secret: str) -> None:
        self._dispatcher = dispatcher
        self._secret = signing_secret
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def is_open(self) -> bool:
        """Whether there is a URL to post to, and fewer than 200 requests under way."""
        return self._dispatcher.settings.request_url is not None and len(self._tasks) < _CONCURRENT

    def send(self, envelope: Envelope) -> None:
        """Post in the background."""
        task = asyncio.create_task(self._deliver(envelope))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def verify(self) -> bool:
        """Whether the URL answers the challenge that Slack sends when it is configured."""
        challenge = secrets.token_hex(16)
        body = json.dumps({"type": "url_verification", "token": "sandbox", "challenge": challenge}).encode()
        try:
            status, text, _ = await self._post(body, "application/json", {})
        except (aiohttp.ClientError, TimeoutError):
            return False
        return status == 200 and challenge in text

    async def close(self) -> None:
        """Cancel what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session:
            await self._session.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._dispatcher.pump()

    async def _deliver(self, envelope: Envelope) -> None:
        delivery = self._dispatcher.sent(envelope)
        headers = {}
        if envelope.attempt:
            headers = {"X-Slack-Retry-Num": str(envelope.attempt), "X-Slack-Retry-Reason": envelope.reason}
        body, content_type = self._encode(envelope)
        try:
            status, text, retries = await self._post(body, content_type, headers)
        except TimeoutError:
            self._dispatcher.failed(envelope, delivery, "http_timeout")
        except aiohttp.ClientError:
            self._dispatcher.failed(envelope, delivery, "connection_failed")
        else:
            self._finish(envelope, delivery, status, text, retries)

    def _finish(self, envelope: Envelope, delivery: Delivery, status: int, text: str, retries: bool) -> None:
        delivery.status = status
        if status != 200:
            self._dispatcher.failed(envelope, delivery, "http_error", final=not retries)
            return
        try:
            answer = json.loads(text) if text.startswith("{") else text or None
        except ValueError:
            answer = text
        self._dispatcher.acked(envelope, delivery, answer)

    @staticmethod
    def _encode(envelope: Envelope) -> tuple[bytes, str]:
        if envelope.kind == "events_api":
            return json.dumps(envelope.payload).encode(), "application/json"
        form = {"payload": json.dumps(envelope.payload)} if envelope.kind == "interactive" else envelope.payload
        return urlencode(form).encode(), "application/x-www-form-urlencoded"

    async def _post(self, body: bytes, content_type: str, headers: dict[str, str]) -> tuple[int, str, bool]:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONCURRENT))
        url = self._dispatcher.settings.request_url or ""
        timestamp = str(int(time.time()))
        signed = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign(self._secret, timestamp, body),
            **headers,
        }
        timeout = aiohttp.ClientTimeout(total=self._dispatcher.settings.ack_timeout)
        async with self._session.post(url, data=body, headers=signed, timeout=timeout) as response:
            retries = response.headers.get("X-Slack-No-Retry") != "1"
            return response.status, await response.text(), retries
