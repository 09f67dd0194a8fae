"""Gives messages and documents their vectors, a batch at a time; where it ends, it goes on later or elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from storage import chunk_vectors, vectors
from storage.db import Connection, Database
from storage.vectors import EMBEDDED_CHARS, Space
from tools.context import Embedder, EmbeddingError

BATCH = 64
LOOK_SECONDS = 0.5
STORED_AT_ONCE = 16  # an edit of one of them waits so long


class Waiting(Protocol):
    """What has no vector yet."""

    @property
    def text(self) -> str:
        """What is to be embedded."""


Item = TypeVar("Item", bound=Waiting)


class Queue(Protocol[Item]):
    """What waits for vectors: ``storage.vectors`` for messages, ``storage.chunk_vectors`` for documents."""

    async def claim(self, conn: Connection, space: Space, *, limit: int) -> list[Item]:
        """Take some; nobody else is given them for some minutes."""

    async def release(self, conn: Connection, claimed: Sequence[Item], *, failed: bool) -> None:
        """Give them back."""

    async def store(self, conn: Connection, space: Space, embedded: Sequence[tuple[Item, Sequence[float]]]) -> int:
        """Store their vectors."""


async def open_space(database: Database, embedder: Embedder) -> Space:
    """The embedder's space; where it is new, every message and every document waits for its vectors.

    Raises:
        StorageError: its dimensions are not those of the embedder.
    """
    async with database.connection() as conn:
        return await vectors.open_space(conn, embedder.space, embedder.dimensions)


async def enqueue_missing(database: Database, space: Space) -> None:
    """Let everything that has no vector in this space wait for one."""
    async with database.connection() as conn:
        await vectors.enqueue_missing(conn, space)
        await chunk_vectors.enqueue_missing(conn, space)


async def count_waiting(database: Database) -> int:
    """How many messages and chunks of documents have no vector yet, without those that fail again and again."""
    async with database.connection() as conn:
        return await vectors.count_waiting(conn) + await chunk_vectors.count_waiting(conn)


async def embed_batch(database: Database, embedder: Embedder, space: Space) -> int:
    """Embed waiting messages, the newest first, and where none is left, documents.

    Returns:
        How many were taken, 0 when nothing is left.

    Raises:
        EmbeddingError: the model failed; these wait longer, and other ones come first.
    """
    return await _embed(database, embedder, space, vectors) or await _embed(database, embedder, space, chunk_vectors)


async def _embed(database: Database, embedder: Embedder, space: Space, queue: Queue[Item]) -> int:
    async with database.connection() as conn:
        claimed = await queue.claim(conn, space, limit=BATCH)
    if not claimed:
        return 0
    try:
        found = await embedder.embed_texts([item.text[:EMBEDDED_CHARS] for item in claimed])
    except BaseException as error:
        async with database.connection() as conn:
            await queue.release(conn, claimed, failed=isinstance(error, EmbeddingError))
        raise
    embedded = list(zip(claimed, found, strict=True))
    async with database.connection() as conn:
        for start in range(0, len(embedded), STORED_AT_ONCE):
            await queue.store(conn, space, embedded[start : start + STORED_AT_ONCE])
    return len(claimed)


async def embed_all(database: Database, embedder: Embedder, progress: Callable[[int, int], None]) -> Space:
    """Embed all that has no vector in the embedder's space, and return when none is left.

    May be interrupted and started again at any time, and share the work with others.

    Args:
        database: where the messages and documents are.
        embedder: makes the vectors.
        progress: is told how many are done and how many there are.

    Raises:
        EmbeddingError: the model failed.
    """
    space = await open_space(database, embedder)
    await enqueue_missing(database, space)
    waiting = total = await count_waiting(database)
    while waiting:
        total = max(total, waiting)
        progress(total - waiting, total)
        if not await embed_batch(database, embedder, space):
            await asyncio.sleep(LOOK_SECONDS)  # others have the rest
        waiting = await count_waiting(database)
    progress(total, total)
    return space
