"""The MCP servers, as configured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ratchet.mcp_settings import McpServerSettings
from ratchet.settings import Settings, SettingsError
from storage import mcp_tools
from storage.db import Database
from tools.mcp.spec import SEPARATOR, ServerSpec

if TYPE_CHECKING:
    from tools.mcp.servers import McpServers


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
        pins=server.pins,
    )


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
