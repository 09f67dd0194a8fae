"""A server as a child process: JSON lines over its standard input and output.

The package's own transport hands on more of our environment than is configured, keeps a line of any length in
memory, and takes seconds to end a process that hangs; hence this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCMessage
from pydantic import ValidationError

from tools.mcp.spec import LARGEST_MESSAGE, ServerError, ServerSpec

Reader = MemoryObjectReceiveStream[SessionMessage | Exception]
Writer = MemoryObjectSendStream[SessionMessage]

log = structlog.get_logger()
GRACE_SECONDS = 1.0  # between the end of its input and SIGKILL


@asynccontextmanager
async def open_process(spec: ServerSpec) -> AsyncIterator[tuple[Reader, Writer]]:
    """Start the server; at the end it is killed with all its children.

    Raises:
        ServerError: it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            str(spec.command),
            *spec.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(spec.env),
            limit=LARGEST_MESSAGE,
            start_new_session=True,  # a process group of its own, so that its children can be killed with it
        )
    except OSError as error:
        raise ServerError(f"{spec.command} cannot be started: {error.strerror or error}") from error
    to_session, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    pumps = [
        asyncio.create_task(_read(process, to_session)),
        asyncio.create_task(_write(process, from_session)),
        asyncio.create_task(_complain(spec.name, process)),
    ]
    try:
        yield incoming, outgoing
    finally:
        try:
            await _end(process, pumps)
        finally:
            for stream in (to_session, incoming, outgoing, from_session):
                stream.close()


async def _read(process: asyncio.subprocess.Process, sink: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
    """Hand its messages on until it ends. Lines that are no message are left out, as some servers print more."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with sink:
            while True:
                try:
                    line = await process.stdout.readline()
                except ValueError:
                    await sink.send(ServerError(f"it sent a message of more than {LARGEST_MESSAGE >> 20} MiB"))
                    return
                if not line:
                    await sink.send(ServerError("it ended"))  # or nobody would notice before the next call
                    return
                with contextlib.suppress(ValidationError):
                    await sink.send(SessionMessage(JSONRPCMessage.model_validate_json(line)))


async def _write(process: asyncio.subprocess.Process, source: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, anyio.ClosedResourceError):
        async for message in source:
            line = message.message.model_dump_json(by_alias=True, exclude_none=True)
            process.stdin.write(line.encode("utf-8", "replace") + b"\n")
            await process.stdin.drain()


async def _complain(server: str, process: asyncio.subprocess.Process) -> None:
    """Log what it writes to its standard error, which would block it if nobody read."""
    assert process.stderr is not None  # noqa: S101 - it is a pipe
    while chunk := await process.stderr.read(8192):
        log.debug("MCP server's error output", server=server, output=chunk.decode("utf-8", "replace")[:2000])


async def _end(process: asyncio.subprocess.Process, pumps: list[asyncio.Task[None]]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        with contextlib.suppress(TimeoutError):  # a child that left the group may keep the pipe open
            async with asyncio.timeout(GRACE_SECONDS):
                while process.stdout and await process.stdout.read(LARGEST_MESSAGE):  # it has ended when all is read
                    pass
                await process.wait()
