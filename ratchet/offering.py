"""Offers a requester in private what an answer could not show, since others read along (attack 3 in reverse).

It comes after the answer, by a job of its own, and may be lost; it is never made twice.
"""

from __future__ import annotations

from uuid import UUID, uuid5

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from ratchet.policies import Policies
from slack_app.directory import Directory
from slack_app.jobs import Enqueue, Job
from slack_app.outbox import Outbox
from slack_app.private_answers import show_offer
from slack_app.questions import NAMESPACE
from storage import conversations, offers, turns
from storage.access import Viewer
from storage.channels import Channel
from storage.db import Database
from storage.offers import Offer
from storage.turns import Turn
from tools.unseen import SEARCHING, Unseen, count_unseen

log = structlog.get_logger()
MANY = 100


class Offering:
    """Makes offers, and knows what they were about.

    Args:
        enabled: False in dev mode, where every post goes to one channel: nothing private may.
    """

    def __init__(
        self,
        database: Database,
        *,
        client: AsyncWebClient,
        directory: Directory,
        policies: Policies,
        outbox: Outbox,
        enqueue: Enqueue,
        enabled: bool = True,
    ) -> None:
        self._database = database
        self._client = client
        self._directory = directory
        self._policies = policies
        self._outbox = outbox
        self._enqueue = enqueue
        self._enabled = enabled

    async def consider(self, turn_id: UUID) -> None:
        """After an answer was delivered: have it looked into whether there is more, if the turn searched at all."""
        if not self._enabled:
            return
        async with self._database.connection() as conn, conn.transaction():
            turn = await turns.get(conn, turn_id)
            if turn is None or turn.status != "answered" or turn.source in {"dm", "private"}:
                return
            if await conversations.tool_calls(conn, turn_id, SEARCHING):
                await self._enqueue(conn, [Job("offer", f"offer:{turn_id}", {"turn_id": str(turn_id)})])

    async def offer(self, turn_id: UUID) -> bool:
        """Show a turn's requester, and nobody else, that there is more for them; whether there is."""
        async with self._database.connection() as conn:
            turn = await turns.get(conn, turn_id)
        if turn is None:
            return False
        named = self._policies.needs_name(turn.channel_id)
        channel = await self._directory.channel(turn.team_id, turn.channel_id, named=named)
        if channel is None or channel.kind == "im":
            return False
        unseen = await self._count(turn, channel)
        if not unseen:
            return False
        opened = await self._client.conversations_open(users=[turn.requester_id])
        dm_id = str(opened["channel"]["id"])
        await self._directory.load_channel(dm_id)
        made = Offer(turn_id, dm_id, uuid5(NAMESPACE, f"private:{turn_id}"))
        async with self._database.connection() as conn:
            is_new = await offers.insert(conn, made)
        if is_new:
            text = describe(unseen)
            blocks = show_offer(text, str(turn_id))
            await self._outbox.whisper(
                turn.channel_id, turn.requester_id, text, thread_ts=turn.thread_ts, blocks=blocks
            )
        return is_new

    async def asked(self, turn: Turn) -> Turn:
        """The turn as it was asked first, in its own thread; for most turns that is the turn itself."""
        if turn.source != "private":
            return turn
        async with self._database.connection() as conn:
            return await offers.origin(conn, turn.turn_id) or turn

    async def _count(self, turn: Turn, channel: Channel) -> Unseen:
        place = (channel.channel_id, channel.name)
        user = await self._directory.user(turn.team_id, turn.requester_id)
        if user.is_outsider and not self._policies.allows_guests(*place):
            return Unseen()
        await self._directory.refresh(turn.team_id, turn.requester_id)
        viewer = Viewer(
            turn.team_id, turn.requester_id, turn.channel_id, user.is_outsider, self._policies.audience(*place)
        )
        allowed = SEARCHING & self._policies.allowed_tools(*place)
        async with self._database.connection() as conn:
            calls = await conversations.tool_calls(conn, turn.turn_id, allowed)
            return await count_unseen(conn, viewer, calls, turn.started_at or turn.created_at)


def opening(turn: Turn, asked: Turn) -> str:
    """What begins the thread of a question that came by a command, or is answered in private (``asked`` elsewhere)."""
    if turn.source == "private":
        return f"You asked in <#{asked.channel_id}>: {turn.question}"
    return f"<@{turn.requester_id}> asked: {turn.question}"


def describe(unseen: Unseen) -> str:
    """What there is more, in a sentence, without a word of it."""
    if unseen.messages:
        number = f"{MANY} or more" if unseen.messages >= MANY else str(unseen.messages)
        one = unseen.messages == 1
        what = f"{number} more message{'' if one else 's'} in channels that not everyone here can read"
        return f"{what} {'matches' if one else 'match'} your question."
    one = unseen.channels == 1
    return f"You can read {unseen.channels} more channel{'' if one else 's'} that not everyone here can read."
