"""The runner's side of the launcher (victim.py): real processes that can be waited for, terminated and killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.faults.points import Action

KILLED = -signal.SIGKILL
LONGEST_LINE = 1 << 20


class Process:
    """One running Ratchet."""

    def __init__(self, log: Path) -> None:
        loop = asyncio.get_running_loop()
        self.pid: asyncio.Future[int] = loop.create_future()
        self.paused: asyncio.Future[bool] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self.log = log

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self.ended.done()

    async def code(self, seconds: float) -> int | None:
        """Its exit code (negative: the signal that ended it), or None while it runs after ``seconds``."""
        await asyncio.wait([self.ended], timeout=seconds)
        return self.ended.result() if self.ended.done() else None

    async def resume(self) -> None:
        """Let it go on after a pause (SIGCONT)."""
        await self._signal(signal.SIGCONT)

    async def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        await self._signal(signal.SIGTERM)

    async def kill(self) -> None:
        """End it at once (SIGKILL)."""
        await self._signal(signal.SIGKILL)
        await self.ended

    async def _signal(self, number: signal.Signals) -> None:
        pid = await self.pid
        if self.is_running:
            os.kill(pid, number)


class Launcher:
    """Starts Ratchet processes; each begins within milliseconds."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._started: dict[str, Process] = {}
        self._numbers = itertools.count(1)
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, environment: dict[str, str], *, folder: Path, point: str | None, action: Action) -> Process:
        """Start one process, which ``action`` strikes when it gets to ``point``; it logs to a file in ``folder``."""
        identity = str(next(self._numbers))
        log = folder / f"process-{identity}.log"
        started = self._started[identity] = Process(log)
        request = {
            "id": identity,
            "environment": environment,
            "point": point,
            "action": action,
            "folder": str(folder),
            "log": str(log),
        }
        if self._process.stdin is None:
            raise RuntimeError("the launcher has no standard input")
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return started

    async def ready(self) -> None:
        """Wait until it has imported everything."""
        await self._ready

    async def listen(self) -> None:
        """Take in what the launcher says, until it ends."""
        while self._process.stdout and (line := await self._process.stdout.readline()):
            answer = json.loads(line)
            started = self._started.get(answer["id"])
            if started is None:
                self._ready.set_result(None)
            elif "pid" in answer:
                started.pid.set_result(answer["pid"])
            elif "paused" in answer:
                started.paused.set_result(True)
            else:
                started.ended.set_result(answer["code"])
        if not self._ready.done():
            self._ready.set_exception(RuntimeError("the launcher ended before it was ready; see its error above"))


@asynccontextmanager
async def open_launcher() -> AsyncIterator[Launcher]:
    """A launcher; at the end every process that it started is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.faults.victim",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
        env={**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"},  # read when langgraph is imported
        start_new_session=True,  # Ctrl-C is for the runner: the launcher must live to end its processes
    )
    launcher = Launcher(process)
    listener = asyncio.create_task(launcher.listen())
    try:
        await launcher.ready()
        yield launcher
    finally:
        if process.stdin:
            process.stdin.close()
        await process.wait()
        await listener
