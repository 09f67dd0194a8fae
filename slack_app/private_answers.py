"""The offer to answer a question again in private: who sees it, and what its button does.

That something was left out of an answer is itself for nobody but the requester: they alone are shown the offer, and
nobody else's click counts.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from slack_app.events import Click
from slack_app.jobs import Job
from storage import audit, offers
from storage.db import Connection

log = structlog.get_logger()
ACTION = "private"
TAKEN = "I answer that in our direct messages."


def show_offer(text: str, turn_id: str) -> list[dict[str, Any]]:
    """The offer as Slack blocks."""
    button = {
        "type": "button",
        "text": {"type": "plain_text", "text": "Show me privately"},
        "action_id": ACTION,
        "value": turn_id,
    }
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "actions", "elements": [button]},
    ]


async def decide(conn: Connection, click: Click) -> list[Job] | None:
    """Inside the transaction that stores the click: have the question asked in the requester's direct messages."""
    if click.action_id != ACTION:
        return None
    try:
        offer = await offers.take(conn, click.team_id, UUID(click.value), click.user_id)
    except ValueError:
        log.warning("a click on no offer", value=click.value)
        return []
    if offer is None:
        return []
    details = {"turn_id": str(offer.turn_id), "private_turn_id": str(offer.private_turn_id)}
    await audit.record(conn, who=click.user_id, action="private_answer_asked", details=details)
    return [Job("ask", f"command:{offer.private_turn_id}", {"turn_id": str(offer.private_turn_id)})]


def register(app: AsyncApp) -> None:
    """Attach the listener; by then the click is stored with what follows from it."""
    app.action(ACTION)(_acknowledge)


async def _acknowledge(ack: AsyncAck, respond: AsyncRespond) -> None:
    await ack()
    try:
        await respond(TAKEN, replace_original=True)
    except Exception as error:  # a courtesy: the answer comes all the same
        log.warning("an offer was not taken down", error=str(error) or type(error).__name__)
