"""Opens a sandbox: Slack and GitHub on one port, the model server on another, all in this process."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from sandbox.control import Control
from sandbox.doc_pages import doc_routes
from sandbox.github.server import GitHub
from sandbox.home_pages import HomePages
from sandbox.models.server import ModelServer
from sandbox.pages import Pages
from sandbox.slack.state import Slack
from sandbox.slack.web_api import WebApi
from sandbox.workspace import Workspace

_MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True)
class SandboxConfig:
    """What a sandbox is opened with.

    Attributes:
        host: The address to listen on.
        port: Slack's port; 0 takes a free one.
        model_port: The model server's port; 0 takes a free one.
        rate_limits: Whether Slack's rate limits apply.
        signing_secret: What HTTP events are signed with.
        bot_token: The bot token that the Web API accepts.
        app_token: The app-level token for Socket Mode.
        request_url: Sends events there by signed HTTP instead of Socket Mode.
        brain: What the model server answers from: rules (`script`) or its own planning (`planner`).
    """

    host: str = "127.0.0.1"
    port: int = 0
    model_port: int = 0
    rate_limits: bool = True
    signing_secret: str = "sandbox-signing-secret"  # noqa: S105 - opens nothing but a sandbox
    bot_token: str = "xoxb-sandbox"  # noqa: S105
    app_token: str = "xapp-sandbox"  # noqa: S105
    request_url: str | None = None
    brain: Literal["script", "planner"] = "script"


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox: its addresses, its tokens, and the objects behind them."""

    url: str
    model_url: str
    workspace: Workspace
    slack: Slack
    models: ModelServer
    github: GitHub

    @property
    def slack_api_url(self) -> str:
        """The `base_url` for Slack's clients."""
        return f"{self.url}/api/"

    @property
    def openai_url(self) -> str:
        """The `base_url` for OpenAI's clients."""
        return f"{self.model_url}/v1"

    @property
    def ollama_url(self) -> str:
        """The host for Ollama's clients."""
        return self.model_url

    @property
    def bot_user_id(self) -> str:
        """The user id that mentions of the bot carry."""
        return self.workspace.bot_user_id

    @property
    def team_id(self) -> str:
        """The workspace's id."""
        return self.workspace.team_id

    @property
    def bot_token(self) -> str:
        """The token for the Web API."""
        return self.slack.bot_token

    @property
    def app_token(self) -> str:
        """The token for Socket Mode."""
        return self.slack.app_token

    @property
    def signing_secret(self) -> str:
        """The secret for HTTP events."""
        return self.slack.signing_secret

    def environment(self) -> dict[str, str]:
        """The environment variables that point Ratchet at this sandbox."""
        return {
            "SLACK_API_URL": self.slack_api_url,
            "RATCHET_SLACK_BOT_TOKEN": self.bot_token,
            "RATCHET_SLACK_APP_TOKEN": self.app_token,
            "RATCHET_SLACK_SIGNING_SECRET": self.signing_secret,
            "RATCHET_OPENAI_URL": self.openai_url,
            "RATCHET_OPENAI_API_KEY": "sandbox",
            "OLLAMA_HOST": self.ollama_url,
            "RATCHET_GITHUB_API_URL": self.github.api_url,
            "RATCHET_GITHUB_TOKEN": self.github.token,
        }


@asynccontextmanager
async def open_sandbox(
    config: SandboxConfig | None = None, workspace: Workspace | None = None
) -> AsyncIterator[Sandbox]:
    """Serve a workspace until the block ends.

    Args:
        config: Addresses, tokens and switches; everything has a default.
        workspace: A workspace that is already filled; a new one if absent.

    Yields:
        The sandbox, ready for clients.
    """
    config = config or SandboxConfig()
    workspace = workspace or Workspace()
    async with AsyncExitStack() as stack:
        slack_socket = stack.enter_context(_listen(config.host, config.port))
        model_socket = stack.enter_context(_listen(config.host, config.model_port))
        slack = Slack(
            workspace,
            url=_url(config.host, slack_socket),
            bot_token=config.bot_token,
            app_token=config.app_token,
            signing_secret=config.signing_secret,
            rate_limits=config.rate_limits,
        )
        if config.request_url:
            slack.dispatcher.settings.mode = "http"
            slack.dispatcher.settings.request_url = config.request_url
        models = ModelServer(brain=config.brain)
        control = Control(slack, models)
        github = GitHub(slack.url)
        pages = [*Pages(workspace).routes(), *HomePages(slack).routes(), *doc_routes(), *github.routes()]
        await _serve(stack, slack_socket, [*WebApi(slack).routes(), *control.routes(), *pages])
        await _serve(stack, model_socket, models.routes())
        stack.push_async_callback(slack.close)
        yield Sandbox(slack.url, _url(config.host, model_socket), workspace, slack, models, github)


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def _url(host: str, listener: socket.socket) -> str:
    shown = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - compared, not bound
    return f"http://{shown}:{listener.getsockname()[1]}"


async def _serve(stack: AsyncExitStack, listener: socket.socket, routes: list[web.RouteDef]) -> None:
    app = web.Application(client_max_size=_MAX_BODY)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handle_signals=False)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listener, backlog=1024).start()
