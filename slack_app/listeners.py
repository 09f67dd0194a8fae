"""What Bolt acks. Everything was stored before it gets here (slack_app/inbox.py), so listeners only reply."""

from __future__ import annotations

import re
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

ANYTHING = re.compile(".*")
USAGE = "Ask me something: `/ratchet which alerts fired most in #ops-alerts this week?`"


async def acknowledge_command(ack: AsyncAck, command: dict[str, Any]) -> None:
    """Ack a slash command; without a question, tell the user how to ask one."""
    if str(command.get("text") or "").strip():
        await ack()
    else:
        await ack(text=USAGE, response_type="ephemeral")


async def acknowledge(ack: AsyncAck) -> None:
    """Ack whatever else comes, so that Slack does not deliver it again."""
    await ack()


def register(app: AsyncApp) -> None:
    """Attach the listeners."""
    app.command(ANYTHING)(acknowledge_command)
    for listen in (app.event, app.action, app.shortcut, app.options, app.view, app.view_closed):
        listen(ANYTHING)(acknowledge)
