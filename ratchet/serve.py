"""Runs Ratchet: Slack, workers and web in one process, or some of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
import uvicorn
from fastapi import FastAPI

from ratchet.bootstrap import Services
from ratchet.jobs import documentation, onboarding
from ratchet.jobs.queue import run_workers
from ratchet.settings import SettingsError
from ratchet.web.app import create_app
from slack_app.sockets import Sockets, open_sockets

log = structlog.get_logger()
HANDOVER_SECONDS = 2.0  # for giving jobs back, once the time to finish them is over
PARTS = frozenset({"slack", "worker", "web"})


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: one place decides when the process stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running(services: Services, parts: frozenset[str] = PARTS) -> AsyncIterator[FastAPI]:
    """Run the given parts until the block ends; then take no more events, and let running jobs finish.

    Raises:
        SettingsError: a part lacks a setting.
        SlackError: Socket Mode cannot be opened.
    """
    settings = services.settings
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        if "worker" in parts:
            workers = asyncio.create_task(
                run_workers(
                    services.queue,
                    services.job_context(),
                    concurrency=settings.jobs.concurrency,
                    heartbeat_seconds=settings.jobs.heartbeat_seconds,
                    stalled_seconds=settings.jobs.stalled_seconds,
                    drain_seconds=settings.jobs.drain_seconds,
                    stop=stop,
                )
            )
            stack.push_async_callback(_finish, workers, stop, seconds=settings.jobs.drain_seconds)
            if services.refresher:
                await documentation.enqueue_refresh(services.queue)
        sockets: Sockets | None = None
        if "slack" in parts:
            # Before the first event is recorded: what is stored until now was seen, what comes after it was missed.
            await services.outages.mark()
            token, secret = settings.slack.app_token, settings.slack.signing_secret
            if token:
                sockets = await stack.enter_async_context(
                    open_sockets(services.slack.app, token.get_secret_value(), count=settings.slack.connections)
                )
            elif not (secret and "web" in parts):
                raise SettingsError(
                    "no way for events to reach Ratchet: set RATCHET_SLACK_APP_TOKEN (Socket Mode) "
                    "or RATCHET_SLACK_SIGNING_SECRET (HTTP, with the web part)"
                )
            await onboarding.enqueue_sync(services.queue)
            watch = asyncio.create_task(services.outages.watch(sockets))
            stack.callback(watch.cancel)
        app = create_app(services, sockets=sockets)
        if "web" in parts:
            await stack.enter_async_context(_serving(app, settings.http_addr))
        yield app


def spare_collector() -> None:
    """Take all that start-up loaded out of the garbage collector's sight.

    A full collection would otherwise walk a million objects of the libraries, again and again, and stop every
    event and turn for more than 0.1 s.
    """
    gc.collect()
    gc.freeze()


async def serve(services: Services, parts: frozenset[str] = PARTS) -> None:
    """Run until SIGTERM or SIGINT."""
    spare_collector()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(services, parts):
        log.info("ready", parts=sorted(parts), model=str(services.model), address=services.settings.http_addr)
        await stop.wait()
        log.info("stopping", drain_seconds=services.settings.jobs.drain_seconds)


async def _finish(workers: asyncio.Task[None], stop: asyncio.Event, *, seconds: float) -> None:
    """Let the workers end; where the database is away they would wait for it far longer than they may."""
    stop.set()
    await asyncio.wait([workers], timeout=seconds + HANDOVER_SECONDS)
    if not workers.done():
        log.error("the workers did not end in time; what they had will be given to others")
        workers.cancel()
        await asyncio.wait([workers], timeout=HANDOVER_SECONDS)
        return
    await workers


@asynccontextmanager
async def _serving(app: FastAPI, address: str) -> AsyncIterator[None]:
    host, _, port = address.rpartition(":")
    try:
        listener = socket.create_server((host.strip("[]"), int(port)), backlog=1024, reuse_port=False)
    except OSError as error:
        raise SettingsError(
            f"the web server cannot listen on {address}: {error.strerror} (RATCHET_HTTP_ADDR)"
        ) from None
    with listener:
        server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await task
