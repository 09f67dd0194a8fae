"""A turn's progress in Slack: the status line under the thread, and the answer's place in the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.parts import split
from storage import posts
from storage.db import Connection
from storage.turns import Outcome, Turn

log = structlog.get_logger()
SHOWN = 100
CLOSE_SECONDS = 1.0


class SlackReply:
    """Implements ``agent.context.Reply``.

    Status calls are made one at a time in the background, and only the newest is worth sending.
    """

    def __init__(self, client: AsyncWebClient, turn: Turn, *, model: str) -> None:
        self._client = client
        self._turn = turn
        self._model = model
        self._status: str | None = None
        self._began = False
        self._sender: asyncio.Task[None] | None = None

    def started(self) -> None:
        """Show that the turn began, once."""
        if not self._began:
            self._began = True
            self._show("is thinking…")

    def tool_started(self, call_id: str, name: str, args: Mapping[str, Any]) -> None:
        """Show which tool runs, with its arguments."""
        shown = ", ".join(f"{key}={value!r}" for key, value in args.items() if value not in (None, ""))
        self._show(f"is running {name}({shown[:SHOWN]})")

    def tool_finished(self, call_id: str, name: str, *, ok: bool, note: str) -> None:
        """Show how it ended."""
        self._show(f"has run {name}" if ok else f"could not run {name}: {note[:SHOWN]}")

    async def record(self, conn: Connection, outcome: Outcome) -> None:
        """Note the answer's parts in the outbox; deliver them with ``Outbox.deliver``."""
        for number, part in enumerate(split(outcome.text), 1):
            await posts.insert(
                conn,
                turn_id=self._turn.turn_id,
                part=number,
                channel_id=self._turn.channel_id,
                thread_ts=self._turn.thread_ts,
                text=part,
                module="agent",
                model=self._model,
            )

    async def close(self) -> None:
        """Let the status call in flight end, so that none comes after the answer, but not for long."""
        self._status = None
        if self._sender:
            await asyncio.wait({self._sender}, timeout=CLOSE_SECONDS)
            self._sender.cancel()

    def _show(self, status: str) -> None:
        self._status = status
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._status is not None and self._turn.thread_ts:
            status, self._status = self._status, None
            try:
                await self._client.assistant_threads_setStatus(
                    channel_id=self._turn.channel_id, thread_ts=self._turn.thread_ts, status=status
                )
            except Exception as error:  # progress is a courtesy: the answer does not depend on it
                log.debug("status not shown", error=str(error))
