"""Builds the sources out of the settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from agent.redaction import Redactor
from ratchet.documentation.config import GitConfig, GitHubConfig, LocalConfig, SourceConfig, load_sources
from ratchet.documentation.git import GitSource
from ratchet.documentation.github import GitHub
from ratchet.documentation.github_source import GitHubSource, build_github
from ratchet.documentation.local import LocalSource
from ratchet.documentation.refresh import Refresher
from ratchet.documentation.source import Source, SourceError
from ratchet.documentation.updates import Target, Updates
from ratchet.settings import Settings
from storage.db import Database

REQUEST_SECONDS = 30.0
UPDATE_SECONDS = 8.0  # for one request, of which three are tried, in a tool call that has a minute
COPIES = "documentation"  # in the data folder


@asynccontextmanager
async def open_refresher(settings: Settings, database: Database) -> AsyncIterator[Refresher | None]:
    """What reads the sources; None where no file of sources is configured.

    Raises:
        SettingsError: a source is not as it must be.
    """
    async with open_sources(settings) as sources:
        yield None if sources is None else Refresher(database, sources)


@asynccontextmanager
async def open_updates(settings: Settings, database: Database) -> AsyncIterator[Updates | None]:
    """What proposes updates of documents; None where no source is open for them.

    Raises:
        SettingsError: a source is not as it must be.
    """
    configs = load_sources(settings.documentation) if settings.documentation else []
    open_ones = [config for config in configs if isinstance(config, GitHubConfig) and config.updates]
    if not open_ones:
        yield None
        return
    async with httpx2.AsyncClient(timeout=UPDATE_SECONDS) as client:
        targets = {
            config.name: Target(_build_github(config, settings, client), config.path, config.ref)
            for config in open_ones
        }
        yield Updates(
            database,
            targets,
            Redactor(settings.secrets()).clean,
            seconds=settings.agent.tool_seconds,
            attempts=settings.jobs.attempts,
        )


@asynccontextmanager
async def open_sources(settings: Settings) -> AsyncIterator[list[Source] | None]:
    """The configured sources; None where no file of sources is configured.

    Raises:
        SettingsError: a source is not as it must be.
    """
    if settings.documentation is None:
        yield None
        return
    configs = load_sources(settings.documentation)
    async with httpx2.AsyncClient(timeout=REQUEST_SECONDS) as client:
        yield [_build(config, settings, client) for config in configs]


def _build(config: SourceConfig, settings: Settings, client: httpx2.AsyncClient) -> Source:
    if isinstance(config, LocalConfig):
        return LocalSource(config)
    if isinstance(config, GitConfig):
        return GitSource(config, settings.data_dir / COPIES)
    return GitHubSource(config, _build_github(config, settings, client))


def _build_github(config: GitHubConfig, settings: Settings, client: httpx2.AsyncClient) -> GitHub:
    return build_github(config, client, token=settings.github.token, api_url=settings.github.api_url)


async def check_sources(settings: Settings) -> str:
    """Find out whether each source can be read; returns what there is to say about them.

    Raises:
        SettingsError: a source is not as it must be.
        SourceError: one or more cannot be read; the message names each.
    """
    async with open_sources(settings) as sources:
        results = await asyncio.gather(*(_check(source) for source in sources or []))
    said = "; ".join(text for _, text in results) or "no sources"
    if not all(good for good, _ in results):
        raise SourceError(said)
    return said


async def _check(source: Source) -> tuple[bool, str]:
    try:
        return True, f"{source.name}: {await source.check()}"
    except SourceError as error:
        return False, f"{source.name}: {error}"
