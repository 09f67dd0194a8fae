"""The queue's rows, written only by the worker that still has them.

procrastinate has no fence of its own: a worker that stood still and continued would end, or give back, a job that
another worker runs by now, and so free its lock too early. A job's ``attempts`` grows whenever it is given back;
here each write names the number that the worker began with.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

from psycopg.errors import UniqueViolation

from storage import db
from storage.db import Connection

MINE = """
mine as materialized (
    select id, queueing_lock from procrastinate_jobs
    where id = %(job_id)s and attempts = %(attempts)s and status = 'doing' for update)"""
# Only one job of a queueing lock may wait. Where one waits already, it does what this one was to do, and a job that
# could not be given back would keep its lock, and with it that other job, for ever.
GIVE_BACK = """
select case
    when exists (
        select 1 from procrastinate_jobs other where other.queueing_lock = mine.queueing_lock and other.status = 'todo')
    then procrastinate_finish_job_v1(id, 'aborted', true)
    else procrastinate_retry_job_v2(id, %(at)s, %(priority)s::integer, %(queue)s::varchar, %(lock)s::varchar)
end from mine"""
STALLED = """
select job.id, job.attempts
from procrastinate_jobs job
left join procrastinate_workers worker on worker.id = job.worker_id
where job.status = 'doing' and (worker.id is null or worker.last_heartbeat < now() - make_interval(secs => %s))"""


async def finish(conn: Connection, job_id: int, attempts: int, *, status: str, delete: bool) -> bool:
    """End a job as ``succeeded``, ``failed`` or ``aborted``; False when another worker has it."""
    return await _write(
        conn,
        f"""with {MINE} select procrastinate_finish_job_v1(
               id, %(status)s::procrastinate_job_status, %(delete)s) from mine""",
        {"job_id": job_id, "attempts": attempts, "status": status, "delete": delete},
    )


async def retry(
    conn: Connection,
    job_id: int,
    attempts: int,
    *,
    at: datetime,
    priority: int | None = None,
    queue: str | None = None,
    lock: str | None = None,
) -> bool:
    """Give a job back, to be run at a time; False when another worker has it."""
    return await _write(
        conn,
        f"with {MINE} {GIVE_BACK}",
        {"job_id": job_id, "attempts": attempts, "at": at, "priority": priority, "queue": queue, "lock": lock},
    )


async def is_followed(conn: Connection, job_id: int, lock: str) -> bool:
    """Whether a later job of the same lock waits."""
    return bool(
        await db.fetch_value(
            conn,
            """select exists (select 1 from procrastinate_jobs
                              where lock = %(lock)s and status = 'todo' and id > %(job_id)s
                                and (scheduled_at is null or scheduled_at <= now()))""",
            {"lock": lock, "job_id": job_id},
        )
    )


async def give_back_stalled(conn: Connection, *, seconds: float) -> list[int]:
    """Give back the jobs of workers that have been silent for so long, each once however many look; their ids."""
    now: datetime = await db.fetch_value(conn, "select now()")
    found = await (await conn.execute(STALLED, (seconds,))).fetchall()
    given_back = []
    for job_id, attempts in found:
        with contextlib.suppress(UniqueViolation):  # one like it was put in the queue just now: the next round ends it
            if await retry(conn, job_id, attempts, at=now):
                given_back.append(job_id)
    return given_back


async def _write(conn: Connection, statement: str, params: dict[str, Any]) -> bool:
    return bool(await db.execute(conn, statement, params))
