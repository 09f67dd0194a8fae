"""What the documentation says about a question, and how surely that is about it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from storage import document_search
from storage.access import Viewer
from storage.db import Database
from storage.document_search import Found, confidence
from tools.context import QUERY_CHARS, Embedder, EmbeddingError, embed_query


async def find_in_docs(
    database: Database, embedder: Embedder | None, question: str, *, limit: int, viewer: Viewer | None = None
) -> tuple[Found, str | None]:
    """The best passages, with a note for the model where they were found by words alone. No viewer: for operators.

    Vectors are made behind the texts. Where those of the best passages are not there yet, they are made now: by words
    alone it cannot be told what the documentation is not about.
    """
    space = None
    if embedder:
        async with database.connection() as conn:
            space = await document_search.find_space(conn, embedder.space)
    vector, note = await embed_query(embedder, space, question) if space or not embedder else (None, None)
    async with database.connection() as conn:
        found = await document_search.search(conn, question, limit=limit, vector=vector, viewer=viewer)
    if embedder and found.unembedded and note is None:
        found = await _compare(embedder, question, found)
    return found, note


async def _compare(embedder: Embedder, question: str, found: Found) -> Found:
    texts = [text for _, text in found.unembedded]
    try:
        asked, told = await asyncio.gather(embedder.embed_query(question[:QUERY_CHARS]), embedder.embed_texts(texts))
    except EmbeddingError:
        return found
    cosines = [sum(a * b for a, b in zip(asked, vector, strict=True)) for vector in told]
    sure = [confidence(cosine, share) for cosine, (share, _) in zip(cosines, found.unembedded, strict=True)]
    return replace(found, confidence=max(sure))
