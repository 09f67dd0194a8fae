"""The settings of MCP servers; ``ratchet.settings`` reads them with the others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, field_validator, model_validator

from ratchet.sections import Section

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class McpServerSettings(Section):
    """An MCP server: a program to start, or a URL.

    ``env_from`` and ``headers_env`` name variables of Ratchet's environment (or ``.env``) whose values the program
    gets under another name, or the URL as headers.
    """

    name: str = Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=30)
    command: str | None = None
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    env_from: dict[str, str] = Field(default_factory=dict)
    url: str | None = Field(None, pattern=r"^https?://")
    headers_env: dict[str, str] = Field(default_factory=dict)
    effects: dict[str, Literal["read", "post", "change"]] = Field(default_factory=dict)
    allow: list[str] | None = None
    timeout_seconds: float = Field(30.0, gt=0, le=600)
    failures: int = Field(3, gt=0, le=100)
    rest_seconds: float = Field(60.0, gt=0, le=3600)
    pins: dict[str, Sha256] = Field(default_factory=dict)
    _inherited: dict[str, str] = PrivateAttr(default_factory=dict)
    _secrets: dict[str, SecretStr] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> McpServerSettings:
        if (self.command is None) == (self.url is None):
            raise ValueError(f"the MCP server {self.name!r} needs either a command or a url")
        if self.url and (self.args or self.env or self.env_from):
            raise ValueError(f"the MCP server {self.name!r} has a url: args, env and env_from are for a command")
        if self.command and self.headers_env:
            raise ValueError(f"the MCP server {self.name!r} has a command: headers_env is for a url")
        environ = (info.context or {}).get("environ", {})
        self._inherited.update({name: environ[name] for name in ("PATH", "HOME", "LANG") if name in environ})
        for name in (*self.env_from.values(), *self.headers_env.values()):
            if not environ.get(name):
                raise ValueError(f"the MCP server {self.name!r} needs {name}, which is not set in the environment")
            self._secrets[name] = SecretStr(environ[name])
        return self

    def secrets(self) -> list[SecretStr]:
        """What it gets of our environment by name."""
        return list(self._secrets.values())

    def environment(self) -> dict[str, str]:
        """All that its program gets as environment: PATH, HOME, LANG and what is configured."""
        handed = {ours: self._secrets[theirs].get_secret_value() for ours, theirs in self.env_from.items()}
        return {**self._inherited, **self.env, **handed}

    def headers(self) -> dict[str, str]:
        """The headers that its URL gets."""
        return {header: self._secrets[name].get_secret_value() for header, name in self.headers_env.items()}


class McpSettings(Section):
    """Servers that offer tools by the Model Context Protocol."""

    servers: list[McpServerSettings] = Field(default_factory=list, description="MCP servers: docs/adding-a-tool.md")

    @field_validator("servers")
    @classmethod
    def _unique(cls, servers: list[McpServerSettings]) -> list[McpServerSettings]:
        names = [server.name for server in servers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two MCP servers are named {name!r}")
        return servers

    @property
    def names(self) -> list[str]:
        """The servers' names."""
        return [server.name for server in self.servers]
