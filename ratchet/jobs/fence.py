"""Procrastinate's job manager with a fence: a worker writes only to jobs that are still its own.

It takes no job while a burst of deliveries comes in.

procrastinate ends a job once, and a job that it could not end would keep its lock as long as the worker lives. So
the writes are repeated until the database takes them: the fence makes that safe.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import structlog
from procrastinate.connector import BaseConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from psycopg import OperationalError
from psycopg.errors import UniqueViolation
from psycopg_pool import PoolClosed
from tenacity import RetryCallState, retry, retry_if_exception, wait_exponential

from slack_app.burst import Burst
from storage import jobs
from storage.db import Database

log = structlog.get_logger()


def _may_pass(error: BaseException) -> bool:
    """Whether the same write may succeed later.

    Where a job's like was put in the queue in this very moment, the next try sees it and ends the job instead.
    """
    return isinstance(error, OperationalError | UniqueViolation) and not isinstance(error, PoolClosed)


def _warn(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("a job's end is not written yet", attempt=state.attempt_number, error=str(error))


_until_written = retry(
    retry=retry_if_exception(_may_pass), wait=wait_exponential(multiplier=0.1, max=10), before_sleep=_warn
)


class FencedJobManager(JobManager):
    """Ends and retries a job only while nobody else was given it."""

    def __init__(self, connector: BaseConnector, database: Database, burst: Burst) -> None:
        super().__init__(connector)
        self._database = database
        self._burst = burst

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Take a job, once no burst is coming in."""
        await self._burst.over()
        return await super().fetch_job(queues, worker_id)

    @_until_written
    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """End a job, unless another worker has it."""
        async with self._database.connection() as conn:
            done = await jobs.finish(conn, _id(job), job.attempts, status=status.value, delete=delete_job)
        self._report(job, done)

    @_until_written
    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Give a job back, unless another worker has it."""
        at = retry_at or datetime.now(UTC)
        async with self._database.connection() as conn:
            done = await jobs.retry(conn, _id(job), job.attempts, at=at, priority=priority, queue=queue, lock=lock)
        self._report(job, done)

    @staticmethod
    def _report(job: Job, done: bool) -> None:
        if not done:
            log.warning("this job was given to another worker", job=job.id, task=job.task_name)


def _id(job: Job) -> int:
    if job.id is None:
        raise ValueError(f"a job without an id: {job.task_name}")
    return job.id
