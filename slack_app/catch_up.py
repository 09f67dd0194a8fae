"""Asks Slack what was said in a thread just before a question, so that questions are answered in their order.

Slack delivers in no order, and to whichever replica it likes: when a question's job starts, the one that was asked
before it may still be on its way to another process. Only Slack knows. What it names is taken in as if it had been
delivered; the delivery itself then changes nothing.
"""

from __future__ import annotations

import asyncio

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.inbox import Inbox
from slack_app.payloads import SPOKEN, parse_message
from storage.turns import Turn

log = structlog.get_logger()
YOUNG_SECONDS = 5.0  # deliveries take far less; what an outage held back is no matter of order
PATIENCE_SECONDS = 2.0
# Of a burst, all is stored before the first turn begins: Slack waits for its acks, and it may hold an earlier question.
QUIET_SECONDS = 0.25
MOST = 100


class CatchUp:
    """Takes in what stands before a question.

    Args:
        client: one that does not wait out a 429: order is worth less than an answer.
        inbox: takes messages in.
    """

    def __init__(self, client: AsyncWebClient, inbox: Inbox) -> None:
        self._client = client
        self._inbox = inbox

    async def before(self, turn: Turn) -> None:
        """Take in what was said in the turn's thread shortly before it. It never fails: it is logged instead."""
        await self._inbox.quiet(QUIET_SECONDS)
        if turn.message_ts is None or turn.thread_ts in {None, turn.message_ts}:
            return  # a question that begins its thread has none before it
        try:
            asked_at = float(turn.message_ts)
            async with asyncio.timeout(PATIENCE_SECONDS):
                page = await self._client.conversations_replies(
                    channel=turn.channel_id,
                    ts=str(turn.thread_ts),
                    oldest=f"{asked_at - YOUNG_SECONDS:.6f}",
                    latest=turn.message_ts,
                    inclusive=False,
                    limit=MOST,
                )
                kind = "im" if turn.source == "dm" else None
                told = [  # Slack names the thread's first message too, however old it is
                    parse_message(turn.team_id, message, turn.channel_id, kind)
                    for message in page["messages"]
                    if message.get("subtype") in SPOKEN and asked_at - YOUNG_SECONDS < float(message["ts"]) < asked_at
                ]
                await self._inbox.take_in(told)
        except Exception as error:
            log.warning("thread not caught up", channel_id=turn.channel_id, error=str(error) or type(error).__name__)
