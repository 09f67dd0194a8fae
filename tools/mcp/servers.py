"""All MCP servers: the door for the rest of Ratchet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from langchain_core.tools import BaseTool

import prompts
from storage import mcp_tools
from storage.db import Database
from tools.mcp import definitions
from tools.mcp.definitions import INSTRUCTIONS
from tools.mcp.server import Server
from tools.mcp.spec import SEPARATOR, ServerSpec

log = structlog.get_logger()


@dataclass(frozen=True)
class ToolState:
    """Where a tool stands; ``pin`` is the SHA-256 it must have, ``refused`` why it is not offered."""

    name: str
    source: str
    effect: str
    pin: str
    configured: bool
    refused: str | None


class McpServers:
    """The configured servers, their tools and their instructions."""

    def __init__(self, specs: Sequence[ServerSpec], database: Database) -> None:
        self.servers = [Server(spec, tell=self._note) for spec in specs]
        self._database = database
        self._seconds = {spec.name: spec.rest_seconds for spec in specs}
        self._pinned: set[tuple[str, str, str]] = set()

    async def read(self, servers: Sequence[Server]) -> None:
        """Read servers' tools, all at once and in limited time, and pin what was never seen before."""
        offers = await asyncio.gather(*(server.read() for server in servers))
        async with self._database.connection() as conn:
            for server, offer in zip(servers, offers, strict=True):
                await mcp_tools.remember(conn, server.spec.name, offer)
            pins = await mcp_tools.load(conn)
        self._pinned = {(pin.server, pin.tool, pin.sha256) for pin in pins}
        for server in servers:
            server.pin({pin.tool: (pin.sha256, pin.definition) for pin in pins if pin.server == server.spec.name})

    async def renew(self) -> bool:
        """Read the servers again of which something was pinned meanwhile, elsewhere; says whether there were any."""
        async with self._database.connection() as conn:
            news = await mcp_tools.list_hashes(conn) - self._pinned
        names = {name for name, _, _ in news}
        servers = [server for server in self.servers if server.spec.name in names]
        if servers:
            await self.read(servers)
        return bool(servers)

    async def close(self) -> None:
        """End all processes and sessions."""
        await asyncio.gather(*(server.close() for server in self.servers))

    def tools(self) -> list[tuple[str, BaseTool]]:
        """The tools that can be offered, with their sources."""
        return [(source(server), tool) for server in self.servers for tool in server.tools()]

    def states(self) -> list[ToolState]:
        """Every tool, and the servers' instructions, whether offered or not."""
        return [
            ToolState(
                definitions.tool_name(server.spec.name, name) if name != INSTRUCTIONS else f"{server.spec.name} {name}",
                source(server),
                server.spec.effects.get(name, "change") if name != INSTRUCTIONS else "",
                server.pin_of(name),
                server.is_configured(name),
                server.refused.get(name),
            )
            for server in self.servers
            for name in server.definitions
        ]

    def instructions(self, allowed: Collection[str]) -> str:
        """What those servers say of themselves whose tools are allowed, for the prompt; empty where nobody does."""
        said = [
            f"{server.spec.name}:\n{definitions.quote(server.instructions)}"
            for server in self.servers
            if server.instructions and any(name.startswith(server.spec.name + SEPARATOR) for name in allowed)
        ]
        return prompts.render("mcp_servers", servers="\n\n".join(said)) if said else ""

    async def _note(self, server: str, failures: int, problem: str) -> None:
        """Keep how a server does, for operators; the call goes on without that."""
        try:
            async with self._database.connection() as conn:
                if failures:
                    seconds = self._seconds[server]
                    await mcp_tools.note_failing(conn, server, failures, problem, seconds=seconds)
                else:
                    await mcp_tools.note_working(conn, server)
        except Exception as error:  # the database may be away; the turn will see for itself
            log.warning("it was not noted how an MCP server does", server=server, error=str(error))


def source(server: Server) -> str:
    """Where its tools come from, in the catalogue's words."""
    return f"MCP server {server.spec.name}"


@asynccontextmanager
async def open_servers(specs: Sequence[ServerSpec], database: Database) -> AsyncIterator[McpServers]:
    """Read every server's tools, and pin what was never seen before.

    A server that does not answer is offered as it was at first sight, or, if it was never seen, left out. Each is
    started again at the first call of one of its tools, and ended with the context.
    """
    opened = McpServers(specs, database)
    await opened.read(opened.servers)
    for server in opened.servers:
        if server.problem:
            what = "offered as it was first seen" if server.definitions else "left out until it is seen"
            log.warning(
                "an MCP server did not answer", server=server.spec.name, problem=server.problem, consequence=what
            )
    try:
        yield opened
    finally:
        await opened.close()
