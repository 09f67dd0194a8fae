"""Runs an operator's program: no shell, nothing of our environment, and never longer than it may."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.monitors import keeper

SECONDS = 60.0
LONGEST_OUTPUT = 1024 * 1024
LONGEST_STDERR = 8192
GRACE_SECONDS = keeper.KILL_SECONDS + 5.0
CHUNK = 65536


class ProgramFailed(Exception):
    """It did not do its work; the message says why. ``stderr`` is the beginning of what it complained."""

    def __init__(self, reason: str, stderr: str = "") -> None:
        super().__init__(reason)
        self.stderr = stderr


@dataclass(frozen=True)
class Output:
    """What a program wrote; ``stderr`` is only its beginning."""

    stdout: bytes
    stderr: str


async def run_program(
    argv: Sequence[str], given: bytes, *, seconds: float = SECONDS, longest: int = LONGEST_OUTPUT
) -> Output:
    """Run a program to its end, in an empty folder that goes with it.

    Its environment is PATH, LANG, and HOME and TMPDIR, which are that folder. When it ends, when its time is over,
    when the caller is cancelled and when this process dies, everything that it started is killed
    (ratchet/monitors/keeper.py).

    Args:
        argv: the program's absolute path, and its arguments.
        given: its standard input.
        seconds: its time.
        longest: bytes that it may write to standard output.

    Raises:
        ProgramFailed: it ended with another code than 0, by a signal or at a limit, or could not be started.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours:
        with theirs:
            process = await _start(argv, theirs.fileno(), seconds)
        work = asyncio.create_task(_converse(process, given, ours, longest))
        try:
            await asyncio.wait([work], timeout=seconds + GRACE_SECONDS)
        finally:
            await _see_off(process, work, ours)
        if work.cancelled():
            raise ProgramFailed("could not be ended")
        stdout, over, stderr = work.result()
        _judge(_outcome(ours), stderr, over=over, seconds=seconds, longest=longest)
        return Output(stdout, stderr)


async def _start(argv: Sequence[str], control: int, seconds: float) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", keeper.__file__, str(control), str(seconds), *argv),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(control,),
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramFailed(f"could not be started: {error}") from None


async def _converse(
    process: asyncio.subprocess.Process, given: bytes, control: socket.socket, longest: int
) -> tuple[bytes, bool, str]:
    """Standard output, whether it was more than that, and the beginning of standard error."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise ProgramFailed("has no pipes")
    _, (stdout, over), (stderr, _) = await asyncio.gather(
        _feed(process.stdin, given),
        _read(process.stdout, longest, then=control),
        _read(process.stderr, LONGEST_STDERR),
    )
    await process.wait()
    return stdout, over, stderr.decode("utf-8", "replace")


async def _feed(stream: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read it
        stream.write(given)
        await stream.drain()
    stream.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await stream.wait_closed()


async def _read(stream: asyncio.StreamReader, longest: int, then: socket.socket | None = None) -> tuple[bytes, bool]:
    """The beginning of a stream and whether there was more; ``then`` is closed once there is."""
    kept, over = b"", False
    while chunk := await stream.read(CHUNK):
        over = over or len(kept) + len(chunk) > longest
        kept += chunk[: longest - len(kept)]
        if over and then:
            _stop(then)
    return kept, over


async def _see_off(
    process: asyncio.subprocess.Process,
    work: asyncio.Task[tuple[bytes, bool, str]],
    control: socket.socket,
) -> None:
    """Nobody waits any longer: have the keeper kill everything, and if that fails the keeper itself."""
    if not work.done():
        _stop(control)
        await asyncio.wait([work], timeout=GRACE_SECONDS)
    if not work.done():
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait([work], timeout=1)
    if not work.done():
        work.cancel()
        await asyncio.wait([work])


def _stop(control: socket.socket) -> None:
    with contextlib.suppress(OSError):
        control.shutdown(socket.SHUT_WR)


def _outcome(control: socket.socket) -> str:
    try:
        return control.recv(64).decode()
    except OSError:
        return ""


def _judge(outcome: str, stderr: str, *, over: bool, seconds: float, longest: int) -> None:
    kind, _, number = outcome.partition(" ")
    if over:
        raise ProgramFailed(f"wrote more than {longest:,} bytes", stderr)
    match kind:
        case "exit" if number == "0":
            return
        case "exit":
            raise ProgramFailed(f"ended with exit code {number}", stderr)
        case "signal":
            raise ProgramFailed(f"was ended by {signal.Signals(int(number)).name}", stderr)
        case "time":
            raise ProgramFailed(f"did not finish within {seconds:g} s", stderr)
        case _:
            raise ProgramFailed("was killed", stderr)
