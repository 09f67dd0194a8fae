"""``ratchet reindex``: messages and documents get vectors from the configured model, and those of other models go."""

from __future__ import annotations

from rich.console import Console

from agent.embeddings.indexing import embed_all
from ratchet.bootstrap import open_storage
from ratchet.embedders import open_embedder
from ratchet.progress import count_progress
from ratchet.settings import Settings, SettingsError
from storage import search, vectors
from storage.db import Database
from tools.context import Embedder


async def run_reindex(settings: Settings) -> None:
    """Embed what has no vector yet, then drop the other spaces. May be interrupted, and run beside ``serve``.

    Raises:
        SettingsError, StorageError, EmbeddingError: what is wrong, in one line.
    """
    async with open_storage(settings) as database, open_embedder(settings, database) as embedder:
        if embedder is None:
            raise SettingsError("no embedding model works: `ratchet doctor` says why")
        await reindex(database, embedder, Console(stderr=True))


async def reindex(database: Database, embedder: Embedder, console: Console) -> None:
    """The same with an open database and model."""
    with count_progress(f"embedding with {embedder.space}", console) as progress:
        space = await embed_all(database, embedder, progress)
    async with database.connection() as conn:
        dropped = await vectors.drop_other_spaces(conn, space)
        await search.refresh_counts(conn)
    went = f"; vectors of {dropped} other models are gone" if dropped else ""
    console.print(f"everything is embedded in {space.name}{went}", highlight=False)
