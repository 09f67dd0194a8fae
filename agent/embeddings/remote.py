"""An embedding model behind a server: its calls are tried again where that can help, and recorded."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from tenacity import RetryCallState

from agent.embeddings.texts import cut_bytes
from agent.redaction import Redactor
from agent.retries import BACKOFF, Price, describe, is_transient, retrying
from storage import usage
from storage.db import Database
from storage.usage import ModelCall
from tools.context import EmbeddingError

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from agent.models import ModelChoice

TEXT_BYTES = 8000  # OpenAI refuses more than 8191 tokens, and a token is a byte at least
REQUEST_BYTES = 200_000  # it also refuses more than 300,000 tokens in one request
QUERY_SECONDS = 10.0  # whoever asks is better served by the words alone than by waiting longer
CONNECT_SECONDS = 30.0  # Ollama may have to load the model first
MOST_DIMENSIONS = 2000  # of an HNSW index in pgvector
# What a model was trained to see in front of (texts, queries), by the beginning of its name.
PREFIXES = {
    "nomic-embed-text": ("search_document: ", "search_query: "),
    "mxbai-embed-large": ("", "Represent this sentence for searching relevant passages: "),
}


@dataclass(frozen=True)
class RemoteCalls:
    """How calls are tried, priced and recorded.

    Attributes:
        database: where they are recorded; each takes a connection for a moment.
        team_id: the workspace that they are made for; empty when there is none.
        tries: attempts at one call.
        prices: by model.
        redactor: cleans what servers say.
        wait: the pause before the next attempt, unless the server names one.
    """

    database: Database
    team_id: str = ""
    tries: int = 4
    prices: Mapping[str, Price] = field(default_factory=dict)
    redactor: Redactor = field(default_factory=Redactor)
    wait: Callable[[RetryCallState], float] = BACKOFF


class RemoteEmbedder:
    """Embeds on a server."""

    def __init__(
        self, client: Embeddings, choice: ModelChoice, calls: RemoteCalls, *, batch: int, dimensions: int
    ) -> None:
        self.dimensions = dimensions
        self._client = client
        self._choice = choice
        self._calls = calls
        self._batch = batch
        family = choice.model.rpartition("/")[2]
        self._prefixes = next((PREFIXES[name] for name in PREFIXES if family.startswith(name)), ("", ""))

    @classmethod
    async def connect(
        cls, client: Embeddings, choice: ModelChoice, calls: RemoteCalls, *, batch: int
    ) -> RemoteEmbedder:
        """Embed a word, which shows that the server works and how many dimensions its vectors have.

        Raises:
            EmbeddingError: it does not work.
        """
        embedder = cls(client, choice, calls, batch=batch, dimensions=0)
        vectors = await embedder._request_within(CONNECT_SECONDS, ["hello"])
        embedder.dimensions = len(vectors[0]) if vectors else 0
        if embedder.dimensions > MOST_DIMENSIONS:
            raise EmbeddingError(
                f"{choice} gives {embedder.dimensions} dimensions, and {MOST_DIMENSIONS} are the most that can be "
                "indexed: set RATCHET_EMBEDDINGS_DIMENSIONS"
            )
        embedder._check(vectors, ["hello"])
        return embedder

    @property
    def space(self) -> str:
        """The model and its dimensions."""
        return f"{self._choice.model.removesuffix(':latest')}/{self.dimensions}"

    async def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """See ``tools.context.Embedder``."""
        prepared = [_prepare(self._prefixes[0], text) for text in texts]
        vectors: list[list[float]] = []
        for batch in cut_batches(prepared, self._batch):
            vectors += self._check(await self._request(batch), batch)
        return vectors

    async def embed_query(self, query: str) -> list[float]:
        """See ``tools.context.Embedder``. Gives up after ten seconds."""
        texts = [_prepare(self._prefixes[1], query)]
        return self._check(await self._request_within(QUERY_SECONDS, texts), texts)[0]

    async def _request_within(self, seconds: float, texts: list[str]) -> list[list[float]]:
        """One request and its further tries, all in this time."""
        try:
            async with asyncio.timeout(seconds):
                return await self._request(texts)
        except TimeoutError:
            raise EmbeddingError(f"{self._choice} gave no vectors in {seconds:.0f} s") from None

    async def _request(self, texts: list[str]) -> list[list[float]]:
        try:
            return await retrying(self._calls.tries, self._calls.wait)(self._attempt, texts)
        except Exception as error:
            reason = self._calls.redactor.clean(describe(error))
            tried = f" in {self._calls.tries} tries" if is_transient(error) else ""
            raise EmbeddingError(f"{self._choice} gave no vectors{tried} ({reason})") from error

    async def _attempt(self, texts: list[str]) -> list[list[float]]:
        began = time.perf_counter()
        problem: str | None = "cancelled"
        try:
            vectors = await self._client.aembed_documents(texts)
            problem = None
        except Exception as error:
            problem = self._calls.redactor.clean(describe(error))[:500]
            raise
        else:
            return vectors
        finally:
            await self._record(sum(map(len, texts)), problem, time.perf_counter() - began)

    async def _record(self, chars: int, problem: str | None, seconds: float) -> None:
        tokens = chars // 4  # the clients keep the server's count to themselves
        price = self._calls.prices.get(self._choice.model, Price())
        call = ModelCall(
            turn_id=None,
            team_id=self._calls.team_id,
            channel_id="",
            requester_id="",
            module="embeddings",
            model=self._choice.model,
            input_chars=chars,
            output_chars=0,
            prompt_tokens=tokens,
            output_tokens=0,
            cost=Decimal(str(round(tokens * price.input / 1_000_000, 6))),
            latency_ms=round(seconds * 1000),
            error=problem,
        )
        async with self._calls.database.connection() as conn:
            await usage.insert(conn, call)

    def _check(self, vectors: list[list[float]], texts: list[str]) -> list[list[float]]:
        """The vectors, each of length 1.

        Raises:
            EmbeddingError: they do not belong to these texts, or to this space.
        """
        if len(vectors) != len(texts):
            raise EmbeddingError(f"{self._choice} gave {len(vectors)} vectors for {len(texts)} texts")
        for vector in vectors:
            if len(vector) != self.dimensions:
                raise EmbeddingError(
                    f"{self._choice} gave {self.dimensions} dimensions at first and {len(vector)} now: "
                    "restart Ratchet if its model was changed"
                )
        return [self._normalise(vector) for vector in vectors]

    def _normalise(self, vector: list[float]) -> list[float]:
        length = math.hypot(*vector)
        if not math.isfinite(length) or length == 0.0:
            raise EmbeddingError(f"{self._choice} gave a vector of length {length}")
        return [value / length for value in vector]


def cut_batches(texts: Sequence[str], most: int) -> Iterator[list[str]]:
    """Consecutive texts for one request each: at most ``most``, and not too long together."""
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode())
        if batch and (len(batch) == most or size + length > REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def _prepare(prefix: str, text: str) -> str:
    # OpenAI refuses an empty text.
    return prefix + (cut_bytes(text, TEXT_BYTES - len(prefix)).strip() or "-")
