"""How messages are found for the model, and shown to it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TypedDict

from storage import search, vectors
from storage.messages import MessageFilter, StoredMessage
from storage.vectors import SpaceVector
from tools.context import ToolContext, embed_query

EXCERPT = 1200
PERMALINK = re.compile(r"/archives/([A-Z0-9]+)/p(\d+)(\d{6})")
ONLY_NEAR = "No message holds these words. Those shown are the nearest in meaning and may be about something else."


class MessageHit(TypedDict):
    """One message; ``time`` is RFC 3339 in UTC, ``text`` is cut at 1,200 characters."""

    channel: str
    author: str
    time: str
    text: str
    permalink: str
    thread_ts: str
    reply_count: int


@dataclass(frozen=True)
class Found:
    """The best messages, how many hold the words, and what the model should know about the search."""

    total: int
    messages: list[StoredMessage]
    note: str | None


async def find_messages(context: ToolContext, where: MessageFilter, *, limit: int) -> Found:
    """Search by words and by meaning; while the words are searched, the query gets its vector."""
    embedder = context.embedder
    async with context.database.connection() as conn:
        space = await vectors.find_space(conn, embedder.space) if embedder else None
        embedding = asyncio.create_task(embed_query(embedder, space, where.query))

        async def vector() -> SpaceVector | None:
            return (await embedding)[0]

        made = asyncio.create_task(vector())
        try:
            total, found = await search.search(conn, context.viewer, where, limit=limit, vector=made)
            await made
            _, note = await embedding
        finally:
            embedding.cancel()
            made.cancel()
    return Found(total, found, note or (ONLY_NEAR if found and not total else None))


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
