"""What a workspace holds: users, bots, channels, messages, threads; and the error that Slack answers with."""

from dataclasses import dataclass, field
from typing import Any, Literal

JSON = dict[str, Any]
Kind = Literal["channel", "group", "im", "mpim"]


class SlackError(Exception):
    """A request that Slack refuses; `code` is Slack's own word for it, as in `channel_not_found`.

    Args:
        code: What goes into the field `error` of the answer.
        details: Further fields of the answer, for example `response_metadata`.
    """

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


@dataclass(slots=True)
class User:
    """A member of the workspace, a guest, a bot's user, or somebody of another team (`team_id` differs)."""

    id: str
    name: str
    real_name: str
    team_id: str
    email: str | None = None
    tz: str = "UTC"
    tz_offset: int = 0
    is_bot: bool = False
    is_admin: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    deleted: bool = False
    bot_id: str | None = None


@dataclass(slots=True)
class Bot:
    """What stands behind a `bot_id`: an app that posts."""

    id: str
    name: str
    app_id: str
    user_id: str | None = None


@dataclass(slots=True)
class Message:
    """One message; `reactions` maps an emoji's name to the users who chose it, `edits` keeps earlier texts."""

    channel_id: str
    ts: str
    text: str
    user: str | None = None
    thread_ts: str | None = None
    subtype: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    username: str | None = None
    blocks: list[JSON] | None = None
    attachments: list[JSON] | None = None
    metadata: JSON | None = None
    files: list[JSON] | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    edited: JSON | None = None
    edits: list[JSON] = field(default_factory=list)
    streaming_state: str | None = None

    @property
    def thread_key(self) -> str:
        """The ts of the thread that an answer to this message belongs to."""
        return self.thread_ts or self.ts

    @property
    def is_reply(self) -> bool:
        """Whether it hangs below another message."""
        return self.thread_ts is not None and self.thread_ts != self.ts


@dataclass(slots=True)
class Thread:
    """The replies below one message: their ts in order, and how many each author wrote."""

    replies: list[str] = field(default_factory=list)
    authors: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Channel:
    """A conversation of any kind with its messages; `timeline` holds the ts that history shows."""

    id: str
    name: str
    kind: Kind
    created: int
    creator: str | None = None
    topic: str = ""
    purpose: str = ""
    is_archived: bool = False
    is_ext_shared: bool = False
    members: dict[str, None] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    timeline: list[str] = field(default_factory=list)
    threads: dict[str, Thread] = field(default_factory=dict)


def normal_ts(value: str) -> str:
    """Bring "1700000000.1", "0" or "1700000000" to Slack's width, so that ts compare as text.

    Raises:
        SlackError: `invalid_ts` when it is no number.
    """
    seconds, _, fraction = str(value).partition(".")
    if not seconds.isdigit() or (fraction and not fraction.isdigit()):
        raise SlackError("invalid_ts")
    return f"{int(seconds):010d}.{fraction[:6]:0<6}"
