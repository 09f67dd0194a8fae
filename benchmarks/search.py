"""Search in a large memory: how long a hybrid search takes with the access rule, its query's embedding included."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from agent.embeddings.indexing import open_space
from agent.embeddings.minilm import MiniLM, find_files
from benchmarks.report import Outcome, Table, Target, median, ms, percentile
from benchmarks.texts import message, question
from storage import channels, messages, search, vectors
from storage.access import Viewer
from storage.db import Database, open_database
from storage.messages import MessageFilter, NewMessage
from storage.vectors import Space, SpaceVector, Waiting, literal
from tools.context import ToolContext
from tools.hits import find_messages

Matrix = NDArray[np.float32]
P95_MS = 60.0
TEAM, USER, DM = "T0BENCH", "U0BENCH", "D0BENCH"
PUBLIC, PRIVATE, JOINED = 24, 12, 3  # channels; of the private ones, those that the viewer is in
NEWEST = 1_700_000_000
SPAN_SECONDS = 730 * 86_400
REAL_TEXTS = 400  # embedded by the model; every other vector is one of these with noise
NOISE = 0.6
BATCH = 500
ONE_BY_ONE = 1000  # vectors stored while the index is there


@dataclass(frozen=True)
class Asked:
    """A query and what narrows it."""

    kind: str
    where: MessageFilter


async def measure_search(url: str, *, stored: int, queries: int) -> Outcome:
    """Store ``stored`` messages with vectors, and search them ``queries`` times in each way."""
    random = Random(7)
    embedder = MiniLM(find_files())
    async with open_database(url) as database:
        await _prepare(database)
        rate = await _store_messages(database, random, stored)
        space = await open_space(database, embedder)
        drawn = await _draw_vectors(embedder, random, stored)
        vector_rate = await _store_vectors(database, space, drawn)
        async with database.connection() as conn:
            await conn.execute("vacuum analyze")
            began = time.perf_counter()
            await search.refresh_counts(conn)
            counting = time.perf_counter() - began
        viewer = Viewer(TEAM, USER, DM)
        taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for asked in [*_queries(Random(8), 20), *_queries(random, queries)]:
            for method, seconds in (await _time(database, embedder, viewer, asked)).items():
                taken[method][asked.kind].append(seconds)
        visible = await _visible(database, viewer)
    warm = {method: {kind: times[len(times) // 10 :] for kind, times in by.items()} for method, by in taken.items()}
    return _outcome(warm, stored=stored, visible=visible, rate=rate, vector_rate=vector_rate, counting=counting)


def _outcome(
    taken: dict[str, dict[str, list[float]]],
    *,
    stored: int,
    visible: int,
    rate: float,
    vector_rate: float,
    counting: float,
) -> Outcome:
    every = {method: [s for times in by.values() for s in times] for method, by in taken.items()}
    rows = [(method, "all", *_times(times)) for method, times in every.items()]
    rows += [("hybrid", kind, *_times(times)) for kind, times in taken["hybrid"].items()]
    note = (
        f"{stored:,} messages in {PUBLIC + PRIVATE} channels over two years, of which the viewer may read {visible:,}; "
        f"asked in a DM; vectors of {REAL_TEXTS} real texts with noise; hybrid includes the query's embedding"
    )
    writing = Table(
        "Filling it",
        ("what", "figure"),
        [
            ("messages stored, per second", f"{rate:,.0f}"),
            ("vectors stored with the index, per second", f"{vector_rate:,.0f}"),
            ("counting words, s", f"{counting:.1f}"),
        ],
        f"messages in batches of {BATCH} on one connection; vectors in batches of 16",
    )
    p95 = percentile(every["hybrid"], 95) * 1000
    figures = {
        method: {"p50_ms": median(times) * 1000, "p95_ms": percentile(times, 95) * 1000}
        for method, times in every.items()
    }
    return Outcome(
        [Table("Search", ("part", "queries", "p50 ms", "p95 ms", "max ms", "n"), rows, note), writing],
        {**figures, "stored": stored, "messages_per_second": rate, "vectors_per_second": vector_rate},
        [Target(f"p95 of a hybrid search in {stored:,} messages", P95_MS, p95, "ms")],
    )


def _times(seconds: Sequence[float]) -> tuple[str, str, str, str]:
    return ms(median(seconds)), ms(percentile(seconds, 95)), ms(max(seconds)), str(len(seconds))


async def _time(database: Database, embedder: MiniLM, viewer: Viewer, asked: Asked) -> dict[str, float]:
    """Seconds of the hybrid search as a tool makes it, and of its parts alone."""
    context = ToolContext(
        turn_id=uuid4(),
        viewer=viewer,
        thread_ts=None,
        database=database,
        now=datetime.fromtimestamp(NEWEST, UTC),
        workspace_url="",
        embedder=embedder,
    )
    began = time.perf_counter()
    await find_messages(context, asked.where, limit=5)
    hybrid = time.perf_counter() - began
    async with database.connection() as conn:
        space = await vectors.find_space(conn, embedder.space)
        if space is None:
            raise RuntimeError("the space is gone")
        began = time.perf_counter()
        vector = SpaceVector(space, await embedder.embed_query(asked.where.query))
        embedded = time.perf_counter() - began
        began = time.perf_counter()
        await search.search(conn, viewer, asked.where, limit=5)
        lexical = time.perf_counter() - began
        began = time.perf_counter()
        await search.search(conn, viewer, asked.where, limit=5, vector=vector, by_words=False)
        nearest = time.perf_counter() - began
    return {"hybrid": hybrid, "words only": lexical, "vector only": nearest, "embedding the query": embedded}


def _queries(random: Random, count: int) -> Iterator[Asked]:
    """Sentences, identifiers and common words; every second one narrowed by something."""
    for number in range(count):
        kind = ("sentence", "identifier", "common words")[number % 3]
        query = question(random, kind)
        narrowed = [
            MessageFilter(query=query),
            MessageFilter(query=query, channel_id=f"C{random.randrange(PUBLIC)}"),
            MessageFilter(query=query),
            MessageFilter(query=query, since=_moment(random.choice([1, 7, 30]))),
            MessageFilter(query=query, author="human", alerts="none"),
        ][number % 5]
        yield Asked(kind, narrowed)


def _moment(days: int) -> datetime:
    return datetime.fromtimestamp(NEWEST - days * 86_400, UTC)


async def _prepare(database: Database) -> None:
    async with database.connection() as conn:
        for number in range(PUBLIC):
            await channels.upsert(
                conn, TEAM, f"C{number}", name=f"public-{number}", kind="public", user_id=None, topic=""
            )
        for number in range(PRIVATE):
            await channels.upsert(
                conn, TEAM, f"G{number}", name=f"private-{number}", kind="private", user_id=None, topic=""
            )
        await channels.upsert(conn, TEAM, DM, name="", kind="im", user_id=USER, topic="")
        for number in range(
            PRIVATE - JOINED, PRIVATE
        ):  # seen later than now: the benchmark outlasts what a membership is good for
            await conn.execute(
                "insert into memberships values (%s, %s, %s, now() + interval '1 day')", (TEAM, USER, f"G{number}")
            )


async def _store_messages(database: Database, random: Random, stored: int) -> float:
    """Messages per second."""
    seconds = 0.0
    async with database.connection() as conn:
        for start in range(0, stored, BATCH):
            batch = [_message(random, number, stored) for number in range(start, min(start + BATCH, stored))]
            began = time.perf_counter()
            await messages.insert_all(conn, batch)
            seconds += time.perf_counter() - began
    return stored / seconds


def _message(random: Random, number: int, stored: int) -> NewMessage:
    is_bot = random.random() < 0.35
    private = random.random() < 0.3
    # Some channels are much busier than others.
    rank = int(random.paretovariate(1.0)) - 1
    channel = f"G{rank % PRIVATE}" if private else f"C{rank % PUBLIC}"
    return NewMessage(
        team_id=TEAM,
        channel_id=channel,
        ts=f"{NEWEST - SPAN_SECONDS + SPAN_SECONDS * number // stored}.{number % 1_000_000:06}",
        thread_ts=None,
        user_id=None if is_bot else f"U{random.randrange(80)}",
        bot_id="B0" if is_bot else None,
        author="monitor" if is_bot else "someone",
        is_bot=is_bot,
        text=message(random, is_bot=is_bot),
        alert_action="open_incident" if is_bot and random.random() < 0.6 else "none",
    )


async def _draw_vectors(embedder: MiniLM, random: Random, count: int) -> Matrix:
    """Unit vectors in clusters around those of real texts."""
    real = np.array(
        await embedder.embed_texts([message(random, is_bot=number % 3 == 0) for number in range(REAL_TEXTS)]),
        np.float32,
    )
    generator = np.random.default_rng(7)
    noise = generator.standard_normal((count, real.shape[1]), np.float32)
    noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    drawn = real[generator.integers(0, len(real), count)] + noise
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


async def _store_vectors(database: Database, space: Space, drawn: Matrix) -> float:
    """Most of them at once and the index after them; the last ones as they come, and these per second."""
    async with database.connection() as conn:
        keys = await (await conn.execute("select team_id, channel_id, ts, text from messages order by ts")).fetchall()
        late = min(ONE_BY_ONE, len(keys) // 2)
        await conn.execute(sql.SQL("drop index {}").format(sql.Identifier(space.index)))
        async with conn.cursor().copy(
            "copy message_embeddings (team_id, channel_id, ts, space_id, embedding) from stdin"
        ) as copy:
            for (team_id, channel_id, ts, _), vector in zip(keys[:-late], drawn, strict=False):
                await copy.write_row((team_id, channel_id, ts, space.space_id, literal(vector.tolist())))
        await conn.execute("truncate embedding_queue")
        await conn.execute("set maintenance_work_mem = '512MB'")
        await conn.execute("set max_parallel_maintenance_workers = 2")
        await vectors.open_space(conn, space.name, space.dimensions, wait=600)
        waiting = [Waiting(*key) for key in keys[-late:]]
        began = time.perf_counter()
        for start in range(0, late, 16):
            some = waiting[start : start + 16]
            await vectors.store(conn, space, list(zip(some, drawn[-late + start :].tolist(), strict=False)))
        return late / (time.perf_counter() - began)


async def _visible(database: Database, viewer: Viewer) -> int:
    async with database.connection() as conn:
        return (await search.search(conn, viewer, MessageFilter(), limit=1))[0]
