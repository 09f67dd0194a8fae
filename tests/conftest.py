"""A real Postgres for every test: one embedded server, one migrated template, a clone for each test."""

import os

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # before anything imports langgraph

import asyncio
import threading
import uuid
from concurrent.futures import Future
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

SHARED_DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data; without it the test is skipped, except where CI demands it."""
    if not SHARED_DATA.is_dir():
        if os.environ.get("REQUIRE_SHARED_DATA"):
            pytest.fail(f"no real data at {SHARED_DATA}")
        pytest.skip(f"no real data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """URL of the administration database of an embedded server with a migrated template."""
    from storage.db import open_database
    from storage.embedded import open_embedded
    from storage.migrate import migrate

    ready: Future[str] = Future()
    stop = threading.Event()

    async def serve():
        async with open_embedded(tmp_path_factory.mktemp("postgres"), name="template") as url:
            async with open_database(url, min_size=1, max_size=4) as database:
                await migrate(database)
            ready.set_result(url)
            await asyncio.to_thread(stop.wait)

    # In a thread of its own: pytest-asyncio owns the main thread's event loops.
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield ready.result(timeout=60)
    stop.set()
    thread.join()


@pytest.fixture
def database_url(postgres):
    """A database of this test's own, migrated."""
    name = f"test_{uuid.uuid4().hex}"
    admin = psycopg.conninfo.make_conninfo(postgres, dbname="postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {} template template").format(sql.Identifier(name)))
    yield psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
async def database(database_url):
    """A pool on this test's database."""
    from storage.db import open_database

    async with open_database(database_url, min_size=1, max_size=10) as pool:
        yield pool
