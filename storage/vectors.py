"""Vectors of messages, by space: one space for each embedding model, never compared with another.

Messages wait for their vector in ``embedding_queue``, which triggers fill: a new or edited message goes in, and an
edit or deletion takes the old vector out at once.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from storage import db
from storage.db import Connection, StorageError

LOCK_ID = 0x526174566563  # "RatVec"
CLAIM_SECONDS = 300  # after which a batch that nobody finished is given to others
LONGEST_PAUSE_SECONDS = 3600
EMBEDDED_CHARS = 8000
TABLES = ("message_embeddings", "chunk_embeddings")  # of messages, and of documents (storage/chunk_vectors.py)


@dataclass(frozen=True)
class Space:
    """Where the vectors of one model are: all of ``dimensions`` numbers, compared by cosine."""

    space_id: int
    name: str
    dimensions: int

    @property
    def index(self) -> str:
        """The name of its HNSW index over messages."""
        return self.index_of("message_embeddings")

    def index_of(self, table: str) -> str:
        """The name of its HNSW index over a table of ``TABLES``."""
        return f"{table}_space_{self.space_id}"


@dataclass(frozen=True)
class SpaceVector:
    """A vector and the space that it belongs to."""

    space: Space
    values: Sequence[float]


@dataclass(frozen=True)
class Waiting:
    """A message without a vector."""

    team_id: str
    channel_id: str
    ts: str
    text: str


def literal(vector: Sequence[float]) -> str:
    """A vector as pgvector reads it."""
    return "[" + ",".join(f"{value:.6g}" for value in vector) + "]"


async def find_space(conn: Connection, name: str) -> Space | None:
    """The space of a model, if it was ever opened."""
    return await db.fetch_one(
        conn, Space, "select space_id, name, dimensions from embedding_spaces where name = %s", (name,)
    )


async def open_space(conn: Connection, name: str, dimensions: int, *, wait: float = 60.0) -> Space:
    """The space of a model with its index; where it is new, every message waits for a vector.

    The connection is in autocommit mode. Several processes may call this at once.

    Raises:
        StorageError: the space has other dimensions, or another process has been preparing it for too long.
    """
    found = await find_space(conn, name)
    if found is None or await _lacking(conn, found):
        await _lock(conn, wait)
        try:
            found = await _create_space(conn, name, dimensions)
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", (LOCK_ID,))
    if found.dimensions != dimensions:
        raise StorageError(
            f"the embedding space {name} holds vectors of {found.dimensions} numbers, and the model makes "
            f"{dimensions}: give the model another name"
        )
    return found


async def _create_space(conn: Connection, name: str, dimensions: int) -> Space:
    async with conn.transaction():
        new = await db.execute(
            conn,
            "insert into embedding_spaces (name, dimensions) values (%s, %s) on conflict (name) do nothing",
            (name, dimensions),
        )
        space = await find_space(conn, name)
        if space is None:
            raise StorageError(f"the embedding space {name} was dropped just now: start again")
        if new:
            await enqueue_missing(conn, space)
    for table in await _lacking(conn, space):
        index = sql.Identifier(space.index_of(table))
        await conn.execute(sql.SQL("drop index concurrently if exists {}").format(index))  # left by an interruption
        await conn.execute(
            sql.SQL(
                "create index concurrently {} on {} "
                "using hnsw ((embedding::halfvec({})) halfvec_cosine_ops) where space_id = {}"
            ).format(index, sql.Identifier(table), sql.Literal(space.dimensions), sql.Literal(space.space_id))
        )
    return space


async def _lacking(conn: Connection, space: Space) -> list[str]:
    """The tables whose index is missing or unfinished."""
    valid = "select indisvalid from pg_index where indexrelid = to_regclass(%s)"
    return [table for table in TABLES if not await db.fetch_value(conn, valid, (space.index_of(table),))]


async def _lock(conn: Connection, wait: float) -> None:
    """Polled rather than waited for: a waiting statement holds a snapshot, for which a concurrent index waits."""
    deadline = asyncio.get_running_loop().time() + wait
    while not await db.fetch_value(conn, "select pg_try_advisory_lock(%s)", (LOCK_ID,)):
        if asyncio.get_running_loop().time() > deadline:
            raise StorageError(f"another process has been preparing an embedding space for {wait:g} s: try again later")
        await asyncio.sleep(0.1)


async def drop_other_spaces(conn: Connection, keep: Space) -> int:
    """Forget every other space with its vectors and its index; returns how many spaces went."""
    others = await db.fetch_all(
        conn,
        Space,
        "select space_id, name, dimensions from embedding_spaces where space_id <> %s",
        (keep.space_id,),
    )
    for space in others:
        for table in TABLES:
            index = sql.Identifier(space.index_of(table))
            await conn.execute(sql.SQL("drop index concurrently if exists {}").format(index))
        await conn.execute("delete from embedding_spaces where space_id = %s", (space.space_id,))
    return len(others)


async def enqueue_missing(conn: Connection, space: Space) -> int:
    """Let every message that has no vector in this space wait for one; returns how many were added."""
    return await db.execute(
        conn,
        r"""insert into embedding_queue (team_id, channel_id, ts)
            select team_id, channel_id, ts from messages m
            where m.searchable and m.deleted_at is null and m.text ~ '\S' and not exists (
                select 1 from message_embeddings e
                where e.team_id = m.team_id and e.channel_id = m.channel_id and e.ts = m.ts and e.space_id = %s)
            on conflict do nothing""",
        (space.space_id,),
    )


async def claim(conn: Connection, space: Space, *, limit: int) -> list[Waiting]:
    """Take messages to embed, the newest first; nobody else is given them for some minutes.

    Those whose embedding failed before come last. Those that have their vector by now leave the queue.
    """
    return await db.fetch_all(
        conn,
        Waiting,
        f"""with taken as (
                select q.team_id, q.channel_id, q.ts, exists (
                    select 1 from message_embeddings e
                    where e.team_id = q.team_id and e.channel_id = q.channel_id and e.ts = q.ts
                      and e.space_id = %(space_id)s) as embedded
                from embedding_queue q where q.due_at <= now()
                order by q.attempts, q.ts desc limit %(limit)s for update of q skip locked
            ), settled as (
                delete from embedding_queue q using taken
                where taken.embedded and (q.team_id, q.channel_id, q.ts) = (taken.team_id, taken.channel_id, taken.ts)
            ), claimed as (
                update embedding_queue q
                set attempts = attempts + 1, due_at = now() + make_interval(secs => {CLAIM_SECONDS})
                from taken
                where not taken.embedded
                  and (q.team_id, q.channel_id, q.ts) = (taken.team_id, taken.channel_id, taken.ts)
                returning q.team_id, q.channel_id, q.ts
            )
            select m.team_id, m.channel_id, m.ts, m.text
            from claimed join messages m using (team_id, channel_id, ts) order by m.ts desc""",
        {"limit": limit, "space_id": space.space_id},
    )


async def release(conn: Connection, claimed: Sequence[Waiting], *, failed: bool) -> None:
    """Give messages back; after a failure they wait longer each time."""
    pause = f"least(2 ^ least(attempts, 12), {LONGEST_PAUSE_SECONDS})" if failed else "0"
    await conn.execute(
        f"""update embedding_queue q
            set due_at = now() + make_interval(secs => {pause}), attempts = attempts - %(undo)s
            from unnest(%(teams)s::text[], %(channels)s::text[], %(times)s::text[]) as k (team_id, channel_id, ts)
            where (q.team_id, q.channel_id, q.ts) = (k.team_id, k.channel_id, k.ts) and attempts > 0""",
        {"undo": 0 if failed else 1, **_keys(claimed)},
    )


async def store(conn: Connection, space: Space, embedded: Sequence[tuple[Waiting, Sequence[float]]]) -> int:
    """Store vectors, except of messages whose text changed meanwhile; returns how many were stored."""
    # The share lock lets an edit that is under way decide first, so that no vector outlives its text.
    statement = """
        with current as (
            select m.team_id, m.channel_id, m.ts, item.embedding
            from unnest(%(teams)s::text[], %(channels)s::text[], %(times)s::text[], %(hashes)s::text[],
                        %(vectors)s::text[]) as item (team_id, channel_id, ts, hash, embedding)
            join messages m using (team_id, channel_id, ts)
            where md5(m.text) = item.hash and m.searchable and m.deleted_at is null
            order by m.team_id, m.channel_id, m.ts
            for share of m
        ), done as (
            delete from embedding_queue q using current
            where (q.team_id, q.channel_id, q.ts) = (current.team_id, current.channel_id, current.ts)
        )
        insert into message_embeddings (team_id, channel_id, ts, space_id, embedding)
        select team_id, channel_id, ts, %(space_id)s, embedding::halfvec from current
        on conflict (team_id, channel_id, ts, space_id) do update set embedding = excluded.embedding"""
    return await db.execute(
        conn,
        statement,
        {
            "space_id": space.space_id,
            "hashes": [_hash(waiting.text) for waiting, _ in embedded],
            "vectors": [literal(vector) for _, vector in embedded],
            **_keys([waiting for waiting, _ in embedded]),
        },
    )


async def count_waiting(conn: Connection) -> int:
    """How many messages have no vector yet, without those that the model failed on again and again."""
    return int(
        await db.fetch_value(
            conn,
            "select count(*) from embedding_queue where due_at <= now() + make_interval(secs => %s)",
            (CLAIM_SECONDS,),
        )
    )


def _keys(messages: Sequence[Waiting]) -> dict[str, list[str]]:
    return {
        "teams": [message.team_id for message in messages],
        "channels": [message.channel_id for message in messages],
        "times": [message.ts for message in messages],
    }


def _hash(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
