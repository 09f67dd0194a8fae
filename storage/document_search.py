"""Finds chunks of documents: by their words (BM25F), by the vector of their meaning (cosine), or by both.

BM25F (Zaragoza and others, "Microsoft Cambridge at TREC 13", 2004): a word counts in the chunk by how often it stands
there, given the chunk's length, and more where it stands in the path, the title or the headings. ``ts_rank`` of one
lexeme grows with its count as tf / (tf + 0.645) does, and is turned back into the count here.

Both scores are computed of every candidate of either way; each is divided by the best of its kind, and their weighted
sum decides. Every member may read every document, but not where others read along (storage/access.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from storage import db
from storage.access import WORKSPACE_WIDE, Viewer
from storage.db import Connection
from storage.documents import embedded_text
from storage.vectors import Space, SpaceVector, literal

K1, B = 2.0, 0.9
LABEL = 3.0  # what a word in the path, the title or the headings counts, in occurrences in the text
RANK_K1 = 0.645  # the curve of ts_rank
MEANING = 0.4  # the share of the vector in the sum
DEPTH = 60  # candidates of each way
MATCHES = 4000  # chunks that are ranked by words; common words of a query add no candidates beyond
MOST_WORDS = 24  # the rarest words of a query; the others change no order
LONGEST_QUERY = 2000
NEIGHBOUR = 0.7  # a neighbour with this share of the best chunk's score is shown with it
MOST_JOINED = 3  # chunks of one hit
COMPARED = 3  # chunks that are worth a vector of their own at once

# For a transaction: go by the indexes of words. Half of a short search would be compilation.
SETTINGS = "select set_config(name, 'off', true) from unnest(array['enable_seqscan', 'jit']) as name"
# Appending nothing unpacks a long tsvector once, rather than for each word of the query.
LOADED = "c.label_words || '' as label_words, c.body_words || '' as body_words"


@dataclass(frozen=True)
class ChunkHit:
    """Lines of a document that answer a query, from 1 and inclusive; ``text`` is exactly what stands there.

    ``score`` is at most 1, of the chunk that is best by words and by meaning.
    """

    url: str
    title: str
    headings: tuple[str, ...]
    first_line: int
    last_line: int
    text: str
    score: float


@dataclass(frozen=True)
class Found:
    """The best chunks, and how likely it is (0 to 1) that they are about what was asked.

    ``unembedded`` are the very best ones, where the best of all has no vector yet: of each the share of the weight of
    the query's words that it holds, and its text as it would be embedded.
    """

    hits: list[ChunkHit]
    confidence: float
    unembedded: tuple[tuple[float | None, str], ...] = ()


@dataclass(frozen=True)
class _Word:
    """A lexeme of the query, and in how many of all chunks it stands."""

    lexeme: str
    chunks: int
    total: int
    mean_length: float

    @property
    def weight(self) -> float:
        """Its inverse document frequency."""
        return math.log(1 + (self.total - self.chunks + 0.5) / (self.chunks + 0.5))

    @property
    def quoted(self) -> str:
        """As a tsquery has it; search_vector leaves neither quotes nor backslashes."""
        return f"'{self.lexeme}'"


@dataclass(frozen=True)
class _Scope:
    """Which chunks ``c`` may be found: of one source, or by one viewer."""

    source: str | None
    viewer: Viewer | None

    def where(self) -> str:
        """The condition."""
        within = "c.document_id in (select d.document_id from documents d where d.source = %(source)s)"
        return " and ".join([within if self.source else "true", WORKSPACE_WIDE if self.viewer else "true"])

    def params(self) -> dict[str, Any]:
        """What it binds."""
        return {"source": self.source, **(self.viewer.params() if self.viewer else {})}


@dataclass(frozen=True)
class _Candidate:
    """A chunk with what each way says of it."""

    document_id: int
    position: int
    headings: list[str]
    first_line: int
    last_line: int
    words: float
    cosine: float
    score: float = 0.0


@dataclass(frozen=True)
class _Document:
    document_id: int
    url: str
    title: str
    text: str


async def search(
    conn: Connection,
    query: str,
    *,
    limit: int,
    vector: SpaceVector | None = None,
    by_words: bool = True,
    source: str | None = None,
    viewer: Viewer | None = None,
) -> Found:
    """The chunks that fit a query best, first the best one of each document.

    Args:
        conn: a connection that is in no transaction.
        query: a question, an alert's text, or words.
        limit: how many hits to return.
        vector: the query's vector, to also find what says the same in other words.
        by_words: False leaves the words to the vector.
        source: only documents of this source.
        viewer: who asks, and where; None for operators.
    """
    scope = _Scope(source, viewer)
    words = await _words(conn, query[:LONGEST_QUERY]) if by_words else []
    known = sorted((word for word in words if word.chunks), key=lambda word: (word.chunks, word.lexeme))[:MOST_WORDS]
    keys: set[tuple[int, int]] = set()
    if known:
        keys |= await _by_words(conn, known, scope)
    if vector:
        keys |= await _by_vector(conn, vector, scope)
    if not keys:
        return Found([], 0.0)
    ranked = _fuse(await _score(conn, keys, known, vector))
    hits = await _hits(conn, ranked, limit)
    asked = sum(word.weight for word in words)
    best, *others = [(c.words / asked if asked > 0 else None, c) for c in ranked[:COMPARED]]
    texts = [] if best[1].cosine else [await _text(conn, candidate) for _, candidate in (best, *others)]
    unembedded = zip((share for share, _ in (best, *others)), texts, strict=False)
    return Found(hits, confidence(best[1].cosine, best[0]), tuple(unembedded))


async def _text(conn: Connection, candidate: _Candidate) -> str:
    """A chunk's text as it is embedded; empty where it is gone."""
    cur = await conn.execute(
        """select d.title, c.headings, c.text from document_chunks c join documents d using (document_id)
           where c.document_id = %s and c.position = %s""",
        (candidate.document_id, candidate.position),
    )
    row = await cur.fetchone()
    return embedded_text(*row) if row else ""


async def find_space(conn: Connection, name: str) -> Space | None:
    """The space of a model, if any chunk has a vector in it."""
    return await db.fetch_one(
        conn,
        Space,
        """select space_id, name, dimensions from embedding_spaces s
           where name = %s and exists (select 1 from chunk_embeddings e where e.space_id = s.space_id)""",
        (name,),
    )


async def _words(conn: Connection, query: str) -> list[_Word]:
    return await db.fetch_all(
        conn,
        _Word,
        """select lexeme, coalesce(known.chunks, 0) as chunks, greatest(totals.chunks, 1) as total,
                  greatest(totals.words::float8 / greatest(totals.chunks, 1), 1) as mean_length
           from unnest(search_vector(%s)) cross join chunk_totals totals
           left join chunk_lexemes known using (lexeme)""",
        (query,),
    )


def _terms(words: Sequence[_Word]) -> tuple[str, dict[str, Any]]:
    """BM25F of a chunk ``c`` as an expression, with its parameters. tf / (tf + k1) is written as 1 - k1 / (tf + k1)."""
    terms: list[str] = []
    params: dict[str, Any] = {"mean": words[0].mean_length if words else 1.0}
    length = f"({1 - B} + {B} * c.words / %(mean)s::float8)"
    for number, word in enumerate(words):
        params |= {f"word{number}": word.quoted, f"weight{number}": word.weight}
        rank = f"ts_rank('{{1,1,1,1}}', c.body_words, %(word{number})s::tsquery)"
        count = f"{LABEL} * (c.label_words @@ %(word{number})s::tsquery)::int"
        count += f" + {RANK_K1} * (1 / (1 - {rank}) - 1) / {length}"
        terms.append(f"%(weight{number})s::float8 * (1 - {K1} / ({K1} + {count}))")
    return " + ".join(terms) or "0::float8", params


def _candidates(words: Sequence[_Word]) -> str:
    """A tsquery for the chunks that hold a rare word, or where every word is common, two of them."""
    rare, matching = [words[0]], words[0].chunks
    for word in words[1:]:
        matching += word.chunks
        if matching > MATCHES:
            break
        rare.append(word)
    if words[0].chunks > MATCHES and len(words) > 1:
        common = words[:4]
        pairs = [(a, b) for index, a in enumerate(common) for b in common[index + 1 :]]
        return " | ".join(f"({a.quoted} & {b.quoted})" for a, b in pairs)
    return " | ".join(word.quoted for word in rare)


async def _by_words(conn: Connection, words: Sequence[_Word], scope: _Scope) -> set[tuple[int, int]]:
    score, params = _terms(words)
    async with conn.transaction():
        await conn.execute(SETTINGS)
        cur = await conn.execute(
            f"""with c as materialized (
                    select c.document_id, c.position, c.words, {LOADED} from document_chunks c
                    where (c.label_words @@ %(candidates)s::tsquery or c.body_words @@ %(candidates)s::tsquery)
                      and {scope.where()})
                select c.document_id, c.position from c
                order by {score} desc, c.document_id, c.position limit {DEPTH}""",
            {**params, **scope.params(), "candidates": _candidates(words)},
            prepare=False,
        )
        return set(await cur.fetchall())


async def _by_vector(conn: Connection, vector: SpaceVector, scope: _Scope) -> set[tuple[int, int]]:
    """The nearest chunks; of one source, all of it is compared."""
    distance = _distance(vector.space)
    nearest = f"""select e.digest from chunk_embeddings e where e.space_id = {vector.space.space_id}
                  order by {distance} limit {DEPTH}"""
    if scope.source is not None:
        nearest = f"""select e.digest from chunk_embeddings e
                      where e.space_id = {vector.space.space_id} and exists (
                          select 1 from document_chunks c where c.digest = e.digest and {scope.where()})
                      order by ({distance}) + 0 limit {DEPTH}"""
    async with conn.transaction():
        # pgvector's settings are unknown before its first value.
        await conn.execute(f"select '[1]'::halfvec, set_config('hnsw.ef_search', '{2 * DEPTH}', true)")
        cur = await conn.execute(
            f"""with nearest as materialized ({nearest})
                select c.document_id, c.position from nearest join document_chunks c using (digest)
                where {scope.where()}""",
            {**scope.params(), "vector": literal(vector.values)},
            prepare=False,
        )
        return set(await cur.fetchall())


def _distance(space: Space) -> str:
    return f"e.embedding::halfvec({space.dimensions}) <=> %(vector)s::halfvec({space.dimensions})"


async def _score(
    conn: Connection, keys: set[tuple[int, int]], words: Sequence[_Word], vector: SpaceVector | None
) -> list[_Candidate]:
    score, params = _terms(words)
    cosine, join = "0::float8", ""
    if vector:
        cosine = f"coalesce(1 - ({_distance(vector.space)}), 0)"
        join = f"left join chunk_embeddings e on e.digest = c.digest and e.space_id = {vector.space.space_id}"
        params["vector"] = literal(vector.values)
    async with conn.cursor(row_factory=class_row(_Candidate)) as cur:
        await cur.execute(
            f"""with c as materialized (
                    select c.document_id, c.position, c.headings, c.first_line, c.last_line, c.words, c.digest, {LOADED}
                    from unnest(%(documents)s::bigint[], %(positions)s::integer[]) as k (document_id, position)
                    join document_chunks c using (document_id, position))
                select c.document_id, c.position, c.headings, c.first_line, c.last_line, {score} as words,
                       {cosine} as cosine
                from c {join}""",
            {**params, "documents": [key[0] for key in keys], "positions": [key[1] for key in keys]},
            prepare=False,
        )
        return await cur.fetchall()


def _fuse(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The candidates with their scores, the best first."""
    most = max((c.words for c in candidates), default=0.0)
    nearest = max((c.cosine for c in candidates), default=0.0)
    share = MEANING if most > 0 and nearest > 0 else float(nearest > 0)

    def score(candidate: _Candidate) -> float:
        by_words = candidate.words / most if most > 0 else 0.0
        by_meaning = candidate.cosine / nearest if nearest > 0 else 0.0
        return (1 - share) * by_words + share * by_meaning

    scored = [_Candidate(**{**candidate.__dict__, "score": score(candidate)}) for candidate in candidates]
    return sorted(scored, key=lambda c: (-c.score, c.document_id, c.position))


def confidence(cosine: float, share: float | None) -> float:
    """How likely a chunk is about what was asked.

    Logistic regression on how near the chunk is (0: not known), and on the share of the words' weight that it holds.
    The figures were fitted with the built-in embedding model; where questions go to documents of other subjects, a
    vector alone tells more than words alone.
    """
    if cosine and share is not None:
        odds = -7.2 + 11.8 * cosine + 4.9 * share
    elif cosine:
        odds = -6.7 + 13.1 * cosine
    else:
        odds = -1.9 + 7.1 * (share or 0.0)
    return 1 / (1 + math.exp(-odds))


async def _hits(conn: Connection, ranked: Sequence[_Candidate], limit: int) -> list[ChunkHit]:
    """First the best of each document with its neighbours, then what else there is."""
    first: dict[int, _Candidate] = {}
    for candidate in ranked:
        first.setdefault(candidate.document_id, candidate)
    taken: dict[tuple[int, int], list[_Candidate]] = {}
    used: set[tuple[int, int]] = set()
    for candidate in [*first.values(), *ranked]:
        if len(taken) == limit:
            break
        if (key := (candidate.document_id, candidate.position)) not in used:
            taken[key] = _joined(candidate, ranked, used)
            used |= {(part.document_id, part.position) for part in taken[key]}
    documents = await db.fetch_all(
        conn,
        _Document,
        "select document_id, url, title, text from documents where document_id = any(%s)",
        ([document_id for document_id, _ in taken],),
    )
    by_id = {document.document_id: document for document in documents}
    hits = []
    for (document_id, position), parts in taken.items():
        if document := by_id.get(document_id):  # it may be replaced meanwhile
            best = next(part for part in parts if part.position == position)
            begin, end = min(part.first_line for part in parts), max(part.last_line for part in parts)
            text = "\n".join(document.text.split("\n")[begin - 1 : end])
            hits.append(ChunkHit(document.url, document.title, tuple(best.headings), begin, end, text, best.score))
    return hits


def _joined(best: _Candidate, ranked: Sequence[_Candidate], used: set[tuple[int, int]]) -> list[_Candidate]:
    """A chunk with those next to it that are nearly as good."""
    near = {
        candidate.position: candidate
        for candidate in ranked
        if candidate.document_id == best.document_id
        and candidate.score >= NEIGHBOUR * best.score
        and (candidate.document_id, candidate.position) not in used
    }
    parts = [best]
    for step in (1, -1):
        position = best.position + step
        while position in near and len(parts) < MOST_JOINED:
            parts.append(near[position])
            position += step
    return parts
