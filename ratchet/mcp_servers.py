"""The MCP servers, as configured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog

from agent.runner import Runner
from ratchet.mcp_settings import McpServerSettings
from ratchet.settings import Settings, SettingsError
from storage import mcp_tools
from storage.db import Database
from tools.mcp.spec import SEPARATOR, ServerSpec
from tools.registry import load_catalogue

if TYPE_CHECKING:
    from tools.mcp.servers import McpServers

log = structlog.get_logger()
POLL_SECONDS = 2.0


@asynccontextmanager
async def open_mcp(settings: Settings, database: Database) -> AsyncIterator[McpServers | None]:
    """Open the configured servers; None where there are none.

    Raises:
        SettingsError: there are some, and the package that talks to them is not installed.
    """
    if not settings.mcp.servers:
        yield None
        return
    if find_spec("mcp") is None:
        raise SettingsError("mcp.servers is set, but the package mcp is not installed: pip install 'ratchet[mcp]'")
    from tools.mcp.servers import open_servers

    async with open_servers([spec_of(server) for server in settings.mcp.servers], database) as servers:
        yield servers


def spec_of(server: McpServerSettings) -> ServerSpec:
    """A server's configuration as its connection needs it."""
    return ServerSpec(
        name=server.name,
        command=server.command,
        args=tuple(server.args),
        env=server.environment(),
        url=server.url,
        headers=server.headers(),
        effects=server.effects,
        allow=None if server.allow is None else frozenset(server.allow),
        timeout_seconds=server.timeout_seconds,
        failures=server.failures,
        rest_seconds=server.rest_seconds,
        pins=server.pins,
    )


@asynccontextmanager
async def following(servers: McpServers | None, runner: Runner) -> AsyncIterator[None]:
    """Have turns use what is accepted (or first seen) by ``ratchet tools`` while this process runs."""
    if servers is None:
        yield
        return
    follower = asyncio.create_task(_follow(servers, runner), name="mcp pins")
    try:
        yield
    finally:
        follower.cancel()
        with suppress(asyncio.CancelledError):
            await follower


async def _follow(servers: McpServers, runner: Runner) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            if await servers.renew():
                runner.offer(load_catalogue(servers.tools()))
                log.info("the tools of MCP servers were read again", tools=[tool.name for _, tool in servers.tools()])
        except Exception as error:  # the database may be away, or a name be taken now: the tools stay as they were
            log.error("accepted tools of MCP servers cannot be taken over", error=str(error))


async def failing(database: Database, *, resting: bool = False) -> dict[str, str]:
    """What a running Ratchet noted of servers that fail again and again, in words, by the server's name.

    With ``resting`` only of those that are left alone now.
    """
    async with database.connection() as conn:
        return {
            noted.server: (
                f"failed {noted.failures} times in a row, last: {noted.problem}; "
                f"a running Ratchet {'leaves it alone until' if noted.resting else 'may try it again since'} "
                f"{noted.until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
            )
            for noted in await mcp_tools.list_failing(conn)
            if noted.resting or not resting
        }


async def accept(settings: Settings, database: Database, name: str) -> None:
    """Forget how a server (``deploys``) or one of its tools (``deploys__restart``) was first seen.

    Raises:
        SettingsError: no such server is configured, or nothing was seen of it.
    """
    server, _, tool = name.partition(SEPARATOR)
    if server not in settings.mcp.names:
        raise SettingsError(f"there is no MCP server {server!r}; there are {', '.join(settings.mcp.names) or 'none'}")
    async with database.connection() as conn:
        if not await mcp_tools.forget(conn, server, tool or None):
            raise SettingsError(f"nothing is pinned of {name!r}; `ratchet tools` shows what is")
