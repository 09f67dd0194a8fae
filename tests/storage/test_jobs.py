"""The queue's fence: who lost a job can write to it no more."""

import asyncio
from datetime import UTC, datetime

import pytest
from procrastinate import PsycopgConnector
from procrastinate.jobs import Job, Status

from ratchet.jobs.fence import FencedJobManager
from slack_app.burst import Burst
from storage import jobs
from storage.db import open_database


@pytest.fixture
async def doing(database):
    """Puts a job into the hands of a worker whose last heartbeat is that old; returns its id and attempts."""

    async def build(*, silent=0, worker=True, queueing_lock=None):
        async with database.connection() as conn:
            worker_id = None
            if worker:
                cur = await conn.execute(
                    "insert into procrastinate_workers (last_heartbeat) "
                    "values (now() - make_interval(secs => %s)) returning id",
                    (silent,),
                )
                worker_id = (await cur.fetchone())[0]
            cur = await conn.execute(
                "insert into procrastinate_jobs (queue_name, task_name, args, status, worker_id, queueing_lock) "
                "values ('turns', 'answer', '{}', 'doing', %s, %s) returning id, attempts",
                (worker_id, queueing_lock),
            )
            return await cur.fetchone()

    return build


@pytest.fixture
def states(database):
    async def fetch():
        async with database.connection() as conn:
            cur = await conn.execute("select id, status::text, attempts from procrastinate_jobs order by id")
            return await cur.fetchall()

    return fetch


@pytest.mark.parametrize(("delete", "left"), [(True, []), (False, [("failed", 1)])], ids=["deleted", "kept"])
async def test_a_worker_ends_its_own_job(database, doing, states, delete, left):
    job_id, attempts = await doing()
    async with database.connection() as conn:
        assert await jobs.finish(conn, job_id, attempts, status="failed", delete=delete)
    assert [row[1:] for row in await states()] == left


async def test_a_worker_gives_its_own_job_back(database, doing, states):
    job_id, attempts = await doing()
    async with database.connection() as conn:
        assert await jobs.retry(conn, job_id, attempts, at=datetime.now(UTC))
    assert await states() == [(job_id, "todo", attempts + 1)]


async def test_a_worker_whose_job_was_given_to_another_changes_nothing(database, doing, states):
    job_id, attempts = await doing(silent=60)
    async with database.connection() as conn:
        assert await jobs.give_back_stalled(conn, seconds=12) == [job_id]
        await conn.execute("update procrastinate_jobs set status = 'doing'")  # the other worker's
        before = await states()
        assert not await jobs.finish(conn, job_id, attempts, status="succeeded", delete=True)
        assert not await jobs.retry(conn, job_id, attempts, at=datetime.now(UTC))
    assert await states() == before == [(job_id, "doing", attempts + 1)]


async def test_a_job_that_another_worker_has_ended_stays_ended(database, doing, states):
    job_id, attempts = await doing()
    async with database.connection() as conn:
        assert await jobs.finish(conn, job_id, attempts, status="failed", delete=False)
        assert not await jobs.retry(conn, job_id, attempts, at=datetime.now(UTC))
    assert await states() == [(job_id, "failed", attempts + 1)]


async def test_only_jobs_of_silent_workers_are_given_back(database, doing, states):
    alive, _ = await doing(silent=3)
    silent, _ = await doing(silent=60)
    orphan, _ = await doing(worker=False)
    async with database.connection() as conn:
        assert sorted(await jobs.give_back_stalled(conn, seconds=12)) == [silent, orphan]
    assert await states() == [(alive, "doing", 0), (silent, "todo", 1), (orphan, "todo", 1)]


async def test_many_sweeps_at_once_give_a_job_back_once(database, doing, states):
    job_id, _ = await doing(silent=60)

    async def sweep():
        async with database.connection() as conn:
            return await jobs.give_back_stalled(conn, seconds=12)

    found = await asyncio.gather(*(sweep() for _ in range(8)))
    assert sorted(found) == [[]] * 7 + [[job_id]]
    assert await states() == [(job_id, "todo", 1)]


async def test_a_stalled_job_whose_like_waits_makes_room_for_it(database, doing, states):
    await doing(silent=60, queueing_lock="sync")
    waiting, _ = await doing(silent=60, queueing_lock="sync")
    other, _ = await doing(silent=60)
    async with database.connection() as conn:
        await conn.execute("update procrastinate_jobs set status = 'todo' where id = %s", (waiting,))
        await jobs.give_back_stalled(conn, seconds=12)
    assert await states() == [(waiting, "todo", 0), (other, "todo", 1)]


async def test_of_two_stalled_jobs_of_one_kind_one_waits(database, doing, states):
    for _ in range(2):
        await doing(silent=60, queueing_lock="prune")
    async with database.connection() as conn:
        assert len(await jobs.give_back_stalled(conn, seconds=12)) == 2
    assert [row[1:] for row in await states()] == [("todo", 1)]


@pytest.mark.parametrize("end", ["finish", "retry"])
async def test_a_job_ends_although_the_database_does_not_answer_at_first(database_url, doing, states, end):
    job_id, attempts = await doing()
    job = Job(id=job_id, queue="turns", lock=None, queueing_lock=None, task_name="answer", attempts=attempts)
    async with open_database(database_url, min_size=1, max_size=1) as narrow:
        narrow.timeout = 0.05
        manager = FencedJobManager(PsycopgConnector(), narrow, Burst())
        async with narrow.connection():  # nobody else gets one
            ending = asyncio.create_task(
                manager.finish_job(job, Status.FAILED, delete_job=False) if end == "finish" else manager.retry_job(job)
            )
            await asyncio.sleep(0.1)
        await ending
    assert await states() == [(job_id, {"finish": "failed", "retry": "todo"}[end], attempts + 1)]


async def test_a_job_whose_like_is_put_in_the_queue_while_it_is_given_back_makes_room_for_it(database, doing, states):
    job_id, attempts = await doing(queueing_lock="sync")
    job = Job(id=job_id, queue="turns", lock=None, queueing_lock="sync", task_name="answer", attempts=attempts)
    manager = FencedJobManager(PsycopgConnector(), database, Burst())
    async with database.connection() as conn, conn.transaction():
        cur = await conn.execute(
            "insert into procrastinate_jobs (queue_name, task_name, queueing_lock) values ('turns', 'answer', 'sync') "
            "returning id"
        )
        (waiting,) = await cur.fetchone()
        giving_back = asyncio.create_task(manager.retry_job(job))
        while not await (await conn.execute("select 1 from pg_locks where not granted")).fetchone():
            await asyncio.sleep(0.01)
    await giving_back
    assert await states() == [(waiting, "todo", 0)]
