"""Embeddings of a local Ollama server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.embeddings.remote import RemoteCalls, RemoteEmbedder
from agent.models import ModelChoice

BATCH = 16  # a processor without a graphics card takes seconds for these


@asynccontextmanager
async def open_ollama(
    choice: ModelChoice, calls: RemoteCalls, dimensions: int | None = None
) -> AsyncIterator[RemoteEmbedder]:
    """Connect to the server of a choice; ``dimensions`` asks for shorter vectors than the model's own.

    Raises:
        EmbeddingError: it does not work.
    """
    from langchain_ollama import OllamaEmbeddings

    client = OllamaEmbeddings(
        model=choice.model,
        dimensions=dimensions,
        base_url=choice.url,
        client_kwargs={"timeout": choice.timeout_seconds},
    )
    try:
        yield await RemoteEmbedder.connect(client, choice, calls, batch=BATCH)
    finally:
        if client._async_client:  # there is no public way to close it
            await client._async_client.close()  # type: ignore[no-untyped-call]
