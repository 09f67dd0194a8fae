"""Stores an event and enqueues its job in one transaction, before Slack gets its ack.

If the transaction fails, no ack is sent and Slack delivers again. The same event, or the same message told
by two events, is stored once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import UUID, uuid5

import structlog

from slack_app import events
from slack_app.events import Click, Command, IncomingMessage, Membership, MessageChanged, MessageDeleted, Reaction
from storage import channels, inbox, messages, turns
from storage.db import Connection, Database
from storage.messages import NewMessage
from storage.turns import Source
from tools.alerts import read_alert

log = structlog.get_logger()
NAMESPACE = UUID("5f0f1b0e-3c1d-4b7a-9a62-7261746368e7")
USER = re.compile(r"<@([A-Z0-9]+)(?:\|[^>]*)?>")
BACKFILL_LOCK = "backfill:{channel_id}"


@dataclass(frozen=True)
class Identity:
    """Who Ratchet is in this workspace; from Slack's ``auth.test``."""

    team_id: str
    bot_user_id: str
    bot_id: str
    workspace_url: str

    def permalink(self, channel_id: str, ts: str, thread_ts: str | None) -> str:
        """The link to a message, as Slack builds it."""
        link = f"{self.workspace_url}archives/{channel_id}/p{ts.replace('.', '')}"
        return f"{link}?thread_ts={thread_ts}&cid={channel_id}" if thread_ts else link


class Enqueue(Protocol):
    """Puts a job in the queue, in the caller's transaction."""

    async def __call__(
        self, conn: Connection, task: Literal["answer", "ask", "onboard"], *, lock: str, **arguments: str
    ) -> None:
        """Enqueue ``task``; jobs of one lock run one after the other, in their order."""


class Inbox:
    """Records what Slack delivers."""

    def __init__(self, database: Database, identity: Identity, enqueue: Enqueue) -> None:
        self._database = database
        self._identity = identity
        self._enqueue = enqueue
        self._mention = re.compile(rf"<@{re.escape(identity.bot_user_id)}(?:\|[^>]*)?>")

    async def record(self, body: dict[str, Any]) -> None:
        """Store one delivery with all that follows from it.

        Raises:
            Exception: it is not stored; Slack must not get an ack.
        """
        try:
            envelope = events.parse(body)
        except events.BadPayload as error:
            log.warning("payload ignored", error=str(error))
            return
        async with self._database.connection() as conn, conn.transaction():
            subject = events.subject(envelope.event)
            if not await inbox.insert(conn, envelope.event_id, envelope.team_id, envelope.kind, body, subject):
                return
            match envelope.event:
                case IncomingMessage() as message:
                    await self._message(conn, message)
                case MessageChanged(message):
                    await messages.apply_edit(conn, await self.describe(conn, message))
                case MessageDeleted(team_id, channel_id, ts):
                    await messages.delete(conn, team_id, channel_id, ts)
                    await inbox.forget(conn, team_id, f"{channel_id}:{ts}")
                case Reaction() as reaction:
                    await messages.add_reaction(
                        conn,
                        reaction.team_id,
                        reaction.channel_id,
                        reaction.ts,
                        user_id=reaction.user_id,
                        name=reaction.name,
                        added=reaction.added,
                    )
                case Membership() as membership:
                    await self._membership(conn, membership)
                case Command() as command:
                    await self._command(conn, command)
                case Click() | None:
                    pass  # the stored event is the record

    async def describe(self, conn: Connection, message: IncomingMessage) -> NewMessage:
        """A message as it is stored: with its author's name, permalink and the alert it reports."""
        mentioned = USER.findall(message.text)
        names = await channels.user_names(conn, message.team_id, [*mentioned, message.user_id or ""])
        is_own = message.bot_id == self._identity.bot_id or message.user_id == self._identity.bot_user_id
        alert = None if is_own else read_alert(message.text, is_bot=message.is_bot)
        return NewMessage(
            team_id=message.team_id,
            channel_id=message.channel_id,
            ts=message.ts,
            thread_ts=message.thread_ts,
            user_id=message.user_id,
            bot_id=message.bot_id,
            author=message.bot_username or names.get(message.user_id or "") or message.user_id or "unknown",
            is_bot=message.is_bot or is_own,
            searchable=not is_own and self._addressed(message) is None,
            text=USER.sub(lambda match: "@" + names.get(match[1], match[1]), message.text),
            permalink=self._identity.permalink(message.channel_id, message.ts, message.thread_ts),
            alert=alert.alert if alert else None,
            service=alert.service if alert else None,
            alert_action=alert.action if alert else "none",
            edited_ts=message.edited_ts,
            attrs={"subtype": message.subtype} if message.subtype else {},
        )

    async def _message(self, conn: Connection, message: IncomingMessage) -> None:
        await self._channel(conn, message)
        await messages.insert(conn, await self.describe(conn, message))
        source = self._addressed(message)
        if source is None or not message.user_id:
            return
        turn_id = uuid5(NAMESPACE, f"{message.team_id}:{message.channel_id}:{message.ts}")
        thread_ts = message.thread_ts or message.ts
        if await turns.insert(
            conn,
            turn_id=turn_id,
            team_id=message.team_id,
            channel_id=message.channel_id,
            thread_ts=thread_ts,
            message_ts=message.ts,
            requester_id=message.user_id,
            source=source,
            question=self._mention.sub("", message.text).strip(),
        ):
            key = turns.thread_key(message.team_id, message.channel_id, thread_ts)
            await self._enqueue(conn, "answer", lock=key, turn_id=str(turn_id))

    def _addressed(self, message: IncomingMessage) -> Source | None:
        """Whether a person talks to Ratchet: by mention anywhere in the text, or in a DM."""
        if (
            message.is_bot
            or message.user_id == self._identity.bot_user_id
            or message.subtype not in {None, "file_share"}
        ):
            return None
        if message.channel_kind == "im":
            return "dm"
        return "mention" if self._mention.search(message.raw_text) else None

    async def _channel(self, conn: Connection, message: IncomingMessage) -> None:
        # Where an event does not say what kind of channel it is, it counts as private until Slack was asked.
        kind = message.channel_kind or "private"
        peer = message.user_id if kind == "im" and message.user_id != self._identity.bot_user_id else None
        if await channels.insert_unknown(conn, message.team_id, message.channel_id, kind, peer):
            await self._onboard(conn, message.team_id, message.channel_id)
        elif message.channel_kind not in {None, "public"}:
            await channels.close_to_public(conn, message.team_id, message.channel_id, kind)

    async def _onboard(self, conn: Connection, team_id: str, channel_id: str) -> None:
        lock = BACKFILL_LOCK.format(channel_id=channel_id)
        await self._enqueue(conn, "onboard", lock=lock, team_id=team_id, channel_id=channel_id)

    async def _membership(self, conn: Connection, membership: Membership) -> None:
        if not membership.joined:
            await channels.remove_membership(conn, membership.team_id, membership.user_id, membership.channel_id)
        elif membership.user_id == self._identity.bot_user_id:
            kind = membership.channel_kind or "private"
            await channels.insert_unknown(conn, membership.team_id, membership.channel_id, kind, None)
            await self._onboard(conn, membership.team_id, membership.channel_id)

    async def _command(self, conn: Connection, command: Command) -> None:
        if not command.text:
            return  # the listener answers with how to use it
        turn_id = uuid5(NAMESPACE, f"command:{command.trigger_id}")
        if await turns.insert(
            conn,
            turn_id=turn_id,
            team_id=command.team_id,
            channel_id=command.channel_id,
            thread_ts=None,
            message_ts=None,
            requester_id=command.user_id,
            source="command",
            question=command.text,
        ):
            await self._enqueue(conn, "ask", lock=f"command:{turn_id}", turn_id=str(turn_id))
