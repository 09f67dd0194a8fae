"""Keeps one program: starts it within limits, and ends it together with everything that it started.

Ratchet runs this file as a script of its own process, with the standard library alone:
``python -I -S keeper.py SOCKET SECONDS PROGRAM [ARGUMENT…]``. Standard input, output and error are the program's.
The other end of the socket is Ratchet's: when it closes, because nobody waits any more or because Ratchet was
killed, the program is killed. What became of the program is written to the socket, such as ``exit 0``,
``signal 9`` or ``time``.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

CHILDREN = Path("/proc/thread-self/children")
KILL_SECONDS = 5.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 64 * 1024**2,
    resource.RLIMIT_AS: 4 * 1024**3,
    resource.RLIMIT_NOFILE: 256,
}


def keep(argv: list[str], control: socket.socket, seconds: float) -> str:
    """Run a program to its end, to its limit, or until ``control`` closes; returns what became of it."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # what outlives its parent becomes ours, so that nothing escapes
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    folder = tempfile.mkdtemp(prefix="ratchet-program-")
    leader = 0
    try:
        leader = os.fork()
        if leader == 0:
            _become(argv, folder, seconds)
        deadline = time.monotonic() + seconds
        while True:
            ended = _reap(leader)
            if ended is not None:
                code = os.waitstatus_to_exitcode(ended)
                return f"exit {code}" if code >= 0 else f"signal {-code}"
            left = deadline - time.monotonic()
            if left <= 0:
                return "time"
            ready, _, _ = select.select([control.fileno(), woken], [], [], left)
            if control.fileno() in ready:  # nothing is ever sent this way: it was closed
                return "stopped"
            if woken in ready:
                os.read(woken, 4096)
    finally:
        if leader:
            _end(leader)
        shutil.rmtree(folder, ignore_errors=True)


def _become(argv: list[str], folder: str, seconds: float) -> None:
    """Turn this forked process into the program; never returns."""
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(folder)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program would inherit that
            signal.signal(number, signal.SIG_DFL)
        for limit, most in {**LIMITS, resource.RLIMIT_CPU: math.ceil(seconds) + 1}.items():
            _, hard = resource.getrlimit(limit)
            value = most if hard == resource.RLIM_INFINITY else min(most, hard)
            with contextlib.suppress(OSError, ValueError):  # not every system knows every limit
                resource.setrlimit(limit, (value, value))
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        os.execve(argv[0], argv, {**environment, "HOME": folder, "TMPDIR": folder})  # noqa: S606
    except BaseException as error:  # whatever it is: two of us must not go on
        os.write(2, f"cannot run {argv[0]}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _reap(leader: int) -> int | None:
    """Take note of every child that ended; the program's status if it is among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, ended = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == leader:
                status = ended
    return status


def _end(leader: int) -> None:
    """Kill what is left: the program's group, then whatever became a child of ours, until there is none."""
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)
    give_up = time.monotonic() + KILL_SECONDS
    while time.monotonic() < give_up:
        _reap(leader)
        left = _children()
        if not left:
            return
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _children() -> list[int]:
    """Our children; empty where the system does not tell."""
    try:
        return [int(pid) for pid in CHILDREN.read_text().split()]
    except OSError:
        return []


def _prctl(option: int, value: int) -> None:
    """Linux has it; elsewhere the process group has to do."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def main() -> None:
    """Keep the program that the command line names."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    outcome = keep(sys.argv[3:], control, float(sys.argv[2]))
    with contextlib.suppress(OSError):
        control.sendall(outcome.encode())


if __name__ == "__main__":
    main()
