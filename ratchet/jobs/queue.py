"""The queue: procrastinate on our pool, its workers, and the sweep that frees dead workers' jobs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import procrastinate
import structlog
from procrastinate.worker import Worker

from ratchet.jobs import (
    alerts,
    answers,
    approvals,
    commands,
    documentation,
    embeddings,
    files,
    help_channels,
    home,
    maintenance,
    offers,
    onboarding,
    privacy,
    reports,
    steps,
)
from ratchet.jobs.fence import FencedJobManager
from slack_app.burst import Burst
from slack_app.jobs import Job
from storage import jobs
from storage.db import Connection, Database

log = structlog.get_logger()
STEPS_AT_ONCE = 8
QUEUES = {
    "answer": answers.QUEUE,
    "ask": answers.QUEUE,
    "process": steps.QUEUE,
    "classify": alerts.QUEUE,
    "onboard": onboarding.QUEUE,
    "backfill": onboarding.QUEUE,
    "refresh": onboarding.QUEUE,
    "read_file": files.QUEUE,
    "report": reports.QUEUE,
    "purge": privacy.QUEUE,
    "revise": approvals.QUEUE,
    "notice": approvals.QUEUE,
    "expire": approvals.QUEUE,
    "command": commands.QUEUE,
    "offer": offers.QUEUE,
    "home": home.QUEUE,
    "prompts": home.QUEUE,
}
PRIORITIES = {
    "answer": 10,
    "ask": 10,
    "process": 5,
    "classify": 5,
    "purge": 5,
    "revise": 10,
    "notice": 10,
    "expire": 10,
    "command": 10,  # that of answers: a reset keeps its place among them
    "offer": 5,
    "home": 10,
    "prompts": 10,
    "onboard": onboarding.PRIORITY,
    "backfill": onboarding.PRIORITY,
    "refresh": 0,
    "report": 0,
    "read_file": onboarding.THREADS_PRIORITY,
}


@asynccontextmanager
async def open_queue(database: Database, burst: Burst | None = None) -> AsyncIterator[procrastinate.App]:
    """The queue with all tasks, on the given pool; its workers let a burst of deliveries pass."""
    queue = procrastinate.App(connector=procrastinate.PsycopgConnector())
    topics = (
        answers,
        approvals,
        commands,
        alerts,
        documentation,
        steps,
        onboarding,
        files,
        embeddings,
        reports,
        help_channels,
        home,
        maintenance,
        offers,
        privacy,
    )
    for blueprint in (topic.blueprint for topic in topics):
        queue.add_tasks_from(blueprint, namespace="")
    queue.job_manager = FencedJobManager(queue.connector, database, burst or Burst())
    async with queue.open_async(database):
        yield queue


class Enqueuer:
    """Implements ``slack_app.inbox.Enqueue``."""

    def __init__(self, queue: procrastinate.App) -> None:
        self._queue = queue

    async def __call__(self, conn: Connection, jobs: Sequence[Job]) -> None:
        """Enqueue in the caller's transaction."""
        deferred = [
            self._queue.configure_task(
                job.task,
                allow_unknown=False,
                lock=job.lock,
                queue=QUEUES[job.task],
                priority=PRIORITIES[job.task],
                schedule_at=job.at,
            ).make_new_job(**job.arguments)
            for job in jobs
        ]
        await self._queue.job_manager.batch_defer_jobs_async(deferred, connection=conn)


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

    Questions, what follows by itself from messages, background work and deletions have workers of their own, so that
    none of them takes the last place from another.
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
        group.create_task(_work(queue, stop, queues=[steps.QUEUE], concurrency=STEPS_AT_ONCE, **common))
        group.create_task(_work(queue, stop, queues=[onboarding.QUEUE, maintenance.QUEUE], concurrency=2, **common))
        group.create_task(_work(queue, stop, queues=[privacy.QUEUE], concurrency=2, **common))
        if context.get("embedder"):
            group.create_task(embeddings.keep_embedded(context["database"], context["embedder"], stop))
        group.create_task(_sweep(context["database"], stop, stalled_seconds=stalled_seconds))


async def _work(queue: procrastinate.App, stop: asyncio.Event, **options: Any) -> None:
    while not stop.is_set():
        worker = Worker(app=queue, **options)
        stopper = asyncio.create_task(_stop_when(worker, stop))
        heart = asyncio.create_task(_beat(queue, worker, seconds=options["update_heartbeat_interval"]))
        try:
            await worker.run()  # type: ignore[no-untyped-call]
        except Exception:
            log.exception("worker failed", queues=options["queues"])
        finally:
            stopper.cancel()
            heart.cancel()
        if not stop.is_set():
            log.warning("worker ended early, starting again", queues=options["queues"])
            await asyncio.sleep(1)


async def _stop_when(worker: Worker, stop: asyncio.Event) -> None:
    await stop.wait()
    worker.stop()  # type: ignore[no-untyped-call]


async def _beat(queue: procrastinate.App, worker: Worker, *, seconds: float) -> None:
    """Say that the worker lives, until its last job has ended.

    Its own heartbeat ends when it is asked to stop; its running jobs would count as stalled long before their time
    to finish is over, and a second worker would run them.
    """
    while True:
        await asyncio.sleep(seconds)
        if worker.worker_id is not None:
            with contextlib.suppress(Exception):  # the database may be away; the next beat will tell
                await queue.job_manager.update_heartbeat(worker.worker_id)


async def _sweep(database: Database, stop: asyncio.Event, *, stalled_seconds: float) -> None:
    """Give the jobs of workers that fell silent back to the queue."""
    while not stop.is_set():
        try:
            await sweep(database, stalled_seconds=stalled_seconds)
        except Exception as error:  # the database may be away; the next round will tell
            log.warning("sweep failed", error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), timeout=min(2.0, stalled_seconds / 4))


async def sweep(database: Database, *, stalled_seconds: float) -> int:
    """One round of the sweep; returns how many jobs were given back."""
    async with database.connection() as conn:
        given_back = await jobs.give_back_stalled(conn, seconds=stalled_seconds)
    if given_back:
        log.warning("stalled jobs given back", jobs=given_back)
    return len(given_back)
