"""A server behind a URL, over streamable HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
from mcp.client.streamable_http import streamable_http_client

from tools.mcp.spec import LARGEST_MESSAGE, START_SECONDS, ServerError, ServerSpec
from tools.mcp.stdio import Reader, Writer


@asynccontextmanager
async def open_http(spec: ServerSpec, broke: Callable[[Exception], None]) -> AsyncIterator[tuple[Reader, Writer]]:
    """Open the server's endpoint. Redirects to other hosts, proxies and .netrc of the environment are not followed.

    ``broke`` is told of an answer that ends before its end: the package waits for what cannot come any more.
    """
    timeout = httpx.Timeout(START_SECONDS, read=spec.timeout_seconds + 1)  # the call's own limit comes first
    async with (
        httpx.AsyncClient(
            headers=dict(spec.headers),
            timeout=timeout,
            transport=_Limited(broke),
            trust_env=False,
            follow_redirects=False,
        ) as client,
        streamable_http_client(str(spec.url), http_client=client) as (incoming, outgoing, _),
    ):
        try:
            yield incoming, outgoing
        finally:
            incoming.close()
            outgoing.close()


class _Limited(httpx.AsyncHTTPTransport):
    """Cuts a response off that is too long to be held in memory, and tells of one that breaks off."""

    def __init__(self, broke: Callable[[Exception], None]) -> None:
        super().__init__()
        self._broke = broke

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if isinstance(response.stream, httpx.AsyncByteStream):
            told = self._broke if request.method == "POST" else _ignore  # the other stream is opened again
            response.stream = _LimitedStream(response.stream, told)
        return response


def _ignore(_: Exception) -> None:
    pass


class _LimitedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, broke: Callable[[Exception], None]) -> None:
        self._inner = inner
        self._broke = broke

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        try:
            async for chunk in self._inner:
                length += len(chunk)
                if length > LARGEST_MESSAGE:
                    raise ServerError(f"it sent a response of more than {LARGEST_MESSAGE >> 20} MiB")
                yield chunk
        except (ServerError, httpx.TransportError) as error:
            self._broke(error)
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()
