"""A turn's progress in Slack: the status line, the message that grows, and the answer's place in the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from slack_app.footers import footer
from slack_app.live import LiveMessage, Stage
from slack_app.mrkdwn import quiet
from slack_app.parts import shorten, split
from slack_app.progress import Step, View, status
from storage import posts
from storage.db import Connection
from storage.leases import Lease
from storage.turns import Outcome, Turn

log = structlog.get_logger()
CLOSE_SECONDS = 1.0
LONGEST_STEERED = 80
CALL_SECONDS = 35.0  # a call in flight may create the message: its outcome is worth waiting for


class SlackReply:
    """Implements ``agent.context.Reply``.

    All calls are made in the background, and only the newest state is worth sending.
    """

    def __init__(self, stage: Stage, turn: Turn, lease: Lease, *, model: str) -> None:
        self._stage = stage
        self._turn = turn
        self._model = model
        self._status: str | None = None
        self._began = False
        self._sender: asyncio.Task[None] | None = None
        self._session_status = ""
        self._message = LiveMessage(stage, turn, lease)
        self._view = View()
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._growing: asyncio.Task[None] | None = None

    def started(self) -> None:
        """Show that the turn began, once."""
        if not self._began:
            self._began = True
            self._show("is thinking…")
            self._set_session("processing")

    def tool_started(self, call_id: str, name: str, args: Mapping[str, Any], *, title: str) -> None:
        """Show what is done."""
        self._step(Step(call_id, title))

    def tool_finished(self, call_id: str, name: str, *, ok: bool, note: str) -> None:
        """Show what came of it."""
        known = next((step for step in self._view.steps if step.call_id == call_id), Step(call_id, name))
        self._step(replace(known, state="complete" if ok else "error", note=note))

    def text(self, delta: str) -> None:
        """Show what the model says."""
        self._see(replace(self._view, text=self._view.text + delta))

    def restarted(self) -> None:
        """Take back what it said."""
        self._see(replace(self._view, text="", take=self._view.take + 1))

    def steered(self, text: str) -> None:
        """Show that a message was taken in: at once as the status, and as a step if the message goes on growing."""
        words = f"“{shorten(text, LONGEST_STEERED)}”"
        self._step(Step(f"steered-{len(self._view.steps)}", f"Taking in {words}", "complete"))
        self._show(f"has taken in {words}")

    async def record(self, conn: Connection, outcome: Outcome) -> None:
        """Note the answer's parts in the outbox; deliver them with ``Outbox.deliver``."""
        parts = split(outcome.text)
        for number, part in enumerate(parts, 1):
            await posts.insert(
                conn,
                turn_id=self._turn.turn_id,
                part=number,
                channel_id=self._turn.channel_id,
                thread_ts=self._turn.thread_ts,
                text=part,
                module="agent",
                model=outcome.model or self._model,
                blocks=footer(self._turn, outcome) if number == len(parts) else None,
            )

    async def pause(self) -> None:
        """The turn waits for people: leave the message at that."""
        await self._end()
        await self._message.pause(self._view)
        self._set_session("suspended")

    async def close(self) -> None:
        """Let the calls in flight end, so that none comes after the answer."""
        await self._end()
        self._status = None
        if self._sender:
            await asyncio.wait({self._sender}, timeout=CLOSE_SECONDS)
            self._sender.cancel()
        if self._session_status == "processing":
            self._set_session("active")

    def _step(self, step: Step) -> None:
        if not self._message.is_shown:
            self._show(status(step))
        steps = {**{known.call_id: known for known in self._view.steps}, step.call_id: step}
        self._see(replace(self._view, steps=tuple(steps.values())))

    def _see(self, view: View) -> None:
        self._view = view
        self._news.set()
        if self._growing is None and self._stage.enabled and self._turn.thread_ts:
            self._growing = asyncio.create_task(self._grow())

    async def _grow(self) -> None:
        """Bring the message to the newest view, again and again, but not too often."""
        pause = self._stage.grace
        while not self._message.is_off and not await self._ends_within(pause):
            await self._news.wait()
            if self._over.is_set():
                return
            self._news.clear()
            try:
                if not await self._message.bring(self._view):
                    self._news.set()
            except Exception:  # progress is a courtesy: the answer does not depend on it
                log.exception("progress is shown no longer", turn_id=str(self._turn.turn_id))
                return
            pause = self._message.seconds

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    async def _end(self) -> None:
        self._over.set()
        self._news.set()
        if self._growing:
            await asyncio.wait({self._growing}, timeout=CALL_SECONDS)
            self._growing.cancel()

    def _show(self, status: str) -> None:
        self._status = status
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._status is not None and self._turn.thread_ts:
            status, self._status = self._status, None
            try:
                await self._stage.client.assistant_threads_setStatus(
                    channel_id=self._turn.channel_id, thread_ts=self._turn.thread_ts, status=quiet(status)
                )
            except Exception as error:  # progress is a courtesy: the answer does not depend on it
                log.debug("status not shown", error=str(error))

    def _set_session(self, status: str) -> None:
        """Say where the agent's session stands: it gives the reader a way to stop it."""
        self._session_status = status
        if self._turn.thread_ts:
            self._stage.set_session(self._turn.channel_id, self._turn.thread_ts, status)
