"""What goes wrong behind a turn must not leave its thread stuck, nor its people without a word."""

import asyncio
from contextlib import AsyncExitStack

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ratchet.sections import JobSettings

RULES = [{"match": ".*", "steps": [{"text": "About {human}"}]}]


@pytest.fixture
def stored(world):
    """Asks in #ops and waits until the turns wait in the queue, with no worker there to take them."""

    async def ask(services, *questions):
        await world.client.script(RULES)
        thread = None
        for number, question in enumerate(questions, 1):
            ts = await world.client.say(
                "ops", f"<@{world.sandbox.bot_user_id}> {question}", user="oncall-a", thread_ts=thread
            )
            thread = thread or ts
            async with asyncio.timeout(20), services.database.connection() as conn:
                while (await (await conn.execute("select count(*) from turns")).fetchone())[0] < number:
                    await asyncio.sleep(0.02)
        return thread

    return ask


async def execute(services, statement):
    async with services.database.connection() as conn:
        cur = await conn.execute(statement)
        return await cur.fetchall() if cur.description else None


async def test_a_turn_is_answered_although_the_job_of_an_earlier_one_is_gone(world, stored):
    async with world.ratchet("slack") as services:
        thread = await stored(services, "one", "two")
        first = "select min(id) from procrastinate_jobs where task_name = 'answer'"
        assert await execute(services, f"delete from procrastinate_jobs where id = ({first}) returning id")
    async with world.ratchet("worker"):
        answers = await world.answers("ops", thread, count=2)
    assert [answer.splitlines()[-1].removeprefix("About ") for answer in answers] == ["one", "two"]


async def test_a_turn_that_cannot_even_be_prepared_is_given_up_and_the_thread_goes_on(world, stored):
    async with world.ratchet("slack") as services:
        thread = await stored(services, "one")
        await execute(services, "alter table users rename to users_away")
    jobs = JobSettings(heartbeat_seconds=0.5, stalled_seconds=2, attempts=2)
    async with world.ratchet("worker", settings=world.settings().model_copy(update={"jobs": jobs})) as services:
        [notice] = await world.answers("ops", thread)
        assert "something went wrong on my side 2 times" in notice
        failed = "select count(*) from procrastinate_jobs where task_name = 'answer' and status = 'failed'"
        assert await execute(services, failed) == [(1,)]
        await execute(services, "alter table users_away rename to users")
    async with world.ratchet() as services:
        await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> two", user="oncall-a", thread_ts=thread)
        answers = await world.answers("ops", thread, count=2)
    assert answers[0] == notice and answers[1].endswith("two")


async def test_stopping_takes_no_longer_than_allowed_when_the_database_is_away(world, postgres):
    jobs = JobSettings(heartbeat_seconds=0.5, stalled_seconds=2, drain_seconds=0.5)
    settings = world.settings().model_copy(update={"jobs": jobs})
    name = conninfo_to_dict(world.url)["dbname"]
    admin = make_conninfo(postgres, dbname="postgres")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.ratchet("worker", settings=settings))
        async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as conn:
            await conn.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(name)))
            await conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        await asyncio.sleep(1)  # the workers find out, and wait for a connection
        async with asyncio.timeout(20):  # the pool itself has them wait for 30
            await stack.aclose()
