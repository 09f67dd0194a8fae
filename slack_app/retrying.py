"""Retry from here: a button below an answer, a modal that asks what should be different, and a turn of its own."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import aiohttp
import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app import payloads
from slack_app.errors import reason
from slack_app.events import Click
from slack_app.footers import RETRY
from slack_app.jobs import Job, answer_job
from slack_app.questions import NAMESPACE
from storage import audit, retries, turns
from storage.access import Viewer
from storage.db import Connection, Database
from storage.retries import Retried
from storage.turns import NewTurn

log = structlog.get_logger()
SUBMITTED = f"{RETRY}:submitted"
INPUT = "input"
LONGEST = 1000
GONE = "This answer is not kept any more, or something that it rested on was removed. Please ask again."
TWICE = "You asked for this very correction already; its answer stands in the thread, or is on its way."
WORDLESS = "Nothing was said about what should be different, so nothing was done."


class Retrying:
    """Takes corrections in. Whoever can press the button may ask in its thread, and the new turn is theirs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def decide(self, conn: Connection, click: Click) -> list[Job] | None:
        """Inside the transaction that stores a click: the new turn, and the jobs that follow."""
        if click.action_id not in {RETRY, SUBMITTED}:
            return None
        retried = await self._find(conn, click)
        if retried is None or retried.is_erased:
            return _notice(click, retried, GONE)
        if click.action_id == RETRY:
            return []
        correction = click.text.strip()[:LONGEST]
        if not correction:
            return _notice(click, retried, WORDLESS)
        turn = NewTurn(
            turn_id=uuid5(NAMESPACE, f"retry:{retried.turn_id}:{click.user_id}:{correction}"),
            team_id=retried.team_id,
            channel_id=retried.channel_id,
            thread_ts=retried.thread_ts,
            message_ts=None,
            requester_id=click.user_id,
            source="retry",
            question=correction,
            retry_of=retried.turn_id,
        )
        if not await turns.insert(conn, turn):
            return _notice(click, retried, TWICE)
        details = {"turn_id": str(turn.turn_id), "retry_of": str(retried.turn_id), "channel_id": retried.channel_id}
        await audit.record(conn, who=click.user_id, action="answer_retried", details=details)
        return [answer_job(turn.team_id, turn.channel_id, retried.thread_ts or "", turn.turn_id)]

    def register(self, app: AsyncApp) -> None:
        """Attach the listener that opens the modal."""
        app.action(RETRY)(self._open)

    async def _find(self, conn: Connection, click: Click) -> Retried | None:
        try:
            turn_id = UUID(click.value)
        except ValueError:
            return None
        return await retries.find(conn, Viewer(click.team_id, click.user_id, click.channel_id), turn_id)

    async def _open(self, ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        """Ask what should be different. Where that cannot be done any more, it was said when the click was stored."""
        await ack()
        click = payloads.parse(body).event
        if not isinstance(click, Click):
            return
        async with self._database.connection() as conn:
            retried = await self._find(conn, click)
        if retried is None or retried.is_erased:
            return
        try:
            await client.views_open(trigger_id=str(body["trigger_id"]), view=modal(click.value))
        except SlackApiError as error:
            log.warning("a modal was not opened", turn_id=click.value, error=reason(error))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("a modal was not opened", turn_id=click.value, error=str(error))


def modal(value: str) -> dict[str, Any]:
    """The modal that asks for the correction; ``value`` comes back with what is written."""
    return {
        "type": "modal",
        "callback_id": RETRY,
        "private_metadata": value,
        "title": {"type": "plain_text", "text": "Retry from here"},
        "submit": {"type": "plain_text", "text": "Retry"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [
            {
                "type": "input",
                "block_id": INPUT,
                "label": {"type": "plain_text", "text": "What should be different?"},
                "hint": {
                    "type": "plain_text",
                    "text": "What was found stays; the new answer is posted below, in the same thread.",
                },
                "element": {
                    "type": "plain_text_input",
                    "action_id": INPUT,
                    "multiline": True,
                    "max_length": LONGEST,
                },
            }
        ],
    }


def _notice(click: Click, retried: Retried | None, text: str) -> list[Job]:
    """Tell whoever clicked, where they did."""
    channel_id = click.channel_id or (retried.channel_id if retried else "")
    if not channel_id:
        log.info("a click on an answer that is gone", user_id=click.user_id)
        return []
    told = {"channel_id": channel_id, "user_id": click.user_id, "text": text}
    if retried and retried.thread_ts and channel_id == retried.channel_id:
        told["thread_ts"] = retried.thread_ts
    return [Job("notice", f"notice:{click.user_id}", told)]
