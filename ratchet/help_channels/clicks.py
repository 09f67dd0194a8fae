"""What the buttons in help channels do, in the transaction that stores the click."""

from __future__ import annotations

from uuid import uuid5

from ratchet.help_channels import text
from slack_app.events import Click
from slack_app.jobs import Job, answer_job
from slack_app.questions import NAMESPACE
from storage import help_channels, turns
from storage.db import Connection
from storage.help_channels import QuestionKey
from storage.turns import NewTurn


def key_of(click: Click) -> QuestionKey:
    """The question that a button stands below."""
    return QuestionKey(click.team_id, click.channel_id, click.value)


async def vote(conn: Connection, click: Click) -> list[Job]:
    """Count a vote on an answer."""
    await help_channels.vote(conn, key_of(click), click.user_id, helpful=click.action_id == text.HELPFUL)
    return []


async def draft(conn: Connection, click: Click) -> list[Job]:
    """Have the agent propose an update in the thread, as whoever clicked first asked for it.

    The turn is the proposal's: it has its ts, and a message is asked about once.
    """
    key = key_of(click)
    if not click.message_ts or not await help_channels.may_draft(conn, key, click.user_id):
        return []
    turn = NewTurn(
        turn_id=uuid5(NAMESPACE, "docs_draft:{}:{}:{}".format(*key)),
        team_id=key.team_id,
        channel_id=key.channel_id,
        thread_ts=key.ts,
        message_ts=click.message_ts,
        requester_id=click.user_id,
        source="mention",
        question=text.DRAFT_REQUEST,
    )
    accepted = await turns.insert(conn, turn)
    return [answer_job(key.team_id, key.channel_id, key.ts, turn.turn_id)] if accepted else []


async def decide(conn: Connection, click: Click) -> list[Job] | None:
    """What the buttons in help channels do."""
    match click.action_id:
        case text.HELPFUL | text.UNHELPFUL:
            return await vote(conn, click)
        case text.DRAFT:
            return await draft(conn, click)
        case _:
            return None
