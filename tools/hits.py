"""How messages are shown to the model."""

from __future__ import annotations

import re
from typing import TypedDict

from storage.messages import StoredMessage

EXCERPT = 1200
PERMALINK = re.compile(r"/archives/([A-Z0-9]+)/p(\d+)(\d{6})")


class MessageHit(TypedDict):
    """One message; ``time`` is RFC 3339 in UTC, ``text`` is cut at 1,200 characters."""

    channel: str
    author: str
    time: str
    text: str
    permalink: str
    thread_ts: str
    reply_count: int


def channel_label(name: str, kind: str) -> str:
    """``#name``, or ``a direct message``."""
    return "a direct message" if kind == "im" else f"#{name}"


def show(message: StoredMessage, *, excerpt: int = EXCERPT) -> MessageHit:
    """A stored message as the model sees it."""
    text = message.text if len(message.text) <= excerpt else message.text[:excerpt] + " […]"
    return MessageHit(
        channel=channel_label(message.channel_name, message.channel_kind),
        author=message.author,
        time=message.posted_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        text=text,
        permalink=message.permalink,
        thread_ts=message.thread_ts or message.ts,
        reply_count=message.reply_count,
    )


def shown_messages(result: str) -> set[tuple[str, str]]:
    """The messages, as (channel id, ts), that a tool's result links to.

    Every tool that shows a message's words shows its permalink too: by it they are found when the message goes.
    """
    return {(channel_id, f"{seconds}.{fraction}") for channel_id, seconds, fraction in PERMALINK.findall(result)}
