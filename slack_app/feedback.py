"""Votes on answers: what a click on the buttons of slack_app/footers.py does, and the thanks for it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog

from slack_app.events import Click
from slack_app.footers import FEEDBACK, GOOD
from slack_app.jobs import Job
from storage import feedback
from storage.db import Connection

log = structlog.get_logger()


async def decide(conn: Connection, click: Click) -> list[Job] | None:
    """Inside the transaction that stores a click: count it. A value that no button of ours has counts nothing."""
    if click.action_id != FEEDBACK:
        return None
    kind, _, turn_id = click.value.partition(".")
    try:
        await feedback.vote(conn, click.team_id, UUID(turn_id), click.user_id, good=kind == GOOD)
    except ValueError:
        log.warning("a vote on no answer", value=click.value)
    return []


def thanks(body: dict[str, Any]) -> str:
    """What whoever voted is told."""
    if str(body["actions"][0].get("value") or "").startswith(f"{GOOD}."):
        return "Noted: this answer helped. Thank you."
    blocks = (body.get("message") or {}).get("blocks") or []
    can_retry = any(part.get("action_id") == "retry" for block in blocks for part in block.get("elements") or [])
    again = ", or press *Retry from here*" if can_retry else ""
    return f"Noted: this answer did not help. Say what was wrong in this thread{again}, and I will look again."
