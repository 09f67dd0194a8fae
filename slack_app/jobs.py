"""The jobs that follow from what Slack delivers: their names, locks and arguments. ratchet/jobs/ runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from slack_app.command_words import CommandCall, parse
from slack_app.events import IncomingMessage
from storage import turns
from storage.db import Connection
from storage.messages import NewMessage
from storage.turns import NewTurn

BACKFILL_LOCK = "backfill:{channel_id}"


@dataclass(frozen=True)
class Job:
    """Work for the queue; jobs of one lock run one after the other, in their order."""

    task: Literal[
        "answer", "ask", "onboard", "backfill", "refresh", "read_file", "classify", "process", "report", "purge",
        "revise", "notice", "expire", "command", "offer", "home", "prompts",
    ]  # fmt: skip
    lock: str
    arguments: dict[str, str] = field(default_factory=dict)
    at: datetime | None = None  # not before


class Enqueue(Protocol):
    """Puts jobs in the queue."""

    async def __call__(self, conn: Connection, jobs: Sequence[Job]) -> None:
        """Enqueue them in the caller's transaction."""


def answer_job(team_id: str, channel_id: str, thread_ts: str, turn_id: UUID) -> Job:
    """The job that answers a turn; a thread's turns share a lock."""
    return Job("answer", turns.thread_key(team_id, channel_id, thread_ts), {"turn_id": str(turn_id)})


def command_job(turn: NewTurn, *, response_url: str = "") -> Job:
    """The job that answers a command; only a reset waits for its place among the turns of its thread."""
    in_order = turn.thread_ts and parse(turn.question) == CommandCall("reset")
    lock = (
        turns.thread_key(turn.team_id, turn.channel_id, turn.thread_ts or "") if in_order else f"command:{turn.turn_id}"
    )
    return Job("command", lock, {"turn_id": str(turn.turn_id), "response_url": response_url})


def onboard_job(team_id: str, channel_id: str, *, joined_ts: str | None = None) -> Job:
    """The job that has a channel's past read; ``joined_ts`` is when Ratchet joined, where it just did."""
    lock = BACKFILL_LOCK.format(channel_id=channel_id)
    joined = {"joined_ts": joined_ts} if joined_ts else {}
    return Job("onboard", lock, {"team_id": team_id, "channel_id": channel_id, **joined})


def backfill_job(channel_id: str) -> Job:
    """The job that goes on with what is left to read of a channel."""
    return Job("backfill", BACKFILL_LOCK.format(channel_id=channel_id), {"channel_id": channel_id})


def file_jobs(told: Iterable[IncomingMessage]) -> list[Job]:
    """The jobs that fetch the beginnings of messages' text files."""
    return [
        Job(
            "read_file",
            f"file:{message.channel_id}:{file.file_id}",
            {
                "team_id": message.team_id,
                "channel_id": message.channel_id,
                "ts": message.ts,
                "file_id": file.file_id,
                "name": file.name,
                "mimetype": file.mimetype,
                "url": file.url,
            },
        )
        for message in told
        for file in message.files
        if file.is_unread
    ]


def process_job(team_id: str, channel_id: str, ts: str) -> Job:
    """The job that does what follows by itself from a new message."""
    key = {"team_id": team_id, "channel_id": channel_id, "ts": ts}
    return Job("process", f"steps:{team_id}:{channel_id}:{ts}", key)


def classify_job(message: NewMessage, *, is_new: bool = False) -> Job:
    """The job that has a message read by a program or a model; a message's readings come one after the other.

    What follows by itself from a new message comes after it.
    """
    key = {"team_id": message.team_id, "channel_id": message.channel_id, "ts": message.ts}
    return Job(
        "classify", "classify:{team_id}:{channel_id}:{ts}".format(**key), key | ({"then": "process"} if is_new else {})
    )


def home_job(user_id: str, *, page: int = 0, switch: str = "") -> Job:
    """The job that shows somebody their home anew; ``switch`` is what they clicked and is still to be decided."""
    return Job("home", f"home:{user_id}", {"user_id": user_id, "page": str(page), "switch": switch})


def prompts_job(user_id: str, channel_id: str) -> Job:
    """The job that suggests questions to somebody who looks at their direct messages with Ratchet."""
    return Job("prompts", f"prompts:{user_id}", {"user_id": user_id, "channel_id": channel_id})


PURGE = Job("purge", "purge")  # takes the words of deleted and edited messages from what rests on them
