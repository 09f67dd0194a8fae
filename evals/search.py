"""How well messages of past incidents are found again: by words, by vectors, and by both.

Each row of the data is the Slack thread of one incident. Its messages are stored as one thread of a public channel,
and it is asked for as an engineer on call would:

- ``title``: what the incident is called, without its date;
- ``alert``: what the alert says, cut to its first 30 words. Where it stands in the thread word for word, that message
  does not count: the same alert fires again, and its earlier thread is looked for;
- ``root_cause``: the first statement on the cause, cut to 30 words. It comes from the write-up, not from the thread.

A result is right when it is a message of that row's own thread. ``recall_at_k`` is the share of queries with a right
message among the first k; ``mrr`` is the mean of 1 / rank of the first right message, 0 beyond rank 50.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Literal

from agent.embeddings.indexing import embed_all
from storage import channels, messages, search, vectors
from storage.access import Viewer
from storage.db import Database
from storage.messages import MessageFilter, NewMessage
from storage.vectors import SpaceVector
from tools.context import Embedder

Kind = Literal["title", "alert", "root_cause"]
Method = Literal["lexical", "vector", "hybrid"]
METHODS: tuple[Method, ...] = ("lexical", "vector", "hybrid")
TEAM, CHANNEL = "T0EVAL", "C0EVAL"
VIEWER = Viewer(TEAM, "U0EVAL", CHANNEL)
FIRST_SECOND = 1_600_000_000
DEPTH = 50
QUERY_WORDS = 30
MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
DATE = re.compile(
    rf"^(?:incident on\s+)?(?:\d{{4}}-\d\d-\d\d|(?:{MONTHS}) \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})"
    r"(?:\s+\d{1,2}:\d\d\s*(?:[ap]m)?(?:\s+[a-z]{2,4}\b)?)?[\s,:–—-]*",
    re.IGNORECASE,
)
MARKUP = re.compile(r"<[^|>]*\|([^>]*)>|^[\s>*•-]+|[*`_]{1,3}(?=\S)|(?<=\S)[*`_]{1,3}(?!\w)", re.MULTILINE)


class DataError(Exception):
    """The data cannot be read; the message says where and why, in one line."""


@dataclass(frozen=True)
class Thread:
    """One row of the data; of the messages only their texts."""

    title: str
    alert: str
    root_cause: str
    texts: list[str]


@dataclass(frozen=True)
class Query:
    """What is asked for one thread; ``verbatim`` are the ts of messages that it only repeats."""

    kind: Kind
    text: str
    thread: int
    verbatim: frozenset[str]


@dataclass(frozen=True)
class Score:
    """How one method did; times include the query's embedding where there is one."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    mrr: float
    ms_per_query: float


@dataclass(frozen=True)
class Evaluation:
    """The whole outcome. ``kinds`` holds the scores for each kind of query."""

    threads: int
    messages: int
    queries: dict[str, int]
    space: str
    methods: dict[str, Score]
    kinds: dict[str, dict[str, Score]]

    def to_json(self) -> str:
        """One object."""
        return json.dumps(asdict(self))


def load_threads(path: Path) -> list[Thread]:
    """Read the data: one JSON object a line.

    Raises:
        DataError: it cannot be read, a row is no thread, or there is nothing to ask for.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    threads = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            texts = [str(message.get("text") or "") for message in row["messages"]]
            title, alert, cause = (str(row.get(name) or "") for name in ("title", "alert", "root_cause"))
            threads.append(Thread(title, alert, cause, [text for text in texts if text.strip()]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{path}, line {number}: not a thread of the form {{title, alert, root_cause, messages[{{text}}]}} "
                f"({why})"
            ) from None
    if not build_queries(threads):
        raise DataError(f"{path} holds nothing to ask for")
    return threads


def build_queries(threads: Sequence[Thread]) -> list[Query]:
    """The queries of all threads; what leaves fewer than two words is not asked."""
    queries: list[Query] = []
    for number, thread in enumerate(threads):
        if not thread.texts:
            continue
        alert = " ".join(thread.alert.split())
        verbatim = {
            message_ts(number, position)
            for position, text in enumerate(thread.texts)
            if alert and (alert in (said := " ".join(text.split())) or said in alert)
        }
        asked: dict[Kind, tuple[str, set[str]]] = {
            "title": (DATE.sub("", thread.title.strip()), set()),
            "alert": (thread.alert, verbatim),
            "root_cause": (_first_statement(thread.root_cause), set()),
        }
        for kind, (raw, left_out) in asked.items():
            text = " ".join(MARKUP.sub(r"\1", raw).split()[:QUERY_WORDS])
            if len(text.split()) >= 2 and len(left_out) < len(thread.texts):
                queries.append(Query(kind, text, number, frozenset(left_out)))
    return queries


def message_ts(thread: int, position: int) -> str:
    """The ts under which a message of a thread is stored."""
    return f"{FIRST_SECOND + thread * 100_000 + position * 60}.000100"


async def evaluate_search(
    threads: Sequence[Thread], database: Database, embedder: Embedder, progress: Callable[[int, int], None]
) -> Evaluation:
    """Store the threads, ask every query by every method, and count.

    Args:
        threads: what is stored and asked for.
        database: an empty one, which nothing else is in.
        embedder: makes the vectors.
        progress: is told how many messages are embedded, and of how many.

    Raises:
        EmbeddingError: the model failed.
    """
    queries = build_queries(threads)
    stored = await _store(database, threads)
    await embed_all(database, embedder, progress)
    asked = {method: [await _ask(database, embedder, method, query) for query in queries] for method in METHODS}
    kinds = Counter(query.kind for query in queries)
    return Evaluation(
        threads=len(threads),
        messages=stored,
        queries={str(kind): count for kind, count in kinds.items()},
        space=embedder.space,
        methods={method: _score(answers) for method, answers in asked.items()},
        kinds={
            kind: {
                method: _score([a for a, query in zip(answers, queries, strict=True) if query.kind == kind])
                for method, answers in asked.items()
            }
            for kind in kinds
        },
    )


async def _store(database: Database, threads: Sequence[Thread]) -> int:
    async with database.connection() as conn:
        await channels.upsert(conn, TEAM, CHANNEL, name="incidents", kind="public", user_id=None, topic="")
        for number, thread in enumerate(threads):
            await messages.insert_all(
                conn,
                [
                    NewMessage(
                        team_id=TEAM,
                        channel_id=CHANNEL,
                        ts=message_ts(number, position),
                        thread_ts=message_ts(number, 0) if position else None,
                        user_id=None,
                        bot_id=None,
                        author="unattributed",
                        is_bot=False,
                        text=text,
                    )
                    for position, text in enumerate(thread.texts)
                ],
            )
        await search.refresh_counts(conn)
        return await messages.count(conn, TEAM)


@dataclass(frozen=True)
class _Answer:
    """Where the first right message stood, counted from 1, or 0; and how long it took."""

    rank: int
    seconds: float


async def _ask(database: Database, embedder: Embedder, method: Method, query: Query) -> _Answer:
    began = time.perf_counter()
    async with database.connection() as conn:
        vector = None
        if method != "lexical":
            space = await vectors.find_space(conn, embedder.space)
            vector = SpaceVector(space, await embedder.embed_query(query.text)) if space else None
        _, hits = await search.search(
            conn,
            VIEWER,
            MessageFilter(query=query.text),
            limit=DEPTH + len(query.verbatim),
            vector=vector,
            by_words=method != "vector",
        )
    seconds = time.perf_counter() - began
    root = message_ts(query.thread, 0)
    found = [hit.thread_ts or hit.ts for hit in hits if hit.ts not in query.verbatim][:DEPTH]
    return _Answer(found.index(root) + 1 if root in found else 0, seconds)


def _score(answers: Sequence[_Answer]) -> Score:
    def recall(k: int) -> float:
        return round(mean(0 < answer.rank <= k for answer in answers), 4)

    return Score(
        recall_at_1=recall(1),
        recall_at_5=recall(5),
        recall_at_10=recall(10),
        mrr=round(mean(1 / answer.rank if answer.rank else 0.0 for answer in answers), 4),
        ms_per_query=round(1000 * mean(answer.seconds for answer in answers), 2),
    )


def _first_statement(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip(" -*•>")]
    first = lines[0].strip() if lines else ""
    return re.split(r"(?<=[a-z)])\.\s", first)[0]


def table(evaluation: Evaluation) -> str:
    """The scores as a table: all queries first, then each kind."""
    counts = {"all": sum(evaluation.queries.values()), **evaluation.queries}
    scores = {"all": evaluation.methods, **evaluation.kinds}
    lines = [
        f"{evaluation.messages} messages in {evaluation.threads} threads; vectors: {evaluation.space}; "
        "a hit is a message of the right thread",
        f"{'queries':12}{'method':>9}{'recall@1':>10}{'recall@5':>10}{'recall@10':>11}{'MRR':>7}{'ms a query':>12}",
    ]
    for kind, methods in scores.items():
        for method, score in methods.items():
            lines.append(
                f"{f'{kind} ({counts[kind]})' if method == METHODS[0] else '':14}{method:>7}{score.recall_at_1:10.3f}"
                f"{score.recall_at_5:10.3f}{score.recall_at_10:11.3f}{score.mrr:7.3f}{score.ms_per_query:12.1f}"
            )
    return "\n".join(lines)
