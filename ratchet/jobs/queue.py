"""The queue: procrastinate on our pool, its workers, and the sweep that frees dead workers' jobs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import procrastinate
import structlog
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker

from ratchet.jobs import answers, maintenance, onboarding
from storage import db
from storage.db import Connection, Database

log = structlog.get_logger()
QUEUES = {"answer": answers.QUEUE, "ask": answers.QUEUE, "onboard": onboarding.QUEUE}
PRIORITIES = {"answer": 10, "ask": 10, "onboard": -10}


@asynccontextmanager
async def open_queue(database: Database) -> AsyncIterator[procrastinate.App]:
    """The queue with all tasks, on the given pool."""
    queue = procrastinate.App(connector=procrastinate.PsycopgConnector())
    for blueprint in (answers.blueprint, onboarding.blueprint, maintenance.blueprint):
        queue.add_tasks_from(blueprint, namespace="")
    async with queue.open_async(database):
        yield queue


class Enqueuer:
    """Implements ``slack_app.inbox.Enqueue``."""

    def __init__(self, queue: procrastinate.App) -> None:
        self._queue = queue

    async def __call__(self, conn: Connection, task: str, *, lock: str, **arguments: str) -> None:
        """Enqueue in the caller's transaction."""
        deferrer = self._queue.configure_task(
            task, allow_unknown=False, lock=lock, queue=QUEUES[task], priority=PRIORITIES[task], connection=conn
        )
        await deferrer.defer_async(**arguments)


async def run_workers(
    queue: procrastinate.App,
    context: dict[str, Any],
    *,
    concurrency: int,
    heartbeat_seconds: float,
    stalled_seconds: float,
    drain_seconds: float,
    stop: asyncio.Event,
) -> None:
    """Work until ``stop`` is set, then let running jobs finish for ``drain_seconds``.

    Questions and background work have workers of their own, so that a backfill never takes the last place.
    A worker that loses the database is started again.
    """
    common: dict[str, Any] = {
        "additional_context": context,
        "install_signal_handlers": False,
        "fetch_job_polling_interval": 0.2,
        "update_heartbeat_interval": heartbeat_seconds,
        "stalled_worker_timeout": stalled_seconds,
        "shutdown_graceful_timeout": drain_seconds,
        "delete_jobs": "successful",
    }
    async with asyncio.TaskGroup() as group:
        group.create_task(_work(queue, stop, queues=[answers.QUEUE], concurrency=concurrency, **common))
        group.create_task(_work(queue, stop, queues=[onboarding.QUEUE, maintenance.QUEUE], concurrency=2, **common))
        group.create_task(_sweep(queue, stop, stalled_seconds=stalled_seconds))


async def _work(queue: procrastinate.App, stop: asyncio.Event, **options: Any) -> None:
    while not stop.is_set():
        worker = Worker(app=queue, **options)
        stopper = asyncio.create_task(_stop_when(worker, stop))
        try:
            await worker.run()  # type: ignore[no-untyped-call]
        except Exception:
            log.exception("worker failed", queues=options["queues"])
        finally:
            stopper.cancel()
        if not stop.is_set():
            log.warning("worker ended early, starting again", queues=options["queues"])
            await asyncio.sleep(1)


async def _stop_when(worker: Worker, stop: asyncio.Event) -> None:
    await stop.wait()
    worker.stop()  # type: ignore[no-untyped-call]


async def _sweep(queue: procrastinate.App, stop: asyncio.Event, *, stalled_seconds: float) -> None:
    """Give the jobs of workers that fell silent back to the queue."""
    while not stop.is_set():
        try:
            await sweep(queue, stalled_seconds=stalled_seconds)
        except Exception as error:  # the database may be away; the next round will tell
            log.warning("sweep failed", error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), timeout=min(2.0, stalled_seconds / 4))


async def sweep(queue: procrastinate.App, *, stalled_seconds: float) -> int:
    """One round of the sweep; returns how many jobs were given back."""
    count = 0
    for job in await queue.job_manager.get_stalled_jobs(seconds_since_heartbeat=stalled_seconds):
        with contextlib.suppress(ConnectorException):  # another process gave it back first
            await queue.job_manager.retry_job(job)
            log.warning("stalled job given back", job=job.id, task=job.task_name)
            count += 1
    return count


async def wait_until_ended(database: Database, job_id: int | None) -> None:
    """Wait until another worker has ended this job.

    A worker that was stopped and continued may find that its job was given to another one. It must not
    report the job's end then, which would free its lock too early.
    """
    while True:
        async with database.connection() as conn:
            status = await db.fetch_value(conn, "select status::text from procrastinate_jobs where id = %s", (job_id,))
        if status not in {"todo", "doing"}:
            return
        await asyncio.sleep(1)
