"""Documents in a repository at GitHub, read by its API: nothing is cloned, and only what changed is fetched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from pydantic import SecretStr

from ratchet.documentation.config import GitHubConfig
from ratchet.documentation.github import API_URL, AppCredentials, Credentials, GitHub, GitHubError, TokenCredentials
from ratchet.documentation.source import DocumentError, Snapshot, SourceError, is_document, is_plain
from ratchet.settings import SettingsError


def build_github(
    config: GitHubConfig, client: httpx2.AsyncClient, *, token: SecretStr | None = None, api_url: str = API_URL
) -> GitHub:
    """The client for a source's repository.

    Args:
        config: the source.
        client: makes the requests.
        token: for a source that names no credentials of its own.
        api_url: for a source that names no GitHub of its own.

    Raises:
        SettingsError: there are no credentials.
    """
    credentials: Credentials
    if config.app_id and config.installation_id and config.private_key_path:
        credentials = AppCredentials(config.app_id, config.installation_id, config.private_key_path)
    elif found := config.token or token:
        credentials = TokenCredentials(found.get_secret_value())
    else:
        raise SettingsError(
            f"the source {config.name} has no credentials: set RATCHET_GITHUB_TOKEN, or give it token_env, or "
            "app_id with installation_id and private_key_path"
        )
    return GitHub(
        api_url=_api_url(config.github_url) if config.github_url else api_url,
        owner=config.owner,
        repo=config.repo,
        credentials=credentials,
        client=client,
    )


def _api_url(github_url: str) -> str:
    """Where the API of a GitHub is, by the address that people see."""
    return API_URL if github_url == "https://github.com" else f"{github_url}/api/v3"


class GitHubSource:
    """Implements ``Source``. A document's path is the one in the repository."""

    kind = "github"

    def __init__(self, config: GitHubConfig, github: GitHub) -> None:
        self.name = config.name
        self._folder = config.path
        self._ref = config.ref
        self._github = github

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Snapshot]:
        """List the branch's files.

        Raises:
            SourceError: GitHub does not answer, or not with them.
        """
        try:
            ref = self._ref or await self._github.default_branch()
            tree = await self._github.tree(ref)
        except GitHubError as error:
            raise SourceError(str(error)) from error
        prefix = f"{self._folder}/" if self._folder else ""
        if not any(path.startswith(prefix) for path in tree.blobs):
            raise SourceError(f"{self._github.repository} has no folder {self._folder or '/'} with files at {ref}")
        blobs = {
            path: sha
            for path, sha in tree.blobs.items()
            if path.startswith(prefix) and is_document(path.removeprefix(prefix)) and is_plain(path)
        }

        async def read(path: str) -> bytes:
            try:
                return await self._github.blob(blobs[path])
            except GitHubError as error:
                if error.status in (401, 403, 429):  # no other document would fare better
                    raise SourceError(str(error)) from error
                raise DocumentError(str(error)) from error

        yield Snapshot(tree.commit, blobs, read, lambda path: self._github.url(path, ref))

    async def check(self) -> str:
        """The commit that the branch is at.

        Raises:
            SourceError: GitHub does not answer, or knows no such branch.
        """
        try:
            ref = self._ref or await self._github.default_branch()
            return f"{self._github.repository} at {ref}, {(await self._github.commit(ref))[:12]}"
        except GitHubError as error:
            raise SourceError(str(error)) from error
