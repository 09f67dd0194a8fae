"""Makes turns of the messages that are addressed to Ratchet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID, uuid5

from slack_app import stops
from slack_app.command_words import is_stop, parse
from slack_app.events import IncomingMessage
from slack_app.identity import Identity
from slack_app.jobs import Job, answer_job, command_job
from storage import messages, steering, turns
from storage.db import Connection
from storage.turns import NewTurn

NAMESPACE = UUID("5f0f1b0e-3c1d-4b7a-9a62-7261746368e7")


async def accept(
    conn: Connection,
    identity: Identity,
    told: Sequence[IncomingMessage],
    follow_ups: Collection[tuple[str, str]] = (),
) -> list[Job]:
    """Inside a transaction: make turns of the messages that are addressed to Ratchet and were none before.

    One that says just ``stop`` waits for nobody: it is carried out at once, after what was asked before it.

    ``follow_ups`` are the keys of those that are addressed to it without a mention.
    """
    asked = [turn for message in told if (turn := _turn(identity, message, follow_up=message.key in follow_ups))]
    asked = await _newest(conn, identity, asked)
    asked = [replace(turn, aside=parse(turn.question) is not None) for turn in asked]
    accepted = await turns.insert_all(conn, asked) if asked else set()
    jobs = []
    for turn in sorted(asked, key=lambda turn: float(turn.message_ts or 0)):
        if turn.turn_id not in accepted or not turn.thread_ts:
            continue
        accepted.remove(turn.turn_id)  # a mention is told twice, by message and by app_mention
        if is_stop(turn.question) and (stopping := await stops.by_word(conn, turn)) is not None:
            await steering.absorb(conn, [turn.turn_id])
            jobs += stopping
        elif turn.aside:
            jobs.append(command_job(turn))
        else:
            jobs.append(answer_job(turn.team_id, turn.channel_id, turn.thread_ts, turn.turn_id))
    return jobs


async def _newest(conn: Connection, identity: Identity, asked: list[NewTurn]) -> list[NewTurn]:
    """The turns with the newest words of their messages: an edit may have come before what it edits."""
    keys = [(turn.channel_id, turn.message_ts) for turn in asked if turn.message_ts]
    edited = await messages.edited_texts(conn, identity.team_id, keys) if keys else {}
    return [
        replace(turn, question=identity.question_in_stored(edited[key]))
        if (key := (turn.channel_id, turn.message_ts or "")) in edited
        else turn
        for turn in asked
    ]


def _turn(identity: Identity, message: IncomingMessage, *, follow_up: bool) -> NewTurn | None:
    source = identity.addressed_by(message) or ("followup" if follow_up else None)
    if source is None or not message.user_id:
        return None
    return NewTurn(
        turn_id=uuid5(NAMESPACE, f"{message.team_id}:{message.channel_id}:{message.ts}"),
        team_id=message.team_id,
        channel_id=message.channel_id,
        thread_ts=message.thread_ts or message.ts,
        message_ts=message.ts,
        requester_id=message.user_id,
        source=source,
        question=identity.question_in(message),
    )
