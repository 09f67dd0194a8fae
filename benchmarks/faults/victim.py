"""``python -m benchmarks.faults.victim``: starts Ratchet processes, some of which are to die at a given point.

It imports Ratchet once and forks for each process that is asked for, because imports cost more than a whole run.
A forked process runs ``ratchet serve`` by the ordinary command line; no production code knows of faults.

Requests come as JSON lines on standard input, ``{"id", "environment", "point", "action", "folder", "log"}``; answers
go to standard output: ``{"id", "pid"}``, ``{"id", "paused"}`` when the process stands still, and at its end
``{"id", "code"}`` (negative: the signal).
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import threading
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

from benchmarks.faults import effect, points

POLL_SECONDS = 0.02
SERVING = (
    "ratchet.cli",
    "ratchet.bootstrap",
    "ratchet.progress",
    "ratchet.serve",
    "langchain_openai",
    "tools.mcp.servers",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)


def load() -> None:
    """Import all that a serving process imports, and offer it the tool with an effect."""
    for name in SERVING:
        import_module(name)
    registry: Any = import_module("tools.registry")
    point = EntryPoint(effect.NAME, f"{effect.__name__}:{effect.leave_note.name}", registry.ENTRY_POINT_GROUP)
    registry.entry_points = lambda group: [point]
    if threading.active_count() > 1:
        raise RuntimeError(f"a process with threads cannot be forked: {threading.enumerate()}")
    gc.collect()
    gc.freeze()


def become(request: dict[str, Any]) -> None:
    """Run Ratchet in this process, as the command line does."""
    from ratchet import cli

    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, stream in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, stream)
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if request["point"]:
        points.arm(points.BY_NAME[request["point"]], request["action"])
    sys.argv = ["ratchet", "serve"]
    cli.main()


def fork_on_request() -> dict[str, Any] | None:
    """Serve requests; returns twice: in each child its request, in the parent None once the input ends."""
    children: dict[int, str] = {}
    unread = b""
    while True:
        ready, _, _ = select.select([0], [], [], POLL_SECONDS)
        if ready:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                request: dict[str, Any] = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    return request
                children[pid] = request["id"]
                _tell(id=request["id"], pid=pid)
        _reap(children)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return None


def _reap(children: dict[int, str]) -> None:
    for pid in list(children):
        changed, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if changed and os.WIFSTOPPED(status):
            _tell(id=children[pid], paused=True)
        elif changed:
            _tell(id=children.pop(pid), code=os.waitstatus_to_exitcode(status))


def _tell(**answer: Any) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def main() -> None:
    """Load, say so, and serve."""
    load()
    _tell(id="", ready=True)
    request = fork_on_request()
    if request is not None:
        become(request)


if __name__ == "__main__":
    main()
