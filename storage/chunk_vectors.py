"""Vectors of the chunks of documents, in the spaces of storage/vectors.py.

A vector belongs to what was embedded, not to a place: chunks with the same text share it, and it stays when its
chunk moves or its document comes back. So nothing of a document that is read again has to be embedded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage import db
from storage.db import Connection
from storage.documents import embedded_text
from storage.vectors import CLAIM_SECONDS, LONGEST_PAUSE_SECONDS, Space, literal


@dataclass(frozen=True)
class WaitingChunk:
    """A chunk without a vector; ``digest`` is what its vector is stored under."""

    digest: str
    title: str
    headings: list[str]
    body: str

    @property
    def text(self) -> str:
        """What is embedded."""
        return embedded_text(self.title, self.headings, self.body)


async def enqueue_missing(conn: Connection, space: Space) -> int:
    """Let every chunk that has no vector in this space wait for one; returns how many were added."""
    return await db.execute(
        conn,
        """insert into chunk_embedding_queue (digest)
           select distinct digest from document_chunks c
           where not exists (select 1 from chunk_embeddings e where e.digest = c.digest and e.space_id = %s)
           on conflict do nothing""",
        (space.space_id,),
    )


async def claim(conn: Connection, space: Space, *, limit: int) -> list[WaitingChunk]:
    """Take chunks to embed; nobody else is given them for some minutes.

    Those whose embedding failed before come last. Those that have their vector by now leave the queue.
    """
    return await db.fetch_all(
        conn,
        WaitingChunk,
        f"""with taken as (
                select q.digest, exists (
                        select 1 from chunk_embeddings e where e.digest = q.digest and e.space_id = %(space_id)s)
                    or not exists (select 1 from document_chunks c where c.digest = q.digest) as settled
                from chunk_embedding_queue q where q.due_at <= now()
                order by q.attempts, q.digest limit %(limit)s for update of q skip locked
            ), settled as (
                delete from chunk_embedding_queue q using taken where taken.settled and q.digest = taken.digest
            ), claimed as (
                update chunk_embedding_queue q
                set attempts = attempts + 1, due_at = now() + make_interval(secs => {CLAIM_SECONDS})
                from taken where not taken.settled and q.digest = taken.digest
                returning q.digest
            )
            select distinct on (digest) digest, d.title, c.headings, c.text as body
            from claimed join document_chunks c using (digest) join documents d using (document_id)""",
        {"limit": limit, "space_id": space.space_id},
    )


async def release(conn: Connection, claimed: Sequence[WaitingChunk], *, failed: bool) -> None:
    """Give chunks back; after a failure they wait longer each time."""
    pause = f"least(2 ^ least(attempts, 12), {LONGEST_PAUSE_SECONDS})" if failed else "0"
    await conn.execute(
        f"""update chunk_embedding_queue
            set due_at = now() + make_interval(secs => {pause}), attempts = attempts - %s
            where digest = any(%s) and attempts > 0""",
        (0 if failed else 1, [chunk.digest for chunk in claimed]),
    )


async def store(conn: Connection, space: Space, embedded: Sequence[tuple[WaitingChunk, Sequence[float]]]) -> int:
    """Store vectors, except of chunks that are gone meanwhile; returns how many were stored."""
    return await db.execute(
        conn,
        """with item as (
               select * from unnest(%(digests)s::text[], %(vectors)s::text[]) as item (digest, embedding)
               where exists (select 1 from document_chunks c where c.digest = item.digest)
           ), done as (
               delete from chunk_embedding_queue q using item where q.digest = item.digest
           )
           insert into chunk_embeddings (digest, space_id, embedding)
           select digest, %(space_id)s, embedding::halfvec from item
           on conflict (digest, space_id) do update set embedding = excluded.embedding""",
        {
            "space_id": space.space_id,
            "digests": [chunk.digest for chunk, _ in embedded],
            "vectors": [literal(vector) for _, vector in embedded],
        },
    )


async def count_waiting(conn: Connection) -> int:
    """How many chunks have no vector yet, without those that the model failed on again and again."""
    return int(
        await db.fetch_value(
            conn,
            "select count(*) from chunk_embedding_queue where due_at <= now() + make_interval(secs => %s)",
            (CLAIM_SECONDS,),
        )
    )
