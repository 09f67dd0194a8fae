"""Which embedding model a process uses: the first configured one that works (behaviour C14).

The choice stands until the process ends. A model that fails later makes its callers go without vectors; another one
in its place would search a space that holds other messages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from agent.embeddings import minilm
from agent.embeddings.hashing import HashingEmbedder
from agent.embeddings.remote import RemoteCalls
from agent.errors import ModelError
from agent.models import ModelChoice, check_model, ensure_ollama_model
from agent.redaction import Redactor
from agent.retries import Price
from ratchet.progress import pull_progress
from ratchet.sections import EmbeddingProvider
from ratchet.settings import Settings, SettingsError
from storage.db import Database
from tools.context import Embedder, EmbeddingError

log = structlog.get_logger()


@asynccontextmanager
async def open_embedder(settings: Settings, database: Database, *, team_id: str = "") -> AsyncIterator[Embedder | None]:
    """Open the first embedding model that works; None when none does, or when none is wanted.

    Args:
        settings: which are tried.
        database: where calls to servers are recorded.
        team_id: the workspace that they are recorded for.
    """
    async with AsyncExitStack() as stack:
        chosen: Embedder | None = None
        for provider in settings.embeddings.providers:
            try:
                chosen = await stack.enter_async_context(_open(provider, settings, database, team_id))
            except (EmbeddingError, ModelError, SettingsError) as error:
                log.warning("embedding model does not work", provider=provider, error=str(error))
            else:
                break
        if chosen:
            log.info("embedding model", space=chosen.space)
        else:
            log.warning("no embedding model: search goes by words alone")
        yield chosen


async def check_embedder(settings: Settings) -> str:
    """Which model would be used, and which before it would not; servers are asked for their models, not for vectors.

    Raises:
        EmbeddingError: models are configured and none works.
    """
    problems: list[str] = []
    for provider in settings.embeddings.providers:
        try:
            found = await _check(provider, settings)
        except Exception as error:  # whatever is wrong with one, the next is tried
            problems.append(f"{provider}: {' '.join(str(error).split())}")
        else:
            return "; ".join([found, *(f"not {problem}" for problem in problems)])
    if problems:
        raise EmbeddingError("; ".join(problems))
    return "none configured: search goes by words alone"


@asynccontextmanager
async def _open(
    provider: EmbeddingProvider, settings: Settings, database: Database, team_id: str
) -> AsyncIterator[Embedder]:
    if _resolve(provider) == "minilm":
        yield await minilm.load_minilm()
    elif _resolve(provider) == "hashing":
        yield HashingEmbedder()
    else:
        calls = RemoteCalls(
            database,
            team_id=team_id,
            tries=settings.model.tries,
            prices={name: Price(price.input, price.output) for name, price in settings.model.prices.items()},
            redactor=Redactor(settings.secrets()),
        )
        choice = _server(provider, settings)
        if choice.provider == "openai":
            from agent.embeddings.openai import open_openai

            async with open_openai(choice, calls, settings.embeddings.dimensions) as embedder:
                yield embedder
        else:
            from agent.embeddings.ollama import open_ollama

            with pull_progress() as progress:
                await ensure_ollama_model(choice.url or "", choice.model, progress)
            async with open_ollama(choice, calls, settings.embeddings.dimensions) as embedder:
                yield embedder


async def _check(provider: EmbeddingProvider, settings: Settings) -> str:
    match _resolve(provider):
        case "minilm":
            return (await minilm.load_minilm()).space
        case "hashing":
            return HashingEmbedder.space
        case _:
            choice = _server(provider, settings)
            await check_model(choice)
            return str(choice)


def _resolve(provider: EmbeddingProvider) -> EmbeddingProvider:
    """What ``auto`` stands for here."""
    if provider != "auto":
        return provider
    return "minilm" if minilm.is_installed() else "hashing"


def _server(provider: EmbeddingProvider, settings: Settings) -> ModelChoice:
    openai, ollama, seconds = settings.openai, settings.ollama, settings.embeddings.timeout_seconds
    if provider == "ollama":
        return ModelChoice("ollama", ollama.embedding_model, ollama.host, None, seconds)
    if not (openai.api_key or openai.url):
        raise SettingsError("set OPENAI_API_KEY, or RATCHET_OPENAI_URL for a compatible server")
    key = openai.api_key.get_secret_value() if openai.api_key else None
    return ModelChoice("openai", openai.embedding_model, openai.url, key, seconds)
