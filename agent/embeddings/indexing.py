"""Gives messages their vectors, a batch at a time; where it ends, it goes on later or elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from storage import vectors
from storage.db import Database
from storage.vectors import EMBEDDED_CHARS, Space
from tools.context import Embedder, EmbeddingError

BATCH = 64
LOOK_SECONDS = 0.5
STORED_AT_ONCE = 16  # an edit of one of them waits so long


async def open_space(database: Database, embedder: Embedder) -> Space:
    """The embedder's space; where it is new, every message waits for a vector.

    Raises:
        StorageError: its dimensions are not those of the embedder.
    """
    async with database.connection() as conn:
        return await vectors.open_space(conn, embedder.space, embedder.dimensions)


async def embed_batch(database: Database, embedder: Embedder, space: Space) -> int:
    """Embed waiting messages, the newest first; returns how many were taken, 0 when none is left.

    Raises:
        EmbeddingError: the model failed; these messages wait longer, and other ones come first.
    """
    async with database.connection() as conn:
        claimed = await vectors.claim(conn, space, limit=BATCH)
    if not claimed:
        return 0
    try:
        found = await embedder.embed_texts([message.text[:EMBEDDED_CHARS] for message in claimed])
    except BaseException as error:
        async with database.connection() as conn:
            await vectors.release(conn, claimed, failed=isinstance(error, EmbeddingError))
        raise
    embedded = list(zip(claimed, found, strict=True))
    async with database.connection() as conn:
        for start in range(0, len(embedded), STORED_AT_ONCE):
            await vectors.store(conn, space, embedded[start : start + STORED_AT_ONCE])
    return len(claimed)


async def embed_all(database: Database, embedder: Embedder, progress: Callable[[int, int], None]) -> Space:
    """Embed every message that has no vector in the embedder's space, and return when none is left.

    May be interrupted and started again at any time, and share the work with others.

    Args:
        database: where the messages are.
        embedder: makes the vectors.
        progress: is told how many are done and how many there are.

    Raises:
        EmbeddingError: the model failed.
    """
    space = await open_space(database, embedder)
    async with database.connection() as conn:
        await vectors.enqueue_missing(conn, space)
        total = await vectors.count_waiting(conn)
    waiting = total
    while waiting:
        total = max(total, waiting)
        progress(total - waiting, total)
        if not await embed_batch(database, embedder, space):
            await asyncio.sleep(LOOK_SECONDS)  # others have the rest
        async with database.connection() as conn:
            waiting = await vectors.count_waiting(conn)
    progress(total, total)
    return space
