"""The jobs that follow from what Slack delivers: their names, locks and arguments. ratchet/jobs/ runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from slack_app.events import IncomingMessage
from storage import turns
from storage.db import Connection
from storage.messages import NewMessage

BACKFILL_LOCK = "backfill:{channel_id}"


@dataclass(frozen=True)
class Job:
    """Work for the queue; jobs of one lock run one after the other, in their order."""

    task: Literal[
        "answer", "ask", "onboard", "backfill", "refresh", "read_file", "classify", "process", "report", "purge",
        "revise", "notice", "expire",
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


PURGE = Job("purge", "purge")  # takes the words of deleted and edited messages from what rests on them
