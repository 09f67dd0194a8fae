"""Stores events and enqueues their jobs in one transaction, before Slack gets its ack.

If the transaction fails, no ack is sent and Slack delivers again. The same event, or the same message told
by two events, is stored once. Deliveries that arrive while others are being stored share the next
transaction: an ack then costs a fraction of one, and a burst does not pile up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid5

import structlog

from slack_app import events, payloads, stops
from slack_app.burst import Burst
from slack_app.command_words import is_stop, parse
from slack_app.events import (
    ChannelChange,
    Click,
    Command,
    Envelope,
    HomeOpened,
    IncomingMessage,
    Membership,
    MessageChanged,
    MessageDeleted,
    Profile,
    Reaction,
    SessionStopped,
)
from slack_app.follow_ups import FollowUps
from slack_app.identity import Identity
from slack_app.jobs import (
    PURGE,
    Enqueue,
    Job,
    backfill_job,
    classify_job,
    command_job,
    file_jobs,
    home_job,
    onboard_job,
    process_job,
    prompts_job,
)
from slack_app.questions import NAMESPACE, accept
from slack_app.remember import remember
from storage import backfills, channels, forgetting, home, inbox, messages, reactions, runbooks, turns
from storage.batches import GroupCommit
from storage.channels import ChannelKind, NewChannel
from storage.db import Connection, Database
from storage.inbox import NewEvent
from storage.messages import NewMessage
from storage.turns import NewTurn

log = structlog.get_logger()
EARLY_SECONDS = 3600.0  # for so long Slack delivers again
# Whether a message is to be read once more, by a program or a model: (as delivered, as described).
Again = Callable[[IncomingMessage, NewMessage], bool]
# What a click decides, in the transaction that stores it, and the jobs that follow; None: it is about something else.
Decide = Callable[[Connection, Click], Awaitable[list[Job] | None]]


@dataclass(frozen=True)
class Delivery:
    """One payload and what was read out of it."""

    envelope: Envelope
    body: dict[str, Any]


class Inbox:
    """Records what Slack delivers."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        enqueue: Enqueue,
        *,
        wants_steps: Callable[[NewMessage], bool] = lambda message: False,
        again: Again | None = None,
        deciders: Sequence[Decide] = (),
        burst: Burst | None = None,
        follow_ups: FollowUps | None = None,
    ) -> None:
        self._database = database
        self._identity = identity
        self._enqueue = enqueue
        self._wants_steps = wants_steps
        self._again = again
        self._deciders = deciders
        self._burst = burst or Burst()
        self._follow_ups = follow_ups
        # One group at a time: two of them could wait for each other's rows.
        self._group = GroupCommit(self._write, lanes=1)
        self._known_channels: set[tuple[str, ChannelKind | None]] = set()

    async def record(self, body: dict[str, Any]) -> None:
        """Store one delivery with all that follows from it.

        Raises:
            Exception: it is not stored; Slack must not get an ack.
        """
        try:
            envelope = payloads.parse(body)
        except payloads.BadPayload as error:
            log.warning("payload ignored", error=str(error))
            return
        self._burst.count()
        await self._group.add(Delivery(envelope, body))

    async def quiet(self, seconds: float) -> None:
        """Return once no delivery is being stored here, or so many seconds later."""
        if not self._group.idle.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._group.idle.wait(), seconds)

    async def take_in(self, told: list[IncomingMessage]) -> None:
        """Store messages that Slack named when it was asked, with all that follows from them, as if delivered."""
        if not told:
            return
        async with self._database.connection() as conn, conn.transaction():
            jobs = await self._messages(conn, told)
            if jobs:
                await self._enqueue(conn, jobs)

    async def _write(self, deliveries: list[Delivery]) -> None:
        """Store a group; the order within it does not matter, as Slack's deliveries have none."""
        async with self._database.connection() as conn, conn.transaction():
            for delivery in deliveries:  # first of all: an invitation makes the channel's messages count
                await self._lift(conn, delivery.envelope.event)
            new = await inbox.insert(conn, [_row(delivery) for delivery in deliveries])
            fresh = {d.envelope.event_id: d.envelope.event for d in deliveries if d.envelope.event_id in new}
            told = list(fresh.values())
            said = [event for event in told if isinstance(event, IncomingMessage)]
            jobs = await self._messages(conn, said, delivered=True)
            for event in told:
                jobs += await self._apply(conn, event)
            if jobs:
                await self._enqueue(conn, jobs)
        self._known_channels |= {
            (event.channel_id, event.channel_kind) for event in told if isinstance(event, IncomingMessage)
        }

    async def _lift(self, conn: Connection, event: events.Event | None) -> None:
        if isinstance(event, Membership) and event.joined and event.user_id == self._identity.bot_user_id:
            await forgetting.lift(conn, event.team_id, event.channel_id, event.ts)

    async def _messages(
        self, conn: Connection, arrived: list[IncomingMessage], *, delivered: bool = False
    ) -> list[Job]:
        if not arrived:
            return []
        jobs = await self._channels(conn, arrived)
        stored = await remember(conn, self._identity, arrived)
        # Also for what is known already: whoever reads the past may have come first, and starts nothing.
        for message, described in {m.key: (m, d) for m, d in zip(arrived, stored.described, strict=True)}.values():
            jobs += self._follow(message, described)
        jobs += file_jobs(message for message in arrived if message.key in stored.new)
        jobs += await self._parents(conn, arrived)
        follow_ups: set[tuple[str, str]] = set()
        if delivered and self._follow_ups:  # what is read in Slack's history follows up nothing
            follow_ups = await self._follow_ups.among(conn, self._identity, arrived)
        return jobs + await accept(conn, self._identity, arrived, follow_ups)

    def _follow(self, message: IncomingMessage, described: NewMessage) -> list[Job]:
        """What follows by itself from a new message; a second reading decides what comes after it."""
        if self._again and self._again(message, described):
            return [classify_job(described, is_new=True)]
        key = (described.team_id, described.channel_id, described.ts)
        return [process_job(*key)] if self._wants_steps(described) else []

    async def _parents(self, conn: Connection, arrived: list[IncomingMessage]) -> list[Job]:
        """Have the threads read of which a reply came but whose first message is not known."""
        threads = {(message.channel_id, message.thread_ts) for message in arrived if message.thread_ts}
        if not threads:
            return []
        jobs = []
        for channel_id, thread_ts in sorted(await messages.unknown(conn, self._identity.team_id, threads)):
            if await backfills.open_thread(conn, self._identity.team_id, channel_id, thread_ts):
                jobs.append(backfill_job(channel_id))
        return jobs

    async def _channels(self, conn: Connection, arrived: list[IncomingMessage]) -> list[Job]:
        """Create channels that were never seen, and close those that became private."""
        unseen: dict[str, NewChannel] = {}
        private = sorted({message.channel_id for message in arrived if message.channel_kind == "private"})
        if private:  # whatever was believed of them before
            await channels.close_to_public(conn, self._identity.team_id, private)
        for message in arrived:
            if (message.channel_id, message.channel_kind) in self._known_channels:
                continue
            if message.channel_id in unseen and message.channel_kind is None:
                continue
            # Where an event does not say what kind of channel it is, it counts as private until Slack was asked.
            kind = message.channel_kind or "private"
            peer = message.user_id if kind == "im" and message.user_id != self._identity.bot_user_id else None
            unseen[message.channel_id] = NewChannel(message.team_id, message.channel_id, kind, peer)
        created = await channels.insert_unknown(conn, list(unseen.values())) if unseen else set()
        if shared := sorted({message.channel_id for message in arrived if message.shared}):
            await channels.mark_shared(conn, self._identity.team_id, shared)
        return [onboard_job(unseen[channel_id].team_id, channel_id) for channel_id in sorted(created)]

    async def _apply(self, conn: Connection, event: events.Event | None) -> list[Job]:
        match event:
            case MessageChanged(message):
                stored = await remember(conn, self._identity, [message])
                jobs = file_jobs([message])
                if message.key in stored.new:
                    jobs += await self._channels(conn, [message])
                if message.key in stored.new and _is_early(message):
                    jobs += self._follow(message, stored.described[0])
                elif self._again and self._again(message, stored.described[0]):
                    jobs.append(classify_job(stored.described[0]))
                await inbox.forget(conn, message.team_id, f"{message.channel_id}:{message.ts}")
                return jobs if message.is_bot else [*jobs, PURGE]
            case MessageDeleted(team_id, channel_id, ts):
                await messages.delete(conn, team_id, channel_id, ts)
                await inbox.forget(conn, team_id, f"{channel_id}:{ts}")
                asker = await home.find_asker(conn, team_id, channel_id, ts)
                return [PURGE, home_job(asker)] if asker else [PURGE]  # their home may quote it
            case Reaction():
                await reactions.record(
                    conn,
                    event.team_id,
                    event.channel_id,
                    event.ts,
                    user_id=event.user_id,
                    name=event.name,
                    added=event.added,
                    event_ts=event.event_ts,
                )
            case Membership():
                return await self._membership(conn, event)
            case ChannelChange():
                return await self._channel_change(conn, event)
            case Profile(user):
                await channels.upsert_users(conn, [user])
            case SessionStopped():
                return await stops.by_button(conn, event)
            case HomeOpened():
                # Known from now on: what is private is shown to its person in their own direct messages only.
                dm = NewChannel(event.team_id, event.channel_id, "im", event.user_id)
                created = [onboard_job(event.team_id, dm_id) for dm_id in await channels.insert_unknown(conn, [dm])]
                shown = home_job(event.user_id) if event.tab == "home" else prompts_job(event.user_id, event.channel_id)
                return [*created, shown]
            case Command() if event.text:  # without text the listener answers with how to use it
                return await self._command(conn, event)
            case Click(action_id="runbook_worked" | "runbook_failed"):
                worked = event.action_id == "runbook_worked"
                await runbooks.vote(conn, event.team_id, event.value, event.user_id, worked=worked)
            case Click():
                for decide in self._deciders:
                    if (following := await decide(conn, event)) is not None:
                        return following
            case _:
                pass  # messages were stored before; of a click the stored event is the record
        return []

    async def _membership(self, conn: Connection, membership: Membership) -> list[Job]:
        team_id, channel_id = membership.team_id, membership.channel_id
        if not membership.joined:
            await channels.remove_membership(conn, team_id, membership.user_id, channel_id)
        elif membership.user_id == self._identity.bot_user_id:
            kind = membership.channel_kind or "private"
            await channels.insert_unknown(conn, [NewChannel(team_id, channel_id, kind, None)])
            return [onboard_job(team_id, channel_id, joined_ts=membership.ts)]
        return []

    async def _channel_change(self, conn: Connection, event: ChannelChange) -> list[Job]:
        team_id, channel_id = event.team_id, event.channel_id
        match event.change:
            case "closed":
                await channels.close_to_public(conn, team_id, [channel_id])
                self._known_channels.discard((channel_id, "public"))
            case "renamed" if event.name:
                await channels.rename(conn, team_id, channel_id, event.name)
            case "archived" | "deleted" as state:
                await channels.set_state(conn, team_id, channel_id, state)
            case "unarchived":
                await channels.set_state(conn, team_id, channel_id, None)
            case "shared":
                await channels.mark_shared(conn, team_id, [channel_id])
            case "opened" | "unshared":  # believed once Slack was asked
                return [Job("refresh", f"refresh:{channel_id}", {"channel_id": channel_id})]
        return []

    async def _command(self, conn: Connection, command: Command) -> list[Job]:
        turn = NewTurn(
            turn_id=uuid5(NAMESPACE, f"command:{command.trigger_id}"),
            team_id=command.team_id,
            channel_id=command.channel_id,
            thread_ts=None,
            message_ts=None,
            requester_id=command.user_id,
            source="command",
            question=command.text,
            aside=parse(command.text) is not None,
        )
        if is_stop(command.text) and (stopping := await stops.by_word(conn, turn)) is not None:
            return stopping
        accepted = await turns.insert_all(conn, [turn])
        if turn.aside:
            return [command_job(turn, response_url=command.response_url)] if accepted else []
        return [Job("ask", f"command:{turn_id}", {"turn_id": str(turn_id)}) for turn_id in accepted]


def _row(delivery: Delivery) -> NewEvent:
    """An event to store; what it tells is kept only where it names its message, and so goes when that message goes."""
    envelope, subject = delivery.envelope, events.subject(delivery.envelope.event)
    channel_id, user_id = events.place(envelope.event)
    payload = delivery.body if subject else {}
    return NewEvent(envelope.event_id, envelope.team_id, envelope.kind, subject, payload, channel_id, user_id)


def _is_early(edit: IncomingMessage) -> bool:
    """Whether an edit of a message that is not known came before the message itself, and not long after it."""
    return float(edit.edited_ts or edit.ts) - float(edit.ts) < EARLY_SECONDS
