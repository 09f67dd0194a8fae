"""The migrations against a database that was never migrated."""

import asyncio
import uuid
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from storage.db import DatabaseUnavailable, check_connection, open_database, redact_url
from storage.migrate import Migration, MigrationError, check_schema, load_migrations, migrate


@pytest.fixture
def empty_url(postgres):
    """An empty database."""
    name = f"empty_{uuid.uuid4().hex}"
    admin = psycopg.conninfo.make_conninfo(postgres, dbname="postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


async def test_migrating_twice_changes_nothing_the_second_time(empty_url):
    async with open_database(empty_url, min_size=1, max_size=3) as database:
        applied = await migrate(database)
        assert applied == [*(m.name for m in load_migrations()), "queue", "checkpoints"]
        assert await migrate(database) == []
        await check_schema(database)


async def test_a_database_without_tables_says_what_to_run(empty_url):
    async with open_database(empty_url, min_size=1, max_size=2) as database:
        with pytest.raises(MigrationError, match=r"no Ratchet tables yet: run `ratchet migrate`"):
            await check_schema(database)


async def test_a_missing_migration_is_named(database):
    last = load_migrations()[-1].name
    async with database.connection() as conn:
        await conn.execute("delete from schema_migrations where name = %s", (last,))
    with pytest.raises(MigrationError, match=rf"lacks {last}: run `ratchet migrate`"):
        await check_schema(database)


async def test_a_migration_that_was_edited_after_it_ran_is_refused(database):
    first, *rest = load_migrations()
    with pytest.raises(MigrationError, match=rf"{first.name} was changed after it had been applied"):
        await migrate(database, [replace(first, checksum="0" * 64), *rest])


async def test_a_database_newer_than_the_code_is_refused(database):
    *known, last = load_migrations()
    with pytest.raises(MigrationError, match=rf"newer than this version \(it has {last.name}\): upgrade"):
        await migrate(database, known)


async def test_a_migration_that_fails_leaves_nothing_and_runs_again_when_mended(database):
    known = load_migrations()
    broken = Migration("9999_extra", "create table extra (id int); select no_such_column from extra", "1")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await migrate(database, [*known, broken])
    mended = replace(broken, sql="create table extra (id int)", checksum="2")
    assert await migrate(database, [*known, mended]) == ["9999_extra"]


async def test_pins_of_tools_with_dots_move_to_the_names_that_models_call(database):
    (names,) = [migration for migration in load_migrations() if migration.name == "0027_mcp_names"]
    seen = [("a.b", "early", 2), ("a_b", "late", 1), ("c.d_e", "same", 1), ("c_d.e", "same", 1), ("f", "f", 1)]
    async with database.connection() as conn:
        for tool, sha256, days in seen:
            await conn.execute(
                "insert into mcp_tools values ('desk', %s, %s, '{}', date '2026-01-09' - %s)", (tool, sha256, days)
            )
    await migrate(database, [*load_migrations(), replace(names, name="9999_again")])
    async with database.connection() as conn:
        rows = await (await conn.execute("select tool, sha256 from mcp_tools order by tool")).fetchall()
    assert rows == [("a_b", "early"), ("c_d_e", "same"), ("f", "f")]


async def test_two_processes_that_migrate_at_once_both_succeed_and_apply_once(empty_url):
    async with (
        open_database(empty_url, min_size=1, max_size=3) as one,
        open_database(empty_url, min_size=1, max_size=3) as other,
    ):
        applied = await asyncio.gather(migrate(one), migrate(other))
        assert sorted(applied, key=len)[0] == []
        assert sorted(applied, key=len)[1] == [*(m.name for m in load_migrations()), "queue", "checkpoints"]
        async with one.connection() as conn:
            rows = await (await conn.execute("select name from schema_migrations order by name")).fetchall()
    assert [name for (name,) in rows] == [m.name for m in load_migrations()]


async def test_a_process_that_waits_too_long_for_another_one_says_so(database):
    async with database.connection() as conn:
        await conn.execute("select pg_advisory_lock(%s)", (0x52617463686574,))
        with pytest.raises(MigrationError, match="another process has been migrating"):
            await migrate(database, wait=0)


async def test_a_database_that_is_down_gives_one_line_without_the_password():
    url = "postgresql://ratchet:hunter2@127.0.0.1:9/ops"
    with pytest.raises(DatabaseUnavailable) as refused:
        async with open_database(url):
            pass
    line = str(refused.value)
    assert line.startswith("cannot connect to ratchet@127.0.0.1:9/ops: ")
    assert "\n" not in line and "hunter2" not in line


@pytest.mark.parametrize(
    "url", ["postgres//ratchet:hunter2@db/ops", "postgresql://ratchet:hunter2@db:port/ops", "password=hunter2 x"]
)
async def test_a_url_that_is_none_gives_one_line_without_the_password(url):
    with pytest.raises(DatabaseUnavailable) as refused:
        await check_connection(url)
    assert "hunter2" not in str(refused.value) and "\n" not in str(refused.value)


def test_urls_are_shown_without_their_password():
    assert redact_url("postgresql://ratchet:hunter2@db.example:5433/ops") == "ratchet@db.example:5433/ops"
    assert redact_url("host=/tmp/socket dbname=ops") == "/tmp/socket/ops"
