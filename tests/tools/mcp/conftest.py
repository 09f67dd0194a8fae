"""Real MCP servers: processes that speak over their pipes, or over HTTP on this machine."""

import asyncio
import os
import socket
import sys
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

import sandbox.mcp_server
from tests.tools.mcp import program
from tools.mcp.servers import open_servers
from tools.mcp.spec import ServerSpec

DESK = (sys.executable, ["-I", "-S", sandbox.mcp_server.__file__])  # it needs no packages, and so starts at once


def desk(*, name="desk", timeout_seconds=20.0, effects=(), allow=None, pins=(), more=(), **env):
    """The sandbox's server, which misbehaves as one likes, as a child process."""
    command, args = DESK
    return ServerSpec(
        name,
        command=command,
        args=args,
        env={"PATH": os.environ["PATH"], **env},
        effects=dict(effects),
        allow=allow,
        timeout_seconds=timeout_seconds,
        pins=dict(pins),
        **dict(more),
    )


def official():
    """A server that is written with the official package, as a child process."""
    return ServerSpec(
        "desk",
        command=sys.executable,
        args=[program.__file__],
        env={"PATH": os.environ["PATH"]},
        effects={"add": "read", "count": "post"},
    )


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    """What hangs is killed after a fifth of a second."""
    monkeypatch.setattr("tools.mcp.stdio.GRACE_SECONDS", 0.2)


@pytest.fixture
def opened(database):
    """Opens servers on the test's database."""

    @asynccontextmanager
    async def opening(*specs):
        async with open_servers(specs, database) as servers:
            yield servers

    return opening


def tool_of(servers, name):
    """A tool of the catalogue by name."""
    return next(tool for _, tool in servers.tools() if tool.name == name)


async def ask(servers, name, **arguments):
    """What a tool answers, as the model reads it, and its status."""
    message = await tool_of(servers, name).ainvoke({"type": "tool_call", "id": "c1", "name": name, "args": arguments})
    return message.text, message.status


class HttpDesk:
    """A server of the official package on a port of this machine; it can be stopped and started again."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._stack = ExitStack()

    async def start(self):
        server = self._stack.enter_context(program.serve(self.port))
        async with asyncio.timeout(20):
            while not server.started:
                await asyncio.sleep(0.01)

    def stop(self):
        self._stack.close()

    def spec(self, **more):
        return ServerSpec("desk", url=f"http://127.0.0.1:{self.port}/mcp", **{"timeout_seconds": 20.0, **more})


@pytest.fixture
async def http_desk():
    server = HttpDesk()
    await server.start()
    yield server
    await asyncio.to_thread(server.stop)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
