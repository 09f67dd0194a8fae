"""What Bolt acks. Everything was stored before it gets here (slack_app/inbox.py), so listeners only reply."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.feedback import thanks
from slack_app.footers import FEEDBACK

log = structlog.get_logger()
ANYTHING = re.compile(".*")
USAGE = "Ask me something: `/ratchet which alerts fired most in #ops-alerts this week?`"
VOTES = {
    "runbook_worked": "Noted: this runbook worked.",
    "runbook_failed": "Noted: this runbook did not work. Write in the thread what did, for the next version.",
    "docs_helpful": "Noted: this answer helped.",
    "docs_unhelpful": "Noted: this answer did not help.",
    "docs_draft_update": "An update of the documentation is being drafted; it will be shown in this thread.",
}


async def acknowledge_command(ack: AsyncAck, command: dict[str, Any]) -> None:
    """Ack a slash command; without a question, tell the user how to ask one."""
    if str(command.get("text") or "").strip():
        await ack()
    else:
        await ack(text=USAGE, response_type="ephemeral")


async def acknowledge(ack: AsyncAck) -> None:
    """Ack whatever else comes, so that Slack does not deliver it again."""
    await ack()


async def acknowledge_vote(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
    """Ack a vote, or a wish, which is stored by now, and tell who clicked so if Slack lets us."""
    await ack()
    container = body.get("container") or {}
    try:
        await client.chat_postEphemeral(
            channel=str(container.get("channel_id")),
            user=str(body["user"]["id"]),
            thread_ts=container.get("thread_ts"),
            text=VOTES.get(str(body["actions"][0]["action_id"])) or thanks(body),
        )
    except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
        log.warning("a click's thanks were not shown", error=str(error))


def register(app: AsyncApp) -> None:
    """Attach the listeners."""
    app.command(ANYTHING)(acknowledge_command)
    for action_id in (*VOTES, FEEDBACK):
        app.action(action_id)(acknowledge_vote)
    for listen in (app.event, app.action, app.shortcut, app.options, app.view, app.view_closed):
        listen(ANYTHING)(acknowledge)
