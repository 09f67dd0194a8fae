"""Which embedding model a process uses."""

import pytest

from agent.embeddings import minilm
from ratchet.embedders import check_embedder, open_embedder
from ratchet.settings import load_settings
from sandbox.models.chat import ModelFailure
from sandbox.server import SandboxConfig, open_sandbox
from tools.context import EmbeddingError


@pytest.fixture
async def sandbox():
    async with open_sandbox(SandboxConfig()) as opened:
        yield opened


@pytest.fixture
def configure(sandbox, tmp_path):
    """Settings with the sandbox's servers; ``away`` takes them away."""

    def build(providers, *, away=False, **environ):
        servers = {"RATCHET_OPENAI_URL": sandbox.openai_url, "OLLAMA_HOST": sandbox.ollama_url}
        gone = {"RATCHET_OPENAI_URL": "http://127.0.0.1:9/v1", "OLLAMA_HOST": "http://127.0.0.1:9"}
        chosen = {"RATCHET_EMBEDDINGS_PROVIDERS": providers, "RATCHET_MODEL_TRIES": "1"}
        return load_settings({**(gone if away else servers), **chosen, **environ}, env_file=tmp_path / "none")

    return build


@pytest.mark.parametrize(
    ("providers", "away", "space"),
    [
        ("auto", True, "all-MiniLM-L6-v2/384"),
        ("[hashing, minilm]", False, "hashing/384"),
        ("openai, minilm", False, "text-embedding-3-small/384"),
        ("openai,ollama,minilm", True, "all-MiniLM-L6-v2/384"),
        ("ollama", False, "nomic-embed-text/384"),
        ("openai", True, None),
        ("[]", False, None),
    ],
)
async def test_the_first_that_works_is_used(database, configure, providers, away, space):
    async with open_embedder(configure(providers, away=away), database) as embedder:
        assert (embedder and embedder.space) == space
        if embedder:
            assert len(await embedder.embed_query("disk full")) == embedder.dimensions


async def test_without_the_files_auto_goes_on_without_a_model(database, configure, monkeypatch):
    monkeypatch.setattr(minilm, "PACKAGE", "no-such-package")
    async with open_embedder(configure("auto"), database) as embedder:
        assert embedder and embedder.space == "hashing/384"
    with pytest.raises(EmbeddingError, match="minilm: the package no-such-package is not installed"):
        await check_embedder(configure("minilm"))


async def test_a_model_that_fails_later_is_not_replaced(database, configure, sandbox):
    async with open_embedder(configure("openai,minilm"), database) as embedder:
        assert embedder
        sandbox.models.embedding_failures = [ModelFailure("down", status=500)]
        with pytest.raises(EmbeddingError):
            await embedder.embed_query("disk full")
        assert len(await embedder.embed_query("disk full")) == 384
        assert embedder.space == "text-embedding-3-small/384"


async def test_a_missing_ollama_model_is_pulled(database, configure, sandbox):
    settings = configure("ollama", RATCHET_OLLAMA_EMBEDDING_MODEL="mxbai-embed-large")
    with pytest.raises(EmbeddingError, match=r"mxbai-embed-large at .* is not offered there"):
        await check_embedder(settings)
    assert not [call for call in sandbox.models.calls if call.kind == "pull"]
    async with open_embedder(settings, database) as embedder:
        assert embedder and embedder.space == "mxbai-embed-large/384"
    assert [call.model for call in sandbox.models.calls if call.kind == "pull"] == ["mxbai-embed-large"]


async def test_an_unknown_ollama_model_gives_way_to_the_next(database, configure):
    settings = configure("ollama,hashing", RATCHET_OLLAMA_EMBEDDING_MODEL="missing-model")
    async with open_embedder(settings, database) as embedder:
        assert embedder and embedder.space == "hashing/384"


async def test_shorter_vectors_are_asked_for(database, configure):
    async with open_embedder(configure("openai", RATCHET_EMBEDDINGS_DIMENSIONS="256"), database) as embedder:
        assert embedder and embedder.space == "text-embedding-3-small/256"


@pytest.mark.parametrize(
    ("providers", "says"),
    [
        ("auto", "all-MiniLM-L6-v2/384"),
        ("hashing", "hashing/384"),
        ("ollama,minilm", "nomic-embed-text at"),
        ("[]", "none configured: search goes by words alone"),
    ],
)
async def test_doctor_names_what_would_be_used_and_embeds_nothing(configure, sandbox, providers, says):
    assert (await check_embedder(configure(providers))).startswith(says)
    assert not [call for call in sandbox.models.calls if call.kind == "embeddings"]


async def test_doctor_says_what_does_not_work(configure):
    found = await check_embedder(configure("openai,minilm", away=True))
    assert found.startswith("all-MiniLM-L6-v2/384; not openai: the model server at http://127.0.0.1:9/v1 cannot")
    with pytest.raises(EmbeddingError, match=r"openai: .*; ollama: .*"):
        await check_embedder(configure("openai,ollama", away=True))


async def test_openai_without_key_and_url_says_what_to_set(tmp_path):
    settings = load_settings({"RATCHET_EMBEDDINGS_PROVIDERS": "openai"}, env_file=tmp_path / "none")
    with pytest.raises(EmbeddingError, match="openai: set OPENAI_API_KEY"):
        await check_embedder(settings)
