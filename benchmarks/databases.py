"""One embedded Postgres in a temporary folder, and fresh databases on it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from storage.db import open_database
from storage.embedded import open_embedded
from storage.migrate import migrate

TEMPLATE = "template_bench"
MAX_CONNECTIONS = 400
NewDatabase = Callable[[], Awaitable[str]]


@asynccontextmanager
async def open_databases() -> AsyncIterator[NewDatabase]:
    """A server in a temporary folder; yields what makes a fresh, migrated database on it and returns its URL."""
    with tempfile.TemporaryDirectory(prefix="ratchet-bench-") as folder:
        data = Path(folder) / "postgres"
        async with (
            open_embedded(data, name=TEMPLATE) as url,
            await psycopg.AsyncConnection.connect(url, autocommit=True) as conn,
        ):  # many processes at once, and killed ones linger
            await conn.execute(sql.SQL("alter system set max_connections = {}").format(MAX_CONNECTIONS))
        async with open_embedded(data, name=TEMPLATE) as url:  # started again, for this to count
            async with open_database(url, min_size=1, max_size=4) as database:
                await migrate(database)

            async def create() -> str:
                name = f"bench_{uuid4().hex[:12]}"
                admin = psycopg.conninfo.make_conninfo(url, dbname="postgres")
                async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as conn:
                    await conn.execute(
                        sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
                    )
                return psycopg.conninfo.make_conninfo(url, dbname=name)

            yield create
