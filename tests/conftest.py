"""A real Postgres for every test: one embedded server, one migrated template, a clone for each test."""

import os

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # before anything imports langgraph

import asyncio
import logging
import shutil
import ssl
import sys
import tempfile
import threading
import traceback
import uuid
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import psycopg
import pytest
import structlog
from psycopg import sql
from psycopg_pool import AsyncConnectionPool
from xdist.scheduler import LoadScopeScheduling

SHARED_DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


TOGETHER = {  # what these files' tests share takes long to arrange
    "tests/agent/embeddings/test_minilm.py",
    "tests/e2e/test_private_channel.py",
    "tests/evals/test_alerts.py",
    "tests/faults/test_faults.py",
}


class Spread(LoadScopeScheduling):
    """Gives each test to whichever process is free; the tests of some files stay together."""

    def _split_scope(self, nodeid):
        file, _, _ = nodeid.partition("::")
        return file if file in TOGETHER else nodeid


def pytest_xdist_make_scheduler(config, log):
    return Spread(config, log)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data; without it the test is skipped, except where CI demands it."""
    if not SHARED_DATA.is_dir():
        if os.environ.get("REQUIRE_SHARED_DATA"):
            pytest.fail(f"no real data at {SHARED_DATA}")
        pytest.skip(f"no real data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(autouse=True, scope="session")
def one_connection_at_a_time():
    """Whoever holds a connection and asks for another one makes twenty like it wait for each other for ever.

    Backfilling does, and therefore keeps to a few places (slack_app/backfill.py); migrations run alone.
    """
    held = ContextVar("held", default=None)
    original = AsyncConnectionPool.connection

    @asynccontextmanager
    async def connection(pool, timeout=None):
        outer, caller = held.get(), sys._getframe(2)  # without this function and contextlib's
        if outer and outer[0] is pool and outer[1]:
            places = [frame.f_code.co_name for frame, _ in traceback.walk_stack(caller)]
            assert {"_step", "migrate"} & set(places), f"a second connection, inside {places}"
        mine = [pool, f"{os.sep}tests{os.sep}" not in caller.f_code.co_filename]
        token = held.set(mine)
        try:
            async with original(pool, timeout) as conn:
                yield conn
        finally:
            mine[1] = False
            with suppress(ValueError):  # closed in another context
                held.reset(token)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncConnectionPool, "connection", connection)
        yield


@pytest.fixture(scope="session")
def postgres():
    """URL of the administration database of an embedded server with a migrated template."""
    from storage.db import open_database
    from storage.embedded import open_embedded
    from storage.migrate import migrate

    ready: Future[str] = Future()
    stop = threading.Event()

    # Not in pytest's own folder: another run prunes that, and this server with it. In memory where there is room.
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    folder = tempfile.TemporaryDirectory(
        prefix="ratchet-postgres-", ignore_cleanup_errors=True, dir=memory if roomy else None
    )

    async def serve():
        async with open_embedded(Path(folder.name), name="template") as url:
            async with open_database(url, min_size=1, max_size=4) as database:
                async with database.connection() as conn:
                    for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # it outlives no test
                        await conn.execute(f"alter system set {setting} = off")
                    await conn.execute("select pg_reload_conf()")
                await migrate(database)
            ready.set_result(url)
            await asyncio.to_thread(stop.wait)

    # In a thread of its own: pytest-asyncio owns the main thread's event loops.
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield ready.result(timeout=60)
    stop.set()
    thread.join()
    folder.cleanup()


@pytest.fixture(autouse=True, scope="session")
def certificates_read_once():
    """Each client of a model or of Slack reads the machine's certificates, which takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


@pytest.fixture(autouse=True)
def own_logging():
    """What a command sets up for its process is not for later tests."""
    before, handlers, level = structlog.get_config(), logging.getLogger().handlers[:], logging.getLogger().level
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)


@pytest.fixture(autouse=True)
def own_http_clients():
    """LangChain keeps one client per address for ever; another test's server may get the address of an earlier one."""
    yield
    if utils := sys.modules.get("langchain_openai.chat_models._client_utils"):
        utils._cached_async_httpx_client.cache_clear()


@pytest.fixture
def database_url(postgres):
    """A database of this test's own, migrated."""
    with new_database(postgres) as url:
        yield url


@contextmanager
def new_database(postgres):
    """A migrated database that is gone at the end; yields its address."""
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


class Memory:
    """Fills a database as Slack would: channels, members and messages of the workspace T1."""

    def __init__(self, database):
        self.database = database
        self._number = 0

    async def channel(self, channel_id, kind="public", *, name=None, user_id=None, topic="", shared=False):
        from storage import channels

        name = name or channel_id.lower()
        async with self.database.connection() as conn:
            fields = {"kind": kind, "user_id": user_id, "topic": topic, "shared": shared}
            await channels.upsert(conn, "T1", channel_id, name=name, **fields)

    async def member(self, user_id, channel_id, *, seconds_ago=0):
        async with self.database.connection() as conn:
            await conn.execute(
                "insert into memberships (team_id, user_id, channel_id, seen_at) "
                "values ('T1', %s, %s, now() - make_interval(secs => %s))",
                (user_id, channel_id, seconds_ago),
            )

    async def say(
        self, text, *, channel="C1", at=None, ts=None, user="U1", bot=False, alert=None, service=None, **fields
    ):
        """Store a message, written ``at`` a time or now, that may report an alert; returns its ts."""
        from storage import alerts, messages
        from storage.messages import NewAlert, NewMessage

        self._number += 1
        ts = ts or f"{int((at or datetime.now(UTC)).timestamp())}.{self._number:06}"
        if alert:
            action = fields.setdefault("alert_action", "open_incident")
            reading = NewAlert(f"{service}/{alert}", action, alert, service, None, None, "test", 1.0)
            fields["alerts"] = (reading,)
        message = NewMessage(
            team_id="T1",
            channel_id=channel,
            ts=ts,
            user_id=None if bot else user,
            bot_id="B1" if bot else None,
            author="monitor" if bot else user,
            is_bot=bot,
            text=text,
            **{
                "thread_ts": None,
                "permalink": f"https://acme.slack.com/archives/{channel}/p{ts.replace('.', '')}",
                **fields,
            },
        )
        async with self.database.connection() as conn:
            await alerts.insert_all(conn, [message], await messages.insert_new(conn, [message]))
        return ts


@pytest.fixture
async def memory(database):
    """A way to fill the test's database; the public channel C1 is there."""
    filled = Memory(database)
    await filled.channel("C1", name="ops")
    return filled


class Concepts:
    """An embedding model of few ideas: texts that share one are near each other, whatever their words."""

    space = "concepts/4"
    dimensions = 4
    IDEAS = (("database", "postgres", "replica"), ("slow", "latency", "sluggish"), ("money", "payments", "billing"))

    def __init__(self, *, space="concepts/4", fails=False):
        self.space = space
        self.fails = fails
        self.embedded = []

    async def embed_texts(self, texts):
        from tools.context import EmbeddingError

        if self.fails:
            raise EmbeddingError("no such model")
        self.embedded += texts
        return [self._embed(text) for text in texts]

    async def embed_query(self, query):
        return (await self.embed_texts([query]))[0]

    def _embed(self, text):
        counts = [float(sum(word in text.lower() for word in words)) for words in self.IDEAS]
        length = sum(count**2 for count in counts) ** 0.5
        return [*(count / length for count in counts), 0.0] if length else [0.0, 0.0, 0.0, 1.0]


@pytest.fixture
def concepts():
    """The class of that model; a test makes as many as it needs."""
    return Concepts
