"""Checks of what Ratchet depends on: for ``doctor``, one by one from the settings, and for ``/readyz``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from slack_sdk.errors import SlackApiError

from agent.models import check_model
from ratchet.embedders import check_embedder
from ratchet.settings import Settings
from slack_app.app import build_client, identify
from slack_app.errors import reason
from slack_app.sockets import Sockets
from storage import db

if TYPE_CHECKING:
    from ratchet.bootstrap import Services


@dataclass(frozen=True)
class Check:
    """One thing, whether it works, and what there is to say about it."""

    name: str
    ok: bool
    detail: str
    warns: bool = False  # it works, and is hardly meant so


async def examine(settings: Settings) -> AsyncIterator[Check]:
    """Check everything that ``serve`` needs, each independent of the others."""
    for name, probe in (
        ("database", _database),
        ("Slack bot token", _bot_token),
        ("Slack delivery", _delivery),
        ("model", _model),
        ("embeddings", check_embedder),
        ("tools", _tools),
        *([("channel monitors", _monitors)] if settings.channel_monitor_config_file else []),
        *([("documentation", _documentation)] if settings.documentation else []),
    ):
        yield await _run(name, lambda probe=probe: probe(settings))  # type: ignore[misc]
    for warning in _unapproved(settings):
        yield Check("approvers", ok=True, detail=warning, warns=True)
    if settings.mcp.servers:
        async for check in _mcp(settings):
            yield check


async def check_services(services: Services, sockets: Sockets | None) -> list[Check]:
    """Check a running process's dependencies, at once."""

    async def database() -> str:
        async with services.database.connection(timeout=2) as conn:
            waiting = await db.fetch_value(conn, "select count(*) from procrastinate_jobs where status = 'todo'")
            failed = await db.fetch_value(conn, "select count(*) from procrastinate_jobs where status = 'failed'")
        return f"ok, {waiting} jobs waiting, {failed} failed"

    async def slack() -> str:
        await identify(services.slack.client)
        if sockets is None:
            return "ok"
        connected = await sockets.connected()
        if not connected:
            raise ConnectionError("no Socket Mode connection")
        return f"ok, {connected} connections, last event {sockets.seconds_since_event():.0f} s ago"

    async def model() -> str:
        await check_model(services.model)
        return f"ok, {services.model}"

    async def embeddings() -> str:  # never a reason not to be ready: search then goes by words alone
        return f"ok, {services.embedder.space}" if services.embedder else "off"

    probes = {"database": database, "slack": slack, "model": model, "embeddings": embeddings}
    return list(await asyncio.gather(*(_run(name, probe) for name, probe in probes.items())))


async def _run(name: str, probe: Callable[[], Awaitable[str]]) -> Check:
    try:
        async with asyncio.timeout(15):
            return Check(name, ok=True, detail=await probe())
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Check(name, ok=False, detail=reason)


async def _database(settings: Settings) -> str:
    from ratchet.bootstrap import open_storage

    async with open_storage(settings) as database, database.connection() as conn:
        version = await db.fetch_value(conn, "select current_setting('server_version')")
        vector = await db.fetch_value(conn, "select default_version from pg_available_extensions where name = 'vector'")
    place = db.redact_url(settings.database_url) if settings.database_url else f"embedded in {settings.data_dir}"
    return f"PostgreSQL {version}, {place}, pgvector {vector or 'missing'}, migrated"


async def _bot_token(settings: Settings) -> str:
    if not settings.slack.bot_token:
        raise ValueError("RATCHET_SLACK_BOT_TOKEN is not set")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        client = build_client(settings.slack.bot_token.get_secret_value(), settings.slack.api_url, session)
        identity = await identify(client)
    return f"{identity.workspace_url} as {identity.bot_user_id}"


async def _delivery(settings: Settings) -> str:
    """Socket Mode with the app token, or HTTP with the signing secret; at least one."""
    slack = settings.slack
    ways = []
    if slack.app_token:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            client = build_client(slack.app_token.get_secret_value(), slack.api_url, session)
            try:
                await client.apps_connections_open(app_token=slack.app_token.get_secret_value())
            except SlackApiError as error:
                raise ValueError(f"the app token is refused: {reason(error)}") from None
        ways.append("Socket Mode")
    if slack.signing_secret:
        ways.append(f"HTTP at {settings.http_addr}/slack/events")
    if not ways:
        raise ValueError("set RATCHET_SLACK_APP_TOKEN (Socket Mode) or RATCHET_SLACK_SIGNING_SECRET (HTTP)")
    return " and ".join(ways)


async def _model(settings: Settings) -> str:
    from ratchet.factories import channel_models, choose_model, naming

    choice = await choose_model(settings)
    others = channel_models(settings, choice)
    await check_model(choice)
    for each, place in others.items():
        with naming(place):
            await check_model(each)
    return ", ".join([str(choice), *(f"{other.model} for some channels" for other in others)])


async def _monitors(settings: Settings) -> str:
    from ratchet.monitors.config import load_monitors

    path = settings.channel_monitor_config_file
    return ", ".join(monitor.slug for monitor in load_monitors(path)) if path else ""


async def _documentation(settings: Settings) -> str:
    from ratchet.documentation.factory import check_sources

    return await check_sources(settings)


async def _tools(settings: Settings) -> str:
    from ratchet.policies import policies_of
    from tools.registry import load_catalogue

    catalogue = load_catalogue()
    policies_of(settings.policies, catalogue, mcp_servers=settings.mcp.names)
    return ", ".join(entry.name for entry in catalogue)


def _unapproved(settings: Settings) -> Iterator[str]:
    """A warning for each policy that allows changes which nobody can approve."""
    from ratchet.policies import PolicyError, policies_of
    from tools.registry import CatalogueError, load_catalogue

    try:
        catalogue = load_catalogue()
        policies = policies_of(settings.policies, catalogue, mcp_servers=settings.mcp.names)
    except (CatalogueError, PolicyError):  # which the check of the tools tells
        return
    effects: dict[str, str] = {entry.name: entry.effect for entry in catalogue}
    for server in settings.mcp.servers:
        effects |= {f"{server.name}__{tool}": effect for tool, effect in server.effects.items()}
    for name, tools in policies.lacking_approvers(effects).items():
        yield (
            f"the policy {name!r} allows {', '.join(tools)}, which need approval, and has no approvers: "
            "every such call is refused"
        )


async def _mcp(settings: Settings) -> AsyncIterator[Check]:
    """A line for each MCP server: the tools that it offers, or what is wrong with it."""
    from ratchet.bootstrap import open_storage
    from ratchet.mcp_servers import failing, open_mcp

    try:
        async with open_storage(settings) as database, open_mcp(settings, database) as servers:
            failed = await failing(database, resting=True)
            for server in servers.servers if servers else ():
                wrong = [f"{name}: {why}" for name, why in server.refused.items()]
                if server.problem:
                    wrong.insert(0, server.problem)
                if server.spec.name in failed:
                    wrong.append(failed[server.spec.name])
                offered = ", ".join(tool.name for tool in server.tools()) or "no tools"
                yield Check(f"MCP server {server.spec.name}", ok=not wrong, detail="; ".join(wrong) or offered)
    except Exception as error:
        yield Check("MCP servers", ok=False, detail=" ".join(str(error).split()) or type(error).__name__)
