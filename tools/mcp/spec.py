"""What is configured of an MCP server, and what can go wrong with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

LARGEST_MESSAGE = 32 * 1024 * 1024  # bytes; a server that sends more at once is cut off
START_SECONDS = 10.0
SEPARATOR = "__"


@dataclass(frozen=True)
class ServerSpec:
    """A server: a program (``command``, ``args``, and ``env``, its whole environment) or a ``url`` with headers.

    ``effects`` says what tools do to the world; one that it does not name changes something. ``allow`` names the
    tools to take, None takes all. ``pins`` holds the SHA-256 (hex) that a tool's definition must have; a tool without
    one is pinned when it is first seen. ``timeout_seconds`` limits one call;
    starting the server has a limit of its own. After ``failures`` failures in a row it is left alone for
    ``rest_seconds``.
    """

    name: str
    command: str | None = None
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    effects: Mapping[str, Literal["read", "post", "change"]] = field(default_factory=dict)
    allow: frozenset[str] | None = None
    timeout_seconds: float = 30.0
    failures: int = 3
    rest_seconds: float = 60.0
    pins: Mapping[str, str] = field(default_factory=dict)


class ServerError(Exception):
    """An MCP server does not do what it should; the message says what, in one line."""


class ConnectionLost(ServerError):
    """The session ended while a call was under way: nobody knows whether it ran."""


class SessionGone(ServerError):
    """The server no longer knows the session, so it did not run the call."""


class CallRefused(ServerError):
    """The server answered a call with an error of the protocol, such as unknown arguments."""
