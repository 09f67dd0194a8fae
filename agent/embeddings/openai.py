"""Embeddings of OpenAI, or of any server that speaks its protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.embeddings.remote import RemoteCalls, RemoteEmbedder
from agent.models import ModelChoice

BATCH = 64


@asynccontextmanager
async def open_openai(
    choice: ModelChoice, calls: RemoteCalls, dimensions: int | None = None
) -> AsyncIterator[RemoteEmbedder]:
    """Connect to the server of a choice; ``dimensions`` asks for shorter vectors than the model's own.

    Raises:
        EmbeddingError: it does not work.
    """
    from langchain_openai import OpenAIEmbeddings
    from openai import DefaultAsyncHttpxClient
    from pydantic import SecretStr

    async with DefaultAsyncHttpxClient(timeout=choice.timeout_seconds) as http:
        client = OpenAIEmbeddings(
            model=choice.model,
            dimensions=dimensions,
            openai_api_base=choice.url,
            openai_api_key=SecretStr(choice.api_key or "none"),
            request_timeout=choice.timeout_seconds,
            max_retries=0,
            check_embedding_ctx_length=False,  # it would fetch a tokenizer from the internet
            chunk_size=BATCH,
            http_async_client=http,
        )
        yield await RemoteEmbedder.connect(client, choice, calls, batch=BATCH)
