"""Everything one running Slack holds, beside the workspace itself."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import count

from sandbox.slack.delivery import Dispatcher
from sandbox.slack.faults import Faults
from sandbox.slack.http_events import HttpEvents
from sandbox.slack.ledger import Feed, Ledger
from sandbox.slack.rates import RateLimits
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.socket_mode import SocketMode
from sandbox.workspace import Workspace

RESPONSE_URL_USES = 5
RESPONSE_URL_SECONDS = 30 * 60.0
TRIGGER_SECONDS = 3.0
STATUS_SECONDS = 120.0


@dataclass(slots=True)
class ResponseUrl:
    """Where a response_url leads: a conversation, the one who acted, and the message acted upon."""

    channel_id: str
    user: str
    message_ts: str | None
    thread_ts: str | None
    expires: float
    uses_left: int = RESPONSE_URL_USES


@dataclass(slots=True)
class Stream:
    """A message that is being written; `expires` in monotonic seconds, `tasks` by their ids."""

    expires: float
    stopped_by: str | None = None
    closed: bool = False
    plan: str | None = None
    tasks: dict[str, JSON] = field(default_factory=dict)
    blocks: list[JSON] = field(default_factory=list)


@dataclass(slots=True)
class StoredFile:
    """A file with its content; `info` is Slack's file object."""

    info: JSON
    content: bytes = b""


class Slack:
    """One Slack server's parts and memory.

    Args:
        workspace: The team.
        url: The server's root, without a slash at the end.
        bot_token: The only bot token that is accepted.
        app_token: The only app-level token that is accepted.
        signing_secret: What HTTP requests to the app are signed with.
        rate_limits: Whether limits apply at first.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        url: str,
        bot_token: str,
        app_token: str,
        signing_secret: str,
        rate_limits: bool = True,
    ) -> None:
        self.workspace = workspace
        self.url = url
        self.bot_token = bot_token
        self.app_token = app_token
        self.signing_secret = signing_secret
        self.ledger = Ledger()
        self.feed = Feed()
        self.faults = Faults()
        self.rates = RateLimits(enabled=rate_limits)
        self.dispatcher = Dispatcher(self.ledger, workspace.clock)
        self.sockets = SocketMode(self.dispatcher)
        self.http = HttpEvents(self.dispatcher, signing_secret)
        self.dispatcher.use("socket", self.sockets)
        self.dispatcher.use("http", self.http)
        self.stream_seconds = 300.0
        self.streams: dict[tuple[str, str], Stream] = {}
        self.files: dict[str, StoredFile] = {}
        self.views: dict[str, JSON] = {}
        self.usergroups: dict[str, tuple[str, list[str]]] = {}  # handle and members by id
        self.homes: dict[str, JSON] = {}
        self.prompts: dict[tuple[str, str], JSON] = {}
        self.titles: dict[tuple[str, str], str] = {}
        self.sessions: dict[tuple[str, str], str] = {}
        self._status_timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self.ephemerals: dict[str, JSON] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self._triggers: dict[str, float] = {}
        self._numbers = count(1)

    def number(self) -> int:
        """A number that never comes twice."""
        return next(self._numbers)

    def new_trigger(self) -> str:
        """A trigger id, which opens a view within three seconds."""
        now = time.monotonic()
        self._triggers = {trigger: until for trigger, until in self._triggers.items() if until > now - 60}
        trigger = f"{self.number()}.{int(self.workspace.clock() * 1000)}.sandbox"
        self._triggers[trigger] = now + TRIGGER_SECONDS
        return trigger

    def use_trigger(self, trigger: str) -> None:
        """Spend a trigger id; raises `invalid_trigger_id` or `expired_trigger_id`."""
        until = self._triggers.pop(trigger, None)
        if until is None:
            raise SlackError("invalid_trigger_id")
        if until < time.monotonic():
            raise SlackError("expired_trigger_id")

    def new_response_url(
        self, channel_id: str, user: str, message_ts: str | None = None, thread_ts: str | None = None
    ) -> str:
        """A URL that takes five answers within half an hour."""
        key = f"{self.workspace.team_id}/{self.number()}"
        expires = time.monotonic() + RESPONSE_URL_SECONDS
        self.response_urls[key] = ResponseUrl(channel_id, user, message_ts, thread_ts, expires)
        return f"{self.url}/commands/{key}"

    def show_status(self, channel_id: str, thread_ts: str, status: str, loading: list[str] | None = None) -> None:
        """Show the typing line of a thread, or take it away; it goes by itself after two minutes."""
        timer = self._status_timers.pop((channel_id, thread_ts), None)
        if timer:
            timer.cancel()
        if status:
            self._status_timers[channel_id, thread_ts] = asyncio.get_running_loop().call_later(
                STATUS_SECONDS, self.show_status, channel_id, thread_ts, ""
            )
        elif not timer:
            return
        self.feed.publish(
            "status", channel=channel_id, thread_ts=thread_ts, status=status, loading_messages=loading or []
        )

    async def close(self) -> None:
        """End deliveries, sockets and watchers."""
        for timer in self._status_timers.values():
            timer.cancel()
        self.feed.close()
        self.dispatcher.close()
        await self.sockets.close()
        await self.http.close()
        self.dispatcher.close()
