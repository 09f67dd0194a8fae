"""The fence of a thread: a number that grows each time somebody takes the thread, and that no thread has twice.

Every write of a turn names the number it was given. A worker that was stopped and continued finds its
number outdated and can write no more. The numbers live in the database, so no machine's clock matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storage import db
from storage.db import Connection, StorageError

# A row if the lease is valid, and then nobody takes the thread until the transaction ends.
HELD = "select 1 from thread_leases where thread_key = %(thread_key)s and epoch = %(epoch)s for share"


class LeaseLost(StorageError):
    """Another worker took this thread since; nothing was written."""


@dataclass(frozen=True)
class Lease:
    """The right to write for ``thread_key``, as long as ``epoch`` is the newest."""

    thread_key: str
    epoch: int

    def params(self) -> dict[str, Any]:
        """The values that ``HELD`` binds."""
        return {"thread_key": self.thread_key, "epoch": self.epoch}


async def take(conn: Connection, thread_key: str) -> Lease:
    """Take the thread: from now on every earlier lease is refused."""
    epoch = await db.fetch_value(
        conn,
        # From a sequence: where the row was deleted since, a stale worker's number must not come again.
        "insert into thread_leases (thread_key, epoch) values (%s, nextval('thread_epochs')) "
        "on conflict (thread_key) do update set epoch = nextval('thread_epochs') returning epoch",
        (thread_key,),
    )
    return Lease(thread_key, epoch)


async def hold(conn: Connection, lease: Lease) -> None:
    """Inside a transaction: keep anyone from taking the thread until it ends.

    Raises:
        LeaseLost: the thread was taken already.
    """
    require(await db.fetch_value(conn, HELD, lease.params()), lease)


def require(held: int | None, lease: Lease) -> None:
    """Insist on the row that ``HELD`` found.

    Raises:
        LeaseLost: there was none.
    """
    if held is None:
        raise LeaseLost(f"thread {lease.thread_key}: lease {lease.epoch} is outdated")
