"""A database for one evaluation, which nothing else is in and which goes away with it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from storage.db import Database, open_database
from storage.embedded import open_embedded
from storage.migrate import migrate


@asynccontextmanager
async def open_scratch() -> AsyncIterator[Database]:
    """An embedded server in a temporary folder, migrated.

    Raises:
        StorageError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="ratchet-eval-", ignore_cleanup_errors=True) as folder:
        async with open_embedded(Path(folder) / "postgres", name="eval") as url, open_database(url) as database:
            await migrate(database)
            yield database
