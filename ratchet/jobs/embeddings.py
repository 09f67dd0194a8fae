"""Embedding: messages and documents get their vectors within seconds, however they came.

A loop in each worker looks at the queues in the database. A job for each message would cost the ack
path a second insert and a notification; a look at an empty queue costs a tenth of a millisecond. Several processes
share the work: nobody is given what another one has.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import structlog
from procrastinate import Blueprint, JobContext

from agent.embeddings import indexing
from ratchet.jobs import maintenance
from storage import search, vectors
from storage.db import Database
from storage.vectors import Space
from tools.context import Embedder, EmbeddingError

log = structlog.get_logger()
LOOK_SECONDS = 1.0
FAILED_SECONDS = 5.0  # doubles up to the longest
LONGEST_SECONDS = 60.0
SWEEP_SECONDS = 600.0  # for what another process embedded in another space
GROWN, DAYS = 0.1, 1.0  # when words are counted again
blueprint = Blueprint()


class ReplacedError(Exception):
    """The space was dropped, by a reindexing with another model."""


@blueprint.periodic(cron="*/2 * * * *")
@blueprint.task(name="count_words", queue=maintenance.QUEUE, pass_context=True, queueing_lock="count_words")
async def count_words(context: JobContext, timestamp: int) -> None:
    """Count how common each word is, once there are a tenth more messages, or daily."""
    database: Database = context.additional_context["database"]
    async with database.connection() as conn:
        await search.refresh_counts(conn, grown=GROWN, days=DAYS)


async def keep_embedded(database: Database, embedder: Embedder, stop: asyncio.Event) -> None:
    """Embed what waits, until ``stop`` is set. A failing model is tried again; meanwhile search goes by words."""
    space: Space | None = None
    pause, swept = LOOK_SECONDS, float("-inf")
    now = asyncio.get_running_loop().time
    while not stop.is_set():
        taken = 0
        try:
            space = space or await indexing.open_space(database, embedder)
            if now() - swept >= SWEEP_SECONDS:
                await _sweep(database, space)
                swept = now()
            taken = await _stoppable(indexing.embed_batch(database, embedder, space), stop)
            pause = LOOK_SECONDS
        except ReplacedError:
            log.error("embedding ends: another model is in use, start this process again", space=embedder.space)
            return
        except EmbeddingError as error:
            pause = min(max(FAILED_SECONDS, 2 * pause), LONGEST_SECONDS)
            log.warning("messages and documents wait for their vectors", error=str(error), seconds=pause)
        except Exception as error:  # the database may be away
            pause = min(max(FAILED_SECONDS, 2 * pause), LONGEST_SECONDS)
            log.warning("embedding failed", error=str(error), kind=type(error).__name__, seconds=pause)
        if not taken:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=pause)


async def _sweep(database: Database, space: Space) -> None:
    """Find what was left out."""
    async with database.connection() as conn:
        if await vectors.find_space(conn, space.name) != space:
            raise ReplacedError
    await indexing.enqueue_missing(database, space)


async def _stoppable(work: Coroutine[Any, Any, int], stop: asyncio.Event) -> int:
    """The outcome of the work; 0 when it was given up because the process stops."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        return 0
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
