"""An MCP server as another team would write one with the official package: ``program.py``, or ``serve`` for HTTP."""

import threading
from contextlib import contextmanager

import anyio
import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from mcp.types import ImageContent, SamplingMessage, TextContent
from pydantic import BaseModel


class Password(BaseModel):
    password: str


def build_server():
    server = FastMCP("desk", instructions="Ask count before add.", log_level="ERROR")
    calls = 0

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    def count() -> int:
        """How often this server was asked."""
        nonlocal calls
        calls += 1
        return calls

    @server.tool()
    def large(size: int) -> str:
        """A result of some length."""
        return "x" * size

    @server.tool()
    def picture() -> ImageContent:
        """A picture."""
        return ImageContent(type="image", data="aGVsbG8h", mimeType="image/png")

    @server.tool()
    def fail() -> str:
        """Fail."""
        raise ValueError("the desk is closed")

    @server.tool()
    async def rest(seconds: float) -> str:
        """Answer late."""
        await anyio.sleep(seconds)
        return "rested"

    @server.tool()
    async def beg(ctx: Context) -> str:
        """Ask the caller's model and the caller's user for something."""
        got = []
        asked = SamplingMessage(role="user", content=TextContent(type="text", text="What do you know?"))
        for ask in (
            lambda: ctx.session.create_message([asked], max_tokens=10),
            lambda: ctx.elicit("Your password?", Password),
            lambda: ctx.session.list_roots(),
        ):
            try:
                got.append(str(await ask()))
            except Exception as error:
                got.append(f"refused: {error}")
        return "\n".join(got)

    return server


@contextmanager
def serve(port):
    """Serve over HTTP in a thread; at the end all connections are dropped."""
    app = build_server().streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


if __name__ == "__main__":
    build_server().run("stdio")
