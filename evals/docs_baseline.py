"""The baseline of evals/docs.py: LangChain's vector store for Postgres and its splitter, as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_postgres import PGEngine, PGVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import create_async_engine

from tools.context import Embedder

TABLE = "baseline"
PASSAGES = 60  # of which the documents are taken
BATCH = 64


class _SameModel(Embeddings):
    """The embedder as LangChain calls it; only its asynchronous half is used, and LangChain insists on the other."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await self._embedder.embed_texts(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return await self._embedder.embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError("use aembed_documents")

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError("use aembed_query")


@asynccontextmanager
async def open_baseline(
    corpus: dict[str, str], url: str, embedder: Embedder, count: Callable[[int, int], None]
) -> AsyncIterator[Callable[[str], Awaitable[list[str]]]]:
    """Index a corpus; yields what returns the paths of the best passages for a query.

    Args:
        corpus: texts by path.
        url: of a database that has no table ``baseline`` yet.
        embedder: makes the vectors.
        count: is told how many passages are embedded, and of how many.
    """
    engine = create_async_engine("postgresql+psycopg://", connect_args=conninfo_to_dict(url))
    try:
        store_engine = PGEngine.from_engine(engine)
        await store_engine.ainit_vectorstore_table(TABLE, embedder.dimensions)
        store = await PGVectorStore.create(store_engine, _SameModel(embedder), TABLE)
        pages = [Document(page_content=text, metadata={"path": path}) for path, text in corpus.items()]
        passages = RecursiveCharacterTextSplitter().split_documents(pages)
        for start in range(0, len(passages), BATCH):
            await store.aadd_documents(passages[start : start + BATCH])
            count(min(start + BATCH, len(passages)), len(passages))

        async def ask(query: str) -> list[str]:
            found = await store.asimilarity_search(query, k=PASSAGES)
            return [str(passage.metadata["path"]) for passage in found]

        yield ask
    finally:
        await engine.dispose()
