"""How messages are shown to the model."""

from __future__ import annotations

from typing import TypedDict

from storage.messages import StoredMessage

EXCERPT = 1200


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
