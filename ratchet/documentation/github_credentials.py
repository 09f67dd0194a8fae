"""Who Ratchet is for GitHub: a token, or the installation of a GitHub App."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from gidgethub.abc import GitHubAPI
from gidgethub.apps import get_installation_access_token

from ratchet.documentation.github_errors import GitHubError

EARLY = timedelta(minutes=5)


class Credentials(Protocol):
    """Gives the token of a request."""

    async def token(self, api: GitHubAPI) -> str:
        """A token that is valid now.

        Raises:
            GitHubError: there is none.
        """

    def forget(self) -> bool:
        """GitHub refused the token: whether another one can be had."""


@dataclass(frozen=True)
class TokenCredentials:
    """A personal or fine-grained access token."""

    value: str = field(repr=False)

    async def token(self, api: GitHubAPI) -> str:
        """The token."""
        return self.value

    def forget(self) -> bool:
        """There is no other."""
        return False


class AppCredentials:
    """A GitHub App's installation. Its tokens live an hour; each is used until five minutes before its end."""

    def __init__(self, app_id: str | int, installation_id: str | int, private_key_path: Path) -> None:
        self._app_id = str(app_id)
        self._installation_id = str(installation_id)
        self._private_key_path = private_key_path
        self._token = ""
        self._until = datetime.fromtimestamp(0, UTC)
        self._lock = asyncio.Lock()

    async def token(self, api: GitHubAPI) -> str:
        """The installation's token, asked for when there is none yet or its end is near.

        Raises:
            GitHubError: the private key cannot be read or is none.
            gidgethub.HTTPException: GitHub gives no token.
        """
        async with self._lock:
            if datetime.now(UTC) >= self._until - EARLY:
                answer = await get_installation_access_token(
                    api,
                    installation_id=self._installation_id,
                    app_id=self._app_id,
                    private_key=await asyncio.to_thread(self._read_key),
                )
                self._until = datetime.fromisoformat(str(answer["expires_at"]))
                self._token = str(answer["token"])
            return self._token

    def forget(self) -> bool:
        """The next request gets a new token."""
        self._until = datetime.fromtimestamp(0, UTC)
        return True

    def _read_key(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = self._private_key_path
        try:
            key = path.read_bytes()
            load_pem_private_key(key, None)
        except OSError as error:
            raise GitHubError(f"the GitHub App's private key cannot be read: {path}: {error.strerror}") from None
        except (ValueError, TypeError):
            raise GitHubError(f"{path} is not the private key of a GitHub App (PEM, without a password)") from None
        return key
