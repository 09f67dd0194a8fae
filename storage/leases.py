"""The fence of a thread: a number that grows each time somebody takes the thread.

Every write of a turn names the number it was given. A worker that was stopped and continued finds its
number outdated and can write no more. The numbers live in the database, so no machine's clock matters.
"""

from __future__ import annotations

from dataclasses import dataclass

from storage import db
from storage.db import Connection, StorageError


class LeaseLost(StorageError):
    """Another worker took this thread since; nothing was written."""


@dataclass(frozen=True)
class Lease:
    """The right to write for ``thread_key``, as long as ``epoch`` is the newest."""

    thread_key: str
    epoch: int


async def take(conn: Connection, thread_key: str) -> Lease:
    """Take the thread: from now on every earlier lease is refused."""
    epoch = await db.fetch_value(
        conn,
        "insert into thread_leases (thread_key, epoch) values (%s, 1) "
        "on conflict (thread_key) do update set epoch = thread_leases.epoch + 1 returning epoch",
        (thread_key,),
    )
    return Lease(thread_key, epoch)


async def hold(conn: Connection, lease: Lease) -> None:
    """Inside a transaction: keep anyone from taking the thread until it ends.

    Raises:
        LeaseLost: the thread was taken already.
    """
    held = await db.fetch_value(
        conn,
        "select 1 from thread_leases where thread_key = %s and epoch = %s for share",
        (lease.thread_key, lease.epoch),
    )
    if held is None:
        raise LeaseLost(f"thread {lease.thread_key}: lease {lease.epoch} is outdated")
