"""Bring a database to the schema that this version needs.

Our own tables come from ``migrations/NNNN_name.sql``: each file runs once, in its own transaction, and
its SHA-256 is kept, so that an edited file is found out. The queue and the checkpoint saver bring their
own schemas, which run here too. One process migrates at a time, held by an advisory lock. The lock is
polled rather than waited for: a waiting statement would hold a snapshot, and the saver's
CREATE INDEX CONCURRENTLY waits for every snapshot.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from procrastinate.schema import SchemaManager
from psycopg.rows import dict_row, tuple_row

from storage import db
from storage.db import Connection, Database, StorageError

LOCK_ID = 0x52617463686574  # "Ratchet"
HISTORY = """
create table if not exists schema_migrations (
    name       text primary key,
    checksum   text not null,
    applied_at timestamptz not null default now())
"""


class MigrationError(StorageError):
    """The schema and this version do not fit."""


@dataclass(frozen=True)
class Migration:
    """One ``.sql`` file: its name without ending, its text and its SHA-256."""

    name: str
    sql: str
    checksum: str


def load_migrations() -> list[Migration]:
    """The shipped migrations in their order."""
    folder = files("storage") / "migrations"
    texts = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".sql")}
    return [
        Migration(name.removesuffix(".sql"), sql, hashlib.sha256(sql.encode()).hexdigest())
        for name, sql in sorted(texts.items())
    ]


async def migrate(database: Database, migrations: list[Migration] | None = None, *, wait: float = 60.0) -> list[str]:
    """Apply what is missing and return the names of what was applied.

    Raises:
        MigrationError: a file changed after it was applied, the database is newer than this
            version, or another process migrates for longer than ``wait`` seconds.
    """
    wanted = load_migrations() if migrations is None else migrations
    async with database.connection() as conn:
        await _lock(conn, wait)
        try:
            await conn.execute(HISTORY)
            applied = []
            for migration in await _pending(conn, wanted):
                async with conn.transaction():
                    await conn.execute(migration.sql, prepare=False)
                    await conn.execute(
                        "insert into schema_migrations (name, checksum) values (%s, %s)",
                        (migration.name, migration.checksum),
                    )
                applied.append(migration.name)
            if not await db.fetch_value(conn, "select to_regclass('procrastinate_jobs')"):
                await conn.execute(SchemaManager.get_schema(), prepare=False)
                applied.append("queue")
            if not await db.fetch_value(conn, "select to_regclass('checkpoint_migrations')"):
                applied.append("checkpoints")
            await _apply_checkpoint_schema(database)
            return applied
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", (LOCK_ID,))


async def check_schema(database: Database) -> None:
    """Refuse to run on a database that was not migrated.

    Raises:
        MigrationError: something is missing or does not fit.
    """
    async with database.connection() as conn:
        if not await db.fetch_value(conn, "select to_regclass('schema_migrations')"):
            raise MigrationError("the database has no Ratchet tables yet: run `ratchet migrate`")
        pending = await _pending(conn, load_migrations())
        if pending:
            raise MigrationError(f"the database lacks {', '.join(m.name for m in pending)}: run `ratchet migrate`")


async def _lock(conn: Connection, wait: float) -> None:
    deadline = asyncio.get_running_loop().time() + wait
    while not await db.fetch_value(conn, "select pg_try_advisory_lock(%s)", (LOCK_ID,)):
        if asyncio.get_running_loop().time() > deadline:
            raise MigrationError(f"another process has been migrating this database for {wait:g} s: try again later")
        await asyncio.sleep(0.1)


async def _pending(conn: Connection, wanted: list[Migration]) -> list[Migration]:
    cur = await conn.execute("select name, checksum from schema_migrations")
    applied = dict(await cur.fetchall())
    known = {migration.name for migration in wanted}
    newer = sorted(set(applied) - known)
    if newer:
        raise MigrationError(f"the database is newer than this version (it has {', '.join(newer)}): upgrade Ratchet")
    for migration in wanted:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"migration {migration.name} was changed after it had been applied: "
                "restore the file and put the change in a new one"
            )
    return [migration for migration in wanted if migration.name not in applied]


async def _apply_checkpoint_schema(database: Database) -> None:
    async with database.connection() as conn:
        conn.row_factory = dict_row
        try:
            await AsyncPostgresSaver(conn).setup()
        finally:
            conn.row_factory = tuple_row
