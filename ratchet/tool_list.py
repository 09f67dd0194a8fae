"""What ``ratchet tools`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from ratchet.bootstrap import open_storage
from ratchet.mcp_servers import accept as accept_anew
from ratchet.mcp_servers import failing, open_mcp
from ratchet.policies import Policies, policies_of
from ratchet.settings import Settings, SettingsError
from tools.mcp.server import CHANGED
from tools.mcp.spec import SEPARATOR
from tools.registry import CatalogueEntry, load_catalogue

if TYPE_CHECKING:
    from tools.mcp.servers import McpServers, ToolState


async def run_tools(settings: Settings, say: Callable[[str], Any], *, accept: str = "") -> None:
    """List the catalogue; with ``accept`` pin an MCP server or one of its tools anew before.

    Raises:
        SettingsError, StorageError, CatalogueError, PolicyError: what is wrong, in one line.
    """
    if accept and not settings.mcp.servers:
        raise SettingsError("no MCP servers are configured (mcp.servers), so there is nothing to accept")
    async with AsyncExitStack() as stack:
        servers: McpServers | None = None
        failed: dict[str, str] = {}
        if settings.mcp.servers:  # else the database is not needed
            database = await stack.enter_async_context(open_storage(settings))
            if accept:
                await accept_anew(settings, database, accept)
            servers = await stack.enter_async_context(open_mcp(settings, database))
            failed = await failing(database)
        catalogue = load_catalogue(servers.tools() if servers else ())
        policies = policies_of(settings.policies, catalogue, mcp_servers=settings.mcp.names)
        states = {state.name: state for state in servers.states()} if servers else {}
        for entry in catalogue:
            for line in _describe(entry, policies, states.get(entry.name)):
                say(line)
        for state in states.values():
            if state.refused:
                say(f"{state.name}\n    {state.source}, DISABLED: {state.refused}")
                for line in _says_now(servers, state):
                    say(line)
        for server in servers.servers if servers else ():
            if server.problem:
                say(f"MCP server {server.spec.name} did not answer: {server.problem}")
            if server.spec.name in failed:
                say(f"MCP server {server.spec.name} {failed[server.spec.name]}")


def _describe(entry: CatalogueEntry, policies: Policies, state: ToolState | None) -> Iterator[str]:
    function = convert_to_openai_tool(entry.tool)["function"]
    yield f"{entry.name}({', '.join(function['parameters'].get('properties', {}))})"
    approval = "needs approval" if entry.effect == "change" else "no approval"
    allowed = entry.name in policies.allowed_tools("", "")
    policy = "allowed" if allowed else "not allowed by the default policy"
    yield f"    {entry.source}, {entry.effect}, {approval}, {policy}"
    if state:
        yield f"    pinned {'in the configuration' if state.configured else 'at first sight'}: {state.pin}"
    yield f"    {entry.tool.description.partition('. ')[0].rstrip('.')}"


def _says_now(servers: McpServers | None, state: ToolState) -> Iterator[str]:
    """What a tool that changed says of itself, for whoever is to accept it; nothing in it reaches the terminal raw."""
    if CHANGED not in (state.refused or ""):
        return
    server_name, _, name = state.name.partition(SEPARATOR)
    for server in servers.servers if servers else ():
        if server.spec.name == server_name and (said := server.definitions.get(name)):
            words = "".join(c if c.isprintable() else " " for c in str(said.get("description") or ""))
            arguments = ", ".join((said.get("inputSchema") or {}).get("properties", {}))
            yield f"    says now: {' '.join(words.split())}"
            yield f"    arguments now: {ascii(arguments)[1:-1] or 'none'}"
    yield f"    to accept it: ratchet tools --accept {state.name}"
