"""The team's documents and their chunks, as the sources in the configuration have them.

Every member of the workspace may read them. They hold nothing that was said in Slack.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from storage import db
from storage.access import WORKSPACE_WIDE, Viewer
from storage.db import Connection

LOCK = "select pg_advisory_xact_lock(hashtext('documents'))"  # one writer at a time; the counts of words rely on it
LINES = re.compile(r"#L\d+(-L\d+)?$")


@dataclass(frozen=True)
class NewDocument:
    """A file of a source.

    Attributes:
        source: the source's name in the configuration.
        path: inside the source, with ``/``.
        url: what people and the model call it, unique; ``url#L3-L9`` cites lines.
        title: what it is about.
        blob: git's SHA-1 of its bytes.
        text: all of it.
    """

    source: str
    path: str
    url: str
    title: str
    blob: str
    text: str


@dataclass(frozen=True)
class Document(NewDocument):
    """A stored file, and when its text last changed here."""

    updated_at: datetime


@dataclass(frozen=True)
class NewChunk:
    """Lines of a document, from 1 and inclusive; ``text`` is what stands in them, and ``headings`` above them."""

    headings: tuple[str, ...]
    first_line: int
    last_line: int
    text: str


def cite(url: str, first_line: int, last_line: int) -> str:
    """The link to lines of a document."""
    return f"{url}#L{first_line}-L{last_line}" if last_line > first_line else f"{url}#L{first_line}"


def label(path: str, title: str, headings: Sequence[str]) -> str:
    """What tells by words what a chunk is about: the path, the title and the headings."""
    return " > ".join(dict.fromkeys(part for part in (re.sub(r"\.\w+$", "", path), title, *headings) if part))


def embedded_text(title: str, headings: Sequence[str], text: str) -> str:
    """What of a chunk a model sees: what it stands under, and its text."""
    return " > ".join(dict.fromkeys(part for part in (title, *headings) if part)) + "\n" + text


async def blobs(conn: Connection, source: str) -> dict[str, str]:
    """What is stored of a source: the path and the blob of each document."""
    cur = await conn.execute("select path, blob from documents where source = %s", (source,))
    return dict(await cur.fetchall())


async def put(conn: Connection, document: NewDocument, chunks: Sequence[NewChunk]) -> None:
    """Store a document in the place of its former version, and of any other one with its URL, in a transaction.

    It is found by its words from the commit on, and by its meaning when its new chunks are embedded.
    """
    digests = [digest(embedded_text(document.title, chunk.headings, chunk.text)) for chunk in chunks]
    key = {"source": document.source, "path": document.path, "url": document.url}
    async with conn.transaction():
        await conn.execute(LOCK)
        before = await _delete(conn, "(source = %(source)s and path = %(path)s) or url = %(url)s", key)
        document_id = await db.fetch_value(
            conn,
            """insert into documents (source, path, url, title, blob, text)
               values (%(source)s, %(path)s, %(url)s, %(title)s, %(blob)s, %(text)s) returning document_id""",
            document.__dict__,
        )
        rows = [
            {
                **chunk.__dict__,
                "position": position,
                "label": label(document.path, document.title, chunk.headings),
                "digest": known,
            }
            for position, (chunk, known) in enumerate(zip(chunks, digests, strict=True))
        ]
        await conn.execute(
            """insert into document_chunks
                   (document_id, position, headings, first_line, last_line, text, label, digest)
               select %s, c.* from jsonb_to_recordset(%s) as c (
                   position integer, headings text[], first_line integer, last_line integer, text text, label text,
                   digest text)""",
            (document_id, Jsonb(rows)),
        )
        await conn.execute(
            """insert into chunk_embedding_queue (digest)
               select distinct d from unnest(%s::text[]) as d
               where not exists (select 1 from chunk_embeddings e where e.digest = d) on conflict do nothing""",
            (digests,),
        )
        await _forget_vectors(conn, before)


async def remove(conn: Connection, source: str, paths: Collection[str]) -> int:
    """Forget documents of a source; returns how many there were."""
    return await _remove(conn, "source = %(source)s and path = any(%(paths)s)", {"source": source, "paths": [*paths]})


async def remove_sources_except(conn: Connection, names: Collection[str]) -> int:
    """Forget the documents of every source that is not named; returns how many there were."""
    return await _remove(conn, "source <> all(%(names)s)", {"names": [*names]})


async def get(conn: Connection, url: str, viewer: Viewer | None = None) -> Document | None:
    """The document of a URL, with or without lines behind it, if the viewer may read it here; None for operators."""
    return await db.fetch_one(
        conn,
        Document,
        f"""select source, path, url, title, blob, text, updated_at from documents
           where url = any(%(urls)s) and {WORKSPACE_WIDE if viewer else "true"}
           order by url = %(url)s desc limit 1""",
        {"urls": [url, LINES.sub("", url)], "url": url, **(viewer.params() if viewer else {})},
    )


async def may_read(conn: Connection, viewer: Viewer) -> bool:
    """Whether the documentation may be shown to a viewer there."""
    return bool(await db.fetch_value(conn, f"select {WORKSPACE_WIDE}", viewer.params()))


async def count(conn: Connection) -> int:
    """How many documents are stored."""
    found: int = await db.fetch_value(conn, "select count(*) from documents")
    return found


def digest(text: str) -> str:
    """What the vector of an embedded text is stored under."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


async def _remove(conn: Connection, where: str, params: dict[str, object]) -> int:
    async with conn.transaction():
        await conn.execute(LOCK)
        count: int = await db.fetch_value(conn, f"select count(*) from documents where {where}", params)
        await _forget_vectors(conn, await _delete(conn, where, params))
    return count


async def _delete(conn: Connection, where: str, params: dict[str, object] | dict[str, str]) -> list[str]:
    """Delete documents; returns the digests of their chunks."""
    cur = await conn.execute(
        f"""with removed as (delete from documents where {where} returning document_id)
            select digest from document_chunks where document_id in (select document_id from removed)""",
        params,
    )
    return [digest for (digest,) in await cur.fetchall()]


async def _forget_vectors(conn: Connection, digests: Sequence[str]) -> None:
    """Forget the vectors of chunks that no document holds any longer."""
    for table in ("chunk_embeddings", "chunk_embedding_queue"):
        await conn.execute(
            f"""delete from {table} gone where digest = any(%s)
                and not exists (select 1 from document_chunks kept where kept.digest = gone.digest)""",
            (list(digests),),
        )
