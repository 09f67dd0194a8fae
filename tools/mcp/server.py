"""One MCP server: started at the first call, and again when it died; pinned; left alone while it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import structlog
from langchain_core.tools import BaseTool, ToolException

from tools.mcp import definitions
from tools.mcp.breaker import Breaker
from tools.mcp.connection import Connection
from tools.mcp.definitions import INSTRUCTIONS, MOST_TOOLS, Offer
from tools.mcp.results import as_text
from tools.mcp.spec import CallRefused, ConnectionLost, ServerError, ServerSpec, SessionGone

log = structlog.get_logger()
CHANGED = "changed since it was pinned"
Tell = Callable[[str, int, str], Awaitable[None]]  # server, failures in a row (0: it works again), the last one


class Unsettled(ToolException):
    """A call failed, and may have had an effect all the same."""


class McpTool(BaseTool):
    """A tool of a server. Its arguments may have any names, such as ``config``, which LangChain's own tools keep."""

    call: Callable[[Mapping[str, Any]], Awaitable[str]]

    def _run(self, *args: Any, **kwargs: Any) -> str:
        raise NotImplementedError("MCP servers are called on the event loop")

    async def _arun(self, /, *args: Any, **arguments: Any) -> str:
        return await self.call(arguments)


class Server:
    """A server and what is known of it.

    ``problem`` says why it could not be read at start, ``definitions`` holds what it said of its tools (by their
    own names), and ``refused`` which of them are not offered, and why.
    """

    def __init__(self, spec: ServerSpec, breaker: Breaker | None = None, tell: Tell | None = None) -> None:
        self.spec = spec
        self.problem: str | None = None
        self.definitions: dict[str, dict[str, Any]] = {}
        self.refused: dict[str, str] = {}
        self._configured = {definitions.plain_name(name): sha256 for name, sha256 in spec.pins.items()}
        self._pins = dict(self._configured)
        self._breaker = breaker or Breaker(failures=spec.failures, open_seconds=spec.rest_seconds)
        self._tell = tell
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._draining: dict[Connection, asyncio.Task[None]] = {}

    @property
    def instructions(self) -> str:
        """What it wants models to know; empty where that changed."""
        return "" if INSTRUCTIONS in self.refused else self.definitions.get(INSTRUCTIONS, {}).get("instructions", "")

    async def read(self) -> list[tuple[str, str, str]]:
        """Start it, ask for its tools, and end it. Returns what can be pinned: name, SHA-256, definition (JSON).

        A connection that is open goes on as long as its calls do.
        """
        self._retire(self._connection)
        connection = Connection(self.spec)
        try:
            await connection.open()
            self.problem, self.definitions = None, self._take(connection.offer)
        except ServerError as error:
            self.problem = str(error)
        finally:
            await connection.close()
        return [
            (definitions.plain_name(name), definitions.digest(said), json.dumps(said))
            for name, said in self.definitions.items()
            if self._objection(name, self.definitions) is None
        ]

    def pin(self, known: Mapping[str, tuple[str, str]]) -> None:
        """Take the pins (SHA-256 and definition by name) of first sight, and judge the tools by them.

        What is configured takes precedence. Where the server could not be read, what it said at first sight stands
        in for it.
        """
        self._pins = {**{name: sha256 for name, (sha256, _) in known.items()}, **self._configured}
        if self.problem is not None:
            kept = [(name, json.loads(text)) for name, (sha256, text) in known.items() if sha256 == self._pins[name]]
            seen = {said.get("name", name): said for name, said in kept}
            self.definitions = {name: said for name, said in seen.items() if self._taken(name)}
        self._judge(self.definitions)

    def pin_of(self, name: str) -> str:
        """The SHA-256 that a tool must have, or an empty string."""
        return self._pins.get(definitions.plain_name(name), "")

    def is_configured(self, name: str) -> bool:
        """Whether that was configured."""
        return definitions.plain_name(name) in self._configured

    def tools(self) -> list[BaseTool]:
        """Its tools, as far as they can be offered."""
        return [
            self._tool(name, said)
            for name, said in self.definitions.items()
            if name != INSTRUCTIONS and name not in self.refused
        ]

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Call one of its tools.

        Raises:
            ToolException: it did not run; the message is for the model.
            Unsettled: it failed, and may have had an effect.
        """
        left = self._breaker.seconds_left()
        if left:
            raise ToolException(
                f"The MCP server {self.spec.name} failed several times in a row and is left alone for another "
                f"{left:.0f} s. Go on without it, and say so."
            )
        try:
            text = await self._attempt(tool, arguments)
        except CallRefused as error:
            await self._succeeded()
            raise Unsettled(f"{self._named(tool)} was refused by its server: {error}") from error
        except ServerError as error:
            await self._failed(error)
            if isinstance(error, ConnectionLost):
                raise Unsettled(
                    f"{self._named(tool)} was cut off ({error}): whether it had an effect is unknown. "
                    "The server is started again at the next call."
                ) from error
            raise ToolException(f"The MCP server {self.spec.name} cannot be reached: {error}.") from error
        except ToolException:
            await self._succeeded()
            raise
        await self._succeeded()
        return text

    async def close(self) -> None:
        """End its process or session."""
        held = [self._connection] if self._connection else []
        await asyncio.gather(*(connection.close() for connection in (*held, *self._draining)))
        await asyncio.gather(*self._draining.values())

    async def _attempt(self, tool: str, arguments: Mapping[str, Any], *, again: bool = True) -> str:
        connection = await self._connected()
        if tool in self.refused:
            raise ToolException(
                f"{self._named(tool)} is disabled: {self.refused[tool]}. An operator must look at it first."
            )
        try:
            async with asyncio.timeout(self.spec.timeout_seconds):
                result = await connection.call(tool, arguments)
        except TimeoutError:
            self._retire(connection)
            raise ConnectionLost(f"no answer within {self.spec.timeout_seconds:g} s") from None
        except SessionGone:
            self._retire(connection)
            if not again:
                raise
            return await self._attempt(tool, arguments, again=False)
        except (ConnectionLost, asyncio.CancelledError):  # a call that nobody waits for would go on
            self._retire(connection)
            raise
        text = as_text(result)
        if result.isError:
            raise Unsettled(text)
        return text

    async def _connected(self) -> Connection:
        async with self._connecting:
            connection = self._connection
            if connection is None or not connection.alive:
                self._retire(connection)
                connection = Connection(self.spec)
                await connection.open()
                self._connection = connection
                self._judge(self._take(connection.offer))
            elif connection.stale:
                await connection.list_tools()
                self._judge(self._take(connection.offer))
            return connection

    def _retire(self, connection: Connection | None) -> None:
        """Make no more calls through a connection, and end it after those that are under way."""
        if connection is None:
            return
        if self._connection is connection:
            self._connection = None
        if connection not in self._draining:
            self._draining[connection] = asyncio.create_task(self._drain(connection))

    async def _drain(self, connection: Connection) -> None:
        await connection.idle.wait()
        await connection.close()
        del self._draining[connection]

    async def _failed(self, error: ServerError) -> None:
        log.warning("an MCP server failed", server=self.spec.name, error=str(error))
        failures = self._breaker.failed()
        if failures == self.spec.failures:
            log.error("an MCP server fails again and again and is left alone for a while", server=self.spec.name)
        if failures and self._tell:
            await self._tell(self.spec.name, failures, str(error))

    async def _succeeded(self) -> None:
        if self._breaker.succeeded():
            log.info("an MCP server works again", server=self.spec.name)
            if self._tell:
                await self._tell(self.spec.name, 0, "")

    def _take(self, offer: Offer) -> dict[str, dict[str, Any]]:
        return {name: said for name, said in offer.definitions().items() if self._taken(name)}

    def _taken(self, name: str) -> bool:
        return name == INSTRUCTIONS or self.spec.allow is None or name in self.spec.allow

    def _judge(self, said: Mapping[str, dict[str, Any]]) -> None:
        """Disable what is not as it was pinned, or does not fit."""
        refused = {}
        offered: dict[str, str] = {}
        for name in said:
            why = self._objection(name, said)
            sha256 = definitions.digest(said[name])
            plain = definitions.plain_name(name)
            if why is None and plain in offered:
                why = f"to models it would have the same name as {offered[plain]}"
            elif why is None and self._pins.get(plain, sha256) != sha256:
                why = f"{CHANGED}, and is now {sha256}"
                if self.refused.get(name) != why:
                    log.error(
                        "what an MCP server says of a tool changed: it is disabled",
                        server=self.spec.name,
                        tool=name,
                        pinned=self._pins[plain],
                        now=sha256,
                        accept=f"ratchet tools --accept {self._named(name)}",
                    )
            if why:
                refused[name] = why
            else:
                offered[plain] = name
        self.refused = refused

    def _objection(self, name: str, said: Mapping[str, dict[str, Any]]) -> str | None:
        if name == INSTRUCTIONS:
            return None
        if [other for other in said if other != INSTRUCTIONS].index(name) >= MOST_TOOLS:
            return f"the server has more than {MOST_TOOLS} tools; name those to take in `allow`"
        return definitions.objection(self.spec.name, said[name])

    def _named(self, tool: str) -> str:
        return definitions.tool_name(self.spec.name, tool)

    def _tool(self, name: str, said: Mapping[str, Any]) -> BaseTool:
        return McpTool(
            name=self._named(name),
            description=definitions.describe(self.spec.name, said),
            args_schema=definitions.schema(said),
            call=partial(self.call, name),
            handle_tool_error=_as_result,
            extras={"effect": self.spec.effects.get(name, "change")},
        )


def _as_result(error: ToolException) -> str:
    """A failure that may have had an effect is a result, so that the ledger of effects does not repeat the call."""
    if isinstance(error, Unsettled):
        return str(error)
    raise error
