"""What Slack tells, as frozen values. slack_app/payloads.py reads them out of its payloads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from slack_app.files import File
from storage.channels import ChannelKind, User

TIMESTAMP = re.compile(r"\d{1,12}(\.\d{1,6})?")

Change = Literal["renamed", "closed", "opened", "archived", "unarchived", "deleted", "shared", "unshared"]


@dataclass(frozen=True)
class IncomingMessage:
    """A message as it stands now; ``edited_ts`` is set when it was edited.

    ``channel_kind`` is None where the event does not say (app_mention). ``shared``: other organizations read along.
    """

    team_id: str
    channel_id: str
    channel_kind: ChannelKind | None
    ts: str
    thread_ts: str | None
    user_id: str | None
    bot_id: str | None
    bot_username: str | None
    subtype: str | None
    raw_text: str
    text: str
    edited_ts: str | None
    files: tuple[File, ...] = ()
    reactions: dict[str, list[str]] = field(default_factory=dict)
    attachments: Any = field(default=None, repr=False)
    blocks: Any = field(default=None, repr=False)
    shared: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What makes it unique in a workspace."""
        return self.channel_id, self.ts

    @property
    def is_bot(self) -> bool:
        """Whether an integration wrote it."""
        return self.bot_id is not None or self.subtype == "bot_message" or self.user_id is None

    def attrs(self) -> dict[str, Any]:
        """What is stored of it besides its text."""
        told = {"subtype": self.subtype, "files": [file.attrs() for file in self.files], "reactions": self.reactions}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True)
class MessageChanged:
    """A message was edited; ``message`` is its newest form."""

    message: IncomingMessage


@dataclass(frozen=True)
class MessageDeleted:
    """A message is gone."""

    team_id: str
    channel_id: str
    ts: str


@dataclass(frozen=True)
class Reaction:
    """Somebody added a reaction, or took it back, at ``event_ts``."""

    team_id: str
    channel_id: str
    ts: str
    user_id: str
    name: str
    added: bool
    event_ts: str | None = None


@dataclass(frozen=True)
class Membership:
    """Somebody joined a channel, or left it."""

    team_id: str
    channel_id: str
    channel_kind: ChannelKind | None
    user_id: str
    joined: bool
    ts: str | None = None


@dataclass(frozen=True)
class ChannelChange:
    """A channel was renamed (to ``name``), archived and so on.

    ``opened`` means that it became public, ``shared`` that another organization reads it.
    """

    team_id: str
    channel_id: str
    change: Change
    name: str = ""


@dataclass(frozen=True)
class Profile:
    """What Slack now says of somebody."""

    user: User


@dataclass(frozen=True)
class HomeOpened:
    """Somebody looks at Ratchet's home, or at their direct messages with it (``channel_id``)."""

    team_id: str
    channel_id: str
    user_id: str
    tab: Literal["home", "messages"]


@dataclass(frozen=True)
class Command:
    """A slash command."""

    team_id: str
    channel_id: str
    user_id: str
    command: str
    text: str
    trigger_id: str
    response_url: str = field(default="", repr=False)


@dataclass(frozen=True)
class Click:
    """A button or menu was used, or a modal submitted: then ``{callback_id}:submitted``, with what was written."""

    team_id: str
    channel_id: str
    user_id: str
    action_id: str
    value: str
    message_ts: str | None
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class SessionStopped:
    """Somebody pressed Slack's Stop in a thread, at ``ts`` where Slack says when."""

    team_id: str
    channel_id: str
    thread_ts: str
    user_id: str
    ts: str | None


Event = (
    IncomingMessage
    | MessageChanged
    | MessageDeleted
    | Reaction
    | Membership
    | ChannelChange
    | Profile
    | HomeOpened
    | Command
    | Click
    | SessionStopped
)


def subject(event: Event | None) -> str | None:
    """The message that an event tells of, as ``channel:ts``."""
    match event:
        case MessageChanged(message):
            return subject(message)
        case IncomingMessage() | MessageDeleted():
            return f"{event.channel_id}:{event.ts}"
        case Click(message_ts=ts) if ts and TIMESTAMP.fullmatch(ts):  # its payload repeats the message
            return f"{event.channel_id}:{ts}"
        case _:
            return None


def place(event: Event | None) -> tuple[str | None, str | None]:
    """The ids of the channel and of the author of what an event tells, where it counts only as these are known."""
    match event:
        case MessageChanged(message):
            return place(message)
        case IncomingMessage():
            return event.channel_id, event.user_id
        case Reaction() | HomeOpened() | Command() | Click() | SessionStopped():
            return event.channel_id, None
        case _:
            return None, None


@dataclass(frozen=True)
class Envelope:
    """An event with the id that deliveries of it share."""

    event_id: str
    team_id: str
    kind: str
    event: Event | None
