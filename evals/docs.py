"""How well the pages that answer a question are found: by words, by vectors, by both, and by a plain vector store.

The corpus is a folder of documents. Each line of the queries is ``{"query": …, "relevant": [paths]}`` with paths
inside the folder. A method returns passages; its answer is their documents, each at its first passage.

- ``recall_at_k``: the share of a query's relevant documents among the first k, averaged over the queries;
- ``mrr``: the mean of 1 / rank of the first relevant document, 0 where none is among the first 20;
- ``ndcg_at_10``: with every relevant document worth the same.

The baseline (evals/docs_baseline.py) is what one gets without any of this, from the same embedding model.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

from agent.embeddings.indexing import embed_all
from storage import document_search, documents
from storage.db import Database
from storage.documents import NewDocument
from storage.vectors import SpaceVector
from tools.context import Embedder
from tools.docs.chunks import split

ENDINGS = (".md", ".mdx", ".rst", ".txt")
SOURCE = "corpus"
DEPTH = 20
Counter = Callable[[int, int], None]
Progress = Callable[[str], AbstractContextManager[Counter]]
Ask = Callable[[str], Awaitable[list[str]]]


class DataError(Exception):
    """The data cannot be read; the message says where and why, in one line."""


@dataclass(frozen=True)
class Query:
    """A question, and the paths of the documents that answer it."""

    text: str
    relevant: frozenset[str]


@dataclass(frozen=True)
class Score:
    """How one method did; times include the query's embedding where there is one."""

    recall_at_1: float
    recall_at_3: float
    recall_at_5: float
    recall_at_10: float
    mrr: float
    ndcg_at_10: float
    ms_per_query: float


@dataclass(frozen=True)
class Evaluation:
    """The whole outcome; ``index_seconds`` is how long storing and embedding the corpus took, without the baseline."""

    methods: dict[str, Score]
    index_seconds: float

    def to_json(self) -> str:
        """One object."""
        return json.dumps(asdict(self))


def load_corpus(folder: Path) -> dict[str, str]:
    """The documents of a folder by their paths in it.

    Raises:
        DataError: it cannot be read or holds none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder")
    try:
        found = {
            path.relative_to(folder).as_posix(): path.read_bytes().decode("utf-8", "replace")
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in ENDINGS and path.is_file()
        }
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error}") from None
    if not found:
        raise DataError(f"{folder} holds no documents ({', '.join(ENDINGS)})")
    return found


def load_queries(path: Path, corpus: dict[str, str]) -> list[Query]:
    """Read the queries: one JSON object a line.

    Raises:
        DataError: it cannot be read, a row is no query, or a relevant document is not in the corpus.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    queries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error})") from None
        queries.append(_query(row, f"{path}, line {number}", corpus))
    if not queries:
        raise DataError(f"{path} holds no queries")
    return queries


def _query(row: object, where: str, corpus: dict[str, str]) -> Query:
    text, paths = (row.get("query"), row.get("relevant")) if isinstance(row, dict) else (None, None)
    if not isinstance(text, str) or not text.strip() or not isinstance(paths, list) or not paths:
        raise DataError(f'{where}: not a query of the form {{"query": "…", "relevant": ["path", …]}}')
    relevant = frozenset(str(path).removeprefix("./").lstrip("/") for path in paths)
    missing = sorted(relevant - corpus.keys())
    if missing:
        raise DataError(f"{where}: {missing[0]!r} is not in the corpus; paths begin inside its folder")
    return Query(text, relevant)


async def evaluate_docs(
    corpus: dict[str, str],
    queries: Sequence[Query],
    database: Database,
    embedder: Embedder,
    progress: Progress,
    *,
    baseline: bool = True,
) -> Evaluation:
    """Index the corpus, ask every query by every method, and count.

    Args:
        corpus: texts by path.
        queries: what is asked.
        database: an empty one, which nothing else is in.
        embedder: makes the vectors.
        progress: opens a progress bar.
        baseline: also measure the plain vector store.

    Raises:
        EmbeddingError: the model failed.
    """
    began = time.perf_counter()
    await _store(database, corpus, progress)
    with progress(f"embedding with {embedder.space}") as count:
        space = await embed_all(database, embedder, count)
    index_seconds = time.perf_counter() - began

    def by(*, words: bool, meaning: bool) -> Ask:
        async def ask(query: str) -> list[str]:
            vector = SpaceVector(space, await embedder.embed_query(query)) if meaning else None
            async with database.connection() as conn:
                found = await document_search.search(conn, query, limit=DEPTH, vector=vector, by_words=words)
            return [hit.url for hit in found.hits]

        return ask

    methods = {
        "lexical": await score(queries, by(words=True, meaning=False)),
        "vector": await score(queries, by(words=False, meaning=True)),
        "hybrid": await score(queries, by(words=True, meaning=True)),
    }
    if baseline:
        from evals.docs_baseline import open_baseline

        with progress("embedding for the baseline") as count:
            async with open_baseline(corpus, str(database.conninfo), embedder, count) as ask:
                methods["baseline"] = await score(queries, ask)
    return Evaluation(methods, round(index_seconds, 2))


async def _store(database: Database, corpus: dict[str, str], progress: Progress) -> None:
    with progress("storing documents") as count:
        for number, (path, text) in enumerate(corpus.items(), start=1):
            found = split(text, path)
            blob = hashlib.sha256(text.encode()).hexdigest()
            async with database.connection() as conn:
                await documents.put(conn, NewDocument(SOURCE, path, path, found.title, blob, text), found.chunks)
            count(number, len(corpus))
    async with database.connection() as conn:
        await conn.execute("analyze documents, document_chunks")


async def score(queries: Sequence[Query], ask: Ask) -> Score:
    """Ask every query; ``ask`` returns the paths of passages, the best first."""
    ranks: list[tuple[int, list[int]]] = []
    seconds = 0.0
    for query in queries:
        began = time.perf_counter()
        answer = await ask(query.text)
        seconds += time.perf_counter() - began
        found = list(dict.fromkeys(answer))[:DEPTH]
        right = [rank for rank, path in enumerate(found, start=1) if path in query.relevant]
        ranks.append((len(query.relevant), right))

    def recall(k: int) -> float:
        return round(mean(sum(rank <= k for rank in right) / count for count, right in ranks), 4)

    return Score(
        recall_at_1=recall(1),
        recall_at_3=recall(3),
        recall_at_5=recall(5),
        recall_at_10=recall(10),
        mrr=round(mean(1 / right[0] if right else 0.0 for _, right in ranks), 4),
        ndcg_at_10=round(mean(_ndcg(count, right) for count, right in ranks), 4),
        ms_per_query=round(1000 * seconds / len(queries), 2),
    )


def _ndcg(count: int, right: Sequence[int]) -> float:
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(count, 10) + 1))
    return sum(1 / math.log2(rank + 1) for rank in right if rank <= 10) / ideal


def table(evaluation: Evaluation) -> str:
    """The scores, a line a method."""
    lines = [
        f"{'method':10}{'recall@1':>9}{'@3':>8}{'@5':>8}{'@10':>8}{'MRR':>8}{'nDCG@10':>9}{'ms a query':>12}",
        *(
            f"{name:10}{s.recall_at_1:9.3f}{s.recall_at_3:8.3f}{s.recall_at_5:8.3f}{s.recall_at_10:8.3f}{s.mrr:8.3f}"
            f"{s.ndcg_at_10:9.3f}{s.ms_per_query:12.1f}"
            for name, s in evaluation.methods.items()
        ),
        f"indexed in {evaluation.index_seconds:.1f} s",
    ]
    return "\n".join(lines)
