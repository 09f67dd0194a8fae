"""One session with an MCP server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import anyio
from mcp import ClientSession, McpError
from mcp.shared.session import RequestResponder
from mcp.types import (
    CONNECTION_CLOSED,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ClientRequest,
    ClientResult,
    Implementation,
    PaginatedRequestParams,
    ServerNotification,
    ServerRequest,
    Tool,
    ToolListChangedNotification,
)

from tools.mcp.definitions import MOST_LISTED, Offer
from tools.mcp.http import open_http
from tools.mcp.spec import START_SECONDS, CallRefused, ConnectionLost, ServerError, ServerSpec, SessionGone
from tools.mcp.stdio import open_process

SESSION_TERMINATED = 32600  # what the package answers with where the server has forgotten the session
US = Implementation(name="ratchet", version="1")


class Connection:
    """A session, held open by a task of its own: anyio wants what opens it to close it.

    Sampling, elicitation and roots are not offered to the server; whatever it asks for is refused.
    """

    def __init__(self, spec: ServerSpec) -> None:
        self.offer = Offer("", [])
        self.idle = asyncio.Event()  # no call is under way
        self.idle.set()
        self._calls = 0
        self.stale = False  # the server said that its tools changed
        self._spec = spec
        self._session: ClientSession | None = None
        self._fault: Exception | None = None
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(), name=f"mcp {spec.name}")

    @property
    def alive(self) -> bool:
        """Whether calls can be made."""
        return self._session is not None and not self._keeper.done() and not self._stop.is_set()

    async def open(self) -> None:
        """Wait until the session is there and the server has told its tools.

        Raises:
            ServerError: it cannot be had, in time.
        """
        waiter = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({waiter, self._keeper}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
            if not self._ready.is_set():
                self._keeper.cancel()
        if not self._ready.is_set():
            done, _ = await asyncio.wait({self._keeper}, timeout=START_SECONDS)
            raise ServerError(self._reason() if done and not self._keeper.cancelled() else _late(START_SECONDS))

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """Call a tool. Its result is not checked against the server's schema: that may name addresses to fetch.

        Raises:
            ConnectionLost: the session ended meanwhile.
            SessionGone: the server does not know the session; the call did not run.
            CallRefused: it answers with an error.
        """
        params = CallToolRequestParams(name=tool, arguments=dict(arguments))
        request = asyncio.create_task(
            self._live().send_request(ClientRequest(CallToolRequest(params=params)), CallToolResult)
        )
        self._calls += 1
        self.idle.clear()
        try:
            await asyncio.wait({request, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
            if not request.done():
                raise ConnectionLost(self._reason())
            return request.result()
        except McpError as error:
            if error.error.code == CONNECTION_CLOSED:
                raise ConnectionLost(self._reason()) from error
            if error.error.code == SESSION_TERMINATED:
                raise SessionGone("it does not know the session any more") from error
            raise CallRefused(_line(error)) from error
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            raise ConnectionLost(self._reason()) from error
        finally:
            request.cancel()
            await asyncio.wait({request})  # or the package would leave streams open
            self._calls -= 1
            if not self._calls:
                self.idle.set()

    async def list_tools(self) -> None:
        """Ask for the tools again.

        Raises:
            ServerError: it does not tell them.
        """
        session, cursor = self._live(), None
        tools: list[Tool] = []
        self.stale = False
        try:
            async with asyncio.timeout(START_SECONDS):
                while len(tools) < MOST_LISTED:
                    page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
                    tools += page.tools
                    cursor = page.nextCursor
                    if not cursor or not page.tools:
                        break
        except (McpError, TimeoutError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            self._stop.set()
            raise ServerError(f"it does not list its tools: {_line(error)}") from error
        self.offer = Offer(self.offer.instructions, tools)

    async def close(self) -> None:
        """End the session; a child process is gone afterwards."""
        self._stop.set()
        if not self._ready.is_set():
            self._keeper.cancel()
        await asyncio.wait({self._keeper})

    async def _keep(self) -> None:
        opened = open_process(self._spec) if self._spec.command else open_http(self._spec, self._break)
        try:
            async with (
                opened as (incoming, outgoing),
                ClientSession(incoming, outgoing, message_handler=self._note, client_info=US) as session,
            ):
                told = await session.initialize()
                self._session = session
                self.offer = Offer(told.instructions or "", [])
                if told.capabilities.tools:
                    await self.list_tools()
                self._ready.set()
                await self._stop.wait()
        except Exception as error:
            self._fault = self._fault or error

    async def _note(
        self, message: RequestResponder[ServerRequest, ClientResult] | ServerNotification | Exception
    ) -> None:
        if isinstance(message, Exception):  # what came cannot be read: no answer to a call will be found either
            self._break(message)
        elif isinstance(message, ServerNotification) and isinstance(message.root, ToolListChangedNotification):
            self.stale = True

    def _break(self, fault: Exception) -> None:
        self._fault = fault
        self._stop.set()

    def _live(self) -> ClientSession:
        if self._session is None:
            raise ServerError("not connected")
        return self._session

    def _reason(self) -> str:
        if self._fault is None:
            return "it ended"
        fault: BaseException = self._fault
        while isinstance(fault, BaseExceptionGroup):
            fault = fault.exceptions[0]
        if isinstance(fault, McpError) and fault.error.code == CONNECTION_CLOSED:
            return "it ended"
        return _line(fault)


def _late(seconds: float) -> str:
    return f"no answer within {seconds:g} s"


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
