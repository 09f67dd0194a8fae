"""Real MCP servers: processes that speak over their pipes, or over HTTP on this machine."""

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tools.mcp.servers import open_servers
from tools.mcp.spec import ServerSpec

PROGRAM = Path(__file__).with_name("program.py")


def desk(*, name="desk", timeout_seconds=20.0, effects=(), allow=None, pins=(), **env):
    """The test's server as a child process."""
    return ServerSpec(
        name,
        command=sys.executable,
        args=[str(PROGRAM)],
        env={"PATH": os.environ["PATH"], **env},
        effects=dict(effects),
        allow=allow,
        timeout_seconds=timeout_seconds,
        pins=dict(pins),
    )


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
    """The test's server on a port of this machine; it can be stopped and started again."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = None

    async def start(self, **env):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), str(self.port), env={"PATH": os.environ["PATH"], **env}
        )
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    async def stop(self):
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def spec(self, **more):
        return ServerSpec("desk", url=f"http://127.0.0.1:{self.port}/mcp", **{"timeout_seconds": 20.0, **more})


@pytest.fixture
async def http_desk():
    server = HttpDesk()
    await server.start()
    yield server
    await server.stop()
