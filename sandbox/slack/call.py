"""One call of the Web API: its arguments, read as leniently as Slack reads them."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from sandbox.slack.records import JSON, Channel, SlackError
from sandbox.slack.state import Slack

_TRUE = (True, 1, "1", "true", "True")


@dataclass(slots=True)
class Call:
    """The method's name and its arguments: JSON values, or strings when they came as a form."""

    method: str
    args: JSON

    def text(self, name: str, default: str = "") -> str:
        """A string; numbers are turned into one."""
        value = self.args.get(name)
        return default if value is None else str(value)

    def required(self, name: str) -> str:
        """A string that must not be empty; raises `invalid_arguments`."""
        value = self.text(name)
        if not value:
            raise invalid(f"missing required field: {name}")
        return value

    def flag(self, name: str) -> bool:
        """A boolean, also from a form."""
        return self.args.get(name) in _TRUE

    def integer(self, name: str, default: int, maximum: int) -> int:
        """A number from 1 to `maximum`, cut there; raises `invalid_limit`."""
        value = self.args.get(name)
        if value in (None, "", 0, "0"):
            return default
        try:
            number = int(str(value))
        except ValueError as error:
            raise SlackError("invalid_limit") from error
        if number < 0:
            raise SlackError("invalid_limit")
        return min(number, maximum)

    def structured(self, name: str, error: str) -> Any:
        """An object or array, decoded if it came as text; None if absent; raises `error`."""
        value = self.args.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError as cause:
            raise SlackError(error) from cause

    def listed(self, name: str) -> list[str]:
        """Strings from an array or from text with commas."""
        value = self.args.get(name)
        if isinstance(value, list):
            return [str(item) for item in value]
        return [item.strip() for item in str(value or "").split(",") if item.strip()]


def invalid(message: str) -> SlackError:
    """Slack's `invalid_arguments` with its explanation."""
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {message}"]})


def visible_channel(slack: Slack, channel_id: str) -> Channel:
    """A conversation that the bot can see: public, or with the bot in it; raises `channel_not_found`."""
    channel = slack.workspace.channel(channel_id)
    if channel.kind != "channel" and slack.workspace.bot_user_id not in channel.members:
        raise SlackError("channel_not_found")
    return channel


def joined_channel(slack: Slack, channel_id: str) -> Channel:
    """A conversation that the bot is in; raises `channel_not_found` or `not_in_channel`."""
    channel = visible_channel(slack, channel_id)
    if slack.workspace.bot_user_id not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def check_thread(channel: Channel, thread_ts: str) -> None:
    """Refuse to reply to nothing (`thread_not_found`) or to a reply (`cannot_reply_to_message`)."""
    parent = channel.messages.get(thread_ts)
    if parent is None:
        raise SlackError("thread_not_found")
    if parent.is_reply:
        raise SlackError("cannot_reply_to_message")


def encode_cursor(position: str) -> str:
    """An opaque cursor as Slack's look."""
    return base64.b64encode(f"next:{position}".encode()).decode()


def decode_cursor(cursor: str) -> str:
    """The position in a cursor; raises `invalid_cursor`."""
    try:
        prefix, _, position = base64.b64decode(cursor, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise SlackError("invalid_cursor") from error
    if prefix != "next":
        raise SlackError("invalid_cursor")
    return position


def page_of(items: list[Any], call: Call, default: int, maximum: int) -> tuple[list[Any], JSON]:
    """A page by position, and the `response_metadata` that leads to the next one."""
    limit = call.integer("limit", default, maximum)
    cursor = call.text("cursor")
    position = decode_cursor(cursor) if cursor else "0"
    if not position.isdigit():
        raise SlackError("invalid_cursor")
    start = int(position)
    following = encode_cursor(str(start + limit)) if start + limit < len(items) else ""
    return items[start : start + limit], {"next_cursor": following}
