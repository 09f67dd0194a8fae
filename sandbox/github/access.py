"""Who may do what: access tokens, and a GitHub App's installation tokens; and the hourly rate limit."""

import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import jwt

from sandbox.github.repository import GitHubRefusal

READ, WRITE, PULLS = "contents:read", "contents:write", "pull_requests:write"
ALL = frozenset({READ, WRITE, PULLS})
INSTALLATION_SECONDS = 3600.0


@dataclass(slots=True)
class Grant:
    """What a token allows, in which repositories (None: all), until when (seconds since 1970)."""

    permissions: frozenset[str] = ALL
    repositories: frozenset[str] | None = None
    until: float = float("inf")
    used: int = 0


@dataclass(frozen=True, slots=True)
class App:
    """An app that people installed; `public_key` in PEM verifies its tokens."""

    app_id: str
    public_key: str
    installations: frozenset[str]


@dataclass(slots=True)
class Access:
    """Tokens by value, apps by id, and how many requests a token has in an hour."""

    tokens: dict[str, Grant] = field(default_factory=dict)
    apps: dict[str, App] = field(default_factory=dict)
    limit: int = 5000
    installation_seconds: float = INSTALLATION_SECONDS
    resets_at: float = field(default_factory=lambda: time.time() + 3600)

    def grant(self, header: str) -> Grant:
        """What the Authorization header allows; raises `GitHubRefusal` 401."""
        kind, _, token = header.partition(" ")
        found = self.tokens.get(token) if kind.lower() in ("token", "bearer") else None
        if found is None or found.until <= time.time():
            raise GitHubRefusal(401, "Bad credentials")
        return found

    def count(self, grant: Grant) -> bool:
        """Count a request; whether it was one too many."""
        now = time.time()
        if now >= self.resets_at:
            self.resets_at = now + 3600
            for each in self.tokens.values():
                each.used = 0
        grant.used += 1
        return grant.used > self.limit

    def headers(self, grant: Grant | None) -> dict[str, str]:
        """The rate limit's headers."""
        used = grant.used if grant else 0
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - used)),
            "X-RateLimit-Reset": str(int(self.resets_at)),
            "X-RateLimit-Used": str(used),
        }

    def install(self, header: str, installation_id: str) -> dict[str, str]:
        """A new installation token for an app that shows a valid JWT; raises `GitHubRefusal` 401 or 404."""
        kind, _, token = header.partition(" ")
        try:
            claimed = jwt.decode(token, options={"verify_signature": False}).get("iss")
            app = self.apps[str(claimed)] if kind.lower() == "bearer" else None
            if app is None:
                raise GitHubRefusal(401, "A JSON web token could not be decoded")
            claims = jwt.decode(token, app.public_key, algorithms=["RS256"], options={"require": ["iat", "exp"]})
        except (jwt.PyJWTError, KeyError) as error:
            raise GitHubRefusal(401, "A JSON web token could not be decoded") from error
        if claims["exp"] - claims["iat"] > 600:
            raise GitHubRefusal(401, "'Expiration time' claim ('exp') is too far in the future")
        if installation_id not in app.installations:
            raise GitHubRefusal(404, "Not Found")
        value = f"ghs_{secrets.token_hex(18)}"
        until = time.time() + self.installation_seconds
        self.tokens[value] = Grant(until=until)
        return {"token": value, "expires_at": datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
