"""The one pool of connections, and two helpers that return typed rows.

Errors:
    StorageError
      +-- DatabaseUnavailable   the server cannot be reached, or refuses us
      +-- MigrationError        the schema is not what this version needs (storage/migrate.py)
      +-- LeaseLost             somebody else took the thread since (storage/leases.py)
"""

from __future__ import annotations

import select
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from storage import adaptation

Connection = psycopg.AsyncConnection[Any]
Database = AsyncConnectionPool[Connection]
Params = Mapping[str, Any] | Sequence[Any] | None
Row = TypeVar("Row")


class StorageError(Exception):
    """Something went wrong in the database."""


class DatabaseUnavailable(StorageError):
    """The database cannot be reached or refuses the connection."""


def redact_url(url: str) -> str:
    """A connection URL or string without its password, for messages."""
    try:
        info = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "the given URL"
    user = f"{info['user']}@" if info.get("user") else ""
    port = f":{info['port']}" if info.get("port") else ""
    return f"{user}{info.get('host') or 'localhost'}{port}/{info.get('dbname') or ''}"


@asynccontextmanager
async def open_database(
    url: str, *, min_size: int = 2, max_size: int = 20, connect_timeout: float = 5.0
) -> AsyncIterator[Database]:
    """Open the pool that rows, queue and checkpoints share.

    Connections are in autocommit mode: a transaction is always visible in the code as
    ``async with conn.transaction()``.

    Raises:
        DatabaseUnavailable: no connection within ``connect_timeout`` seconds.
    """
    await check_connection(url, timeout=connect_timeout)
    pool: Database = AsyncConnectionPool(
        url,
        min_size=min_size,
        max_size=max_size,
        kwargs={"prepare_threshold": 0},
        configure=_configure,  # autocommit not by kwargs: the queue opens a connection of its own from them
        check=_check_idle,
        open=False,
        timeout=30.0,
        name="ratchet",
    )
    try:
        await pool.open(wait=True, timeout=connect_timeout)
    except PoolTimeout as error:
        await pool.close()
        raise DatabaseUnavailable(f"no connection to {redact_url(url)} within {connect_timeout:g} s") from error
    try:
        yield pool
    finally:
        await pool.close(timeout=1.0)


async def _configure(conn: Connection) -> None:
    await conn.set_autocommit(True)
    adaptation.register(conn)


async def _check_idle(conn: Connection) -> None:
    """Find out whether the server has left a pooled connection, without a round trip while all is well.

    Nothing is to be read from an idle connection, unless the server said goodbye or closed it.
    """
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(conn)


async def check_connection(url: str, *, timeout: float = 5.0) -> None:
    """Connect once and leave.

    Raises:
        DatabaseUnavailable: with the server's own reason in one line, or because of its encoding.
    """
    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its text repeats the URL, with the password
        raise DatabaseUnavailable(
            "the database URL cannot be read: write postgresql://USER:PASSWORD@HOST:PORT/NAME"
        ) from None
    try:
        conn = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=max(2, int(timeout)))
        encoding = conn.info.parameter_status("server_encoding")
        await conn.close()
    except psycopg.Error as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatabaseUnavailable(f"cannot connect to {redact_url(url)}: {reason[:300]}") from error
    if encoding != "UTF8":
        raise DatabaseUnavailable(
            f"the database {redact_url(url)} has the encoding {encoding} and cannot hold what people write: "
            "create one with `createdb --encoding=UTF8 --template=template0`"
        )


async def fetch_all(conn: Connection, row: type[Row], statement: str, params: Params = None) -> list[Row]:
    """Run a statement and return every row as ``row``."""
    async with conn.cursor(row_factory=class_row(row)) as cur:
        await cur.execute(statement, params)
        return await cur.fetchall()


async def fetch_one(conn: Connection, row: type[Row], statement: str, params: Params = None) -> Row | None:
    """Run a statement and return its first row as ``row``, or None."""
    async with conn.cursor(row_factory=class_row(row)) as cur:
        await cur.execute(statement, params)
        return await cur.fetchone()


async def fetch_value(conn: Connection, statement: str, params: Params = None) -> Any:
    """Run a statement and return the first column of its first row, or None."""
    cur = await conn.execute(statement, params)
    first = await cur.fetchone()
    return first[0] if first else None


async def execute(conn: Connection, statement: str, params: Params = None) -> int:
    """Run a statement and return how many rows it touched."""
    cur = await conn.execute(statement, params)
    return cur.rowcount
