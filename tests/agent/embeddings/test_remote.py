"""Embedding servers: the real clients against the sandbox's OpenAI and Ollama."""

import math
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from agent.embeddings.ollama import open_ollama
from agent.embeddings.openai import open_openai
from agent.embeddings.remote import REQUEST_BYTES, TEXT_BYTES, RemoteCalls, _prepare, cut_batches
from agent.models import ModelChoice
from agent.redaction import Redactor
from agent.retries import Price
from sandbox.models.chat import ModelFailure
from sandbox.models.server import ModelServer
from tools.context import EmbeddingError

OPENAI = "text-embedding-3-small"
OLLAMA = "nomic-embed-text"


class Served:
    """The sandbox's model server, and embedders on it."""

    def __init__(self, models, port, database):
        self.models = models
        self.database = database
        self.url = f"http://127.0.0.1:{port}"

    def choice(self, provider, model=None, key="key"):
        if provider == "openai":
            return ModelChoice("openai", model or OPENAI, f"{self.url}/v1", key, 10)
        return ModelChoice("ollama", model or OLLAMA, self.url, None, 10)

    @asynccontextmanager
    async def open(self, provider, *, dimensions=None, redactor=Redactor(), **choice):
        calls = RemoteCalls(
            self.database,
            team_id="T1",
            tries=3,
            prices={OPENAI: Price(input=20.0)},
            redactor=redactor,
            wait=lambda _: 0.0,
        )
        opener = open_openai if provider == "openai" else open_ollama
        async with opener(self.choice(provider, **choice), calls, dimensions) as embedder:
            yield embedder

    async def recorded(self):
        async with self.database.connection() as conn:
            rows = await conn.execute(
                "select team_id, module, model, input_chars, prompt_tokens, cost::float8, error "
                "from model_usage order by usage_id"
            )
            return await rows.fetchall()


@pytest.fixture
async def served(database):
    models = ModelServer()
    app = web.Application()
    app.add_routes(models.routes())
    received = []

    @web.middleware
    async def keep(request, handler):
        if request.path in {"/v1/embeddings", "/api/embed"}:
            received.append((await request.json())["input"])
        return await handler(request)

    app.middlewares.append(keep)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opened = Served(models, runner.addresses[0][1], database)
    opened.received = received
    yield opened
    await runner.cleanup()


def failures(status, count, **options):
    return [ModelFailure("slow down", status=status, **options) for _ in range(count)]


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_texts_come_back_in_their_order_with_length_one(served, provider):
    texts = [f"disk {number} is full" for number in range(150)]
    async with served.open(provider) as embedder:
        vectors = await embedder.embed_texts(texts)
        assert embedder.space == f"{OPENAI if provider == 'openai' else OLLAMA}/384" and embedder.dimensions == 384
        assert await embedder.embed_texts([]) == []
        assert (await embedder.embed_texts([texts[77]]))[0] == pytest.approx(vectors[77], abs=1e-6)
    assert len({tuple(vector) for vector in vectors}) == 150
    assert all(math.hypot(*vector) == pytest.approx(1) for vector in vectors)
    sizes = [len(batch) for batch in served.received[1:-1]]
    assert sizes == ([64, 64, 22] if provider == "openai" else [16] * 9 + [6])


async def test_the_model_is_told_which_text_is_a_query(served):
    async with served.open("ollama") as embedder:
        await embedder.embed_texts(["disk full"])
        await embedder.embed_query("disk full")
    assert served.received[1:] == [["search_document: disk full"], ["search_query: disk full"]]
    async with served.open("openai") as embedder:
        await embedder.embed_query("disk full")
    assert served.received[-1] == ["disk full"]


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_a_busy_server_is_asked_again_and_every_try_is_recorded(served, provider):
    async with served.open(provider) as embedder:
        served.models.embedding_failures = [*failures(429, 1, retry_after=0.05), *failures(503, 1)]
        assert len(await embedder.embed_query("disk full")) == 384
    model = OPENAI if provider == "openai" else OLLAMA
    rows = await served.recorded()
    assert [row[:3] for row in rows] == [("T1", "embeddings", model)] * 4
    first, second, third = [row[6] for row in rows[1:]]
    assert "429" in first and "503" in second and third is None
    assert rows[3][3] == len(served.received[-1][0]) and rows[3][4] == rows[3][3] // 4
    assert rows[3][5] == pytest.approx(rows[3][4] * 20 / 1e6 if provider == "openai" else 0)


@pytest.mark.parametrize(
    ("status", "tries", "says"), [(500, 3, r"gave no vectors in 3 tries \(.*500"), (400, 1, r"gave no vectors \(.*400")]
)
@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_a_server_that_stays_broken_is_one_clear_error(served, provider, status, tries, says):
    async with served.open(provider) as embedder:
        served.models.embedding_failures = failures(status, 50)
        with pytest.raises(EmbeddingError, match=says) as caught:
            await embedder.embed_texts(["disk full"])
    assert len(served.received) == 1 + tries and "\n" not in str(caught.value) and served.url in str(caught.value)


async def test_a_server_that_hangs_keeps_no_query_waiting(served, monkeypatch):
    monkeypatch.setattr("agent.embeddings.remote.QUERY_SECONDS", 0.3)
    async with served.open("openai") as embedder:
        served.models.latency = 5
        with pytest.raises(EmbeddingError, match="gave no vectors in 0"):
            await embedder.embed_query("disk full")
    assert (await served.recorded())[-1][6] == "cancelled"


async def test_vectors_of_another_length_are_refused(served):
    async with served.open("openai", dimensions=256) as embedder:
        assert embedder.space == f"{OPENAI}/256"
        embedder._client.dimensions = 64
        with pytest.raises(EmbeddingError, match="gave 256 dimensions at first and 64 now"):
            await embedder.embed_texts(["disk full"])


async def test_vectors_that_no_index_takes_are_refused_at_once(served):
    with pytest.raises(EmbeddingError, match=r"gives 3072 dimensions, and 2000 .* RATCHET_EMBEDDINGS_DIMENSIONS"):
        async with served.open("openai", dimensions=3072):
            pass


async def test_a_refused_key_is_said_once_and_secrets_in_errors_are_hidden(served):
    with pytest.raises(EmbeddingError, match=r"gave no vectors \(.*401") as caught:
        async with served.open("openai", key="bad", redactor=Redactor(["Incorrect API key"])):
            pass
    assert "Incorrect" not in str(caught.value) and len(served.received) == 1


async def test_a_server_that_is_away_is_named(served):
    served.url = "http://127.0.0.1:9"
    for provider in ("openai", "ollama"):
        with pytest.raises(EmbeddingError, match=r"at http://127\.0\.0\.1:9.* gave no vectors in 3 tries"):
            async with served.open(provider):
                pass


def test_texts_are_cut_to_what_servers_take():
    assert _prepare("", "  ") == "-"
    cut = _prepare("search_query: ", "ü" * 10_000)
    assert len(cut.encode()) <= TEXT_BYTES and cut.endswith("ü")
    batches = list(cut_batches(["x" * TEXT_BYTES] * 60, 64))
    assert [len(batch) for batch in batches] == [25, 25, 10] and 25 * TEXT_BYTES <= REQUEST_BYTES
