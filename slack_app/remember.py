"""The one way by which messages get into memory, whether Slack delivered them or they were read from its history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from slack_app.events import IncomingMessage
from slack_app.identity import Identity
from storage import alerts, channels, messages, reactions
from storage.db import Connection
from storage.messages import NewMessage

# What these read in a message's earlier form stays until they have read its new one.
OTHER_READERS = ("program", "model")


@dataclass(frozen=True)
class Remembered:
    """Messages as they are stored, in their order, and those of them that were not before, by (channel, ts)."""

    described: list[NewMessage] = field(default_factory=list)
    new: dict[tuple[str, str], NewMessage] = field(default_factory=dict)


async def remember(conn: Connection, identity: Identity, told: Sequence[IncomingMessage]) -> Remembered:
    """Inside a transaction: store messages with what they report, or of those that are known their newest form."""
    if not told:
        return Remembered()
    people = sorted({user_id for message in told for user_id in identity.people_in(message)})
    names = await channels.user_names(conn, identity.team_id, people) if people else {}
    described = [identity.describe(message, names) for message in told]
    new = await messages.insert_new(conn, described)
    await alerts.insert_all(conn, described, new.keys())
    times = Counter(message.key for message in told)
    for message in described:
        key = (message.channel_id, message.ts)
        if not message.edited_ts or (key in new and times[key] == 1):
            continue
        if await messages.apply_edit(conn, message) or key in new:
            await alerts.apply_edit(conn, message, keep=OTHER_READERS)
    if awaited := [ts for (_, ts), has_reactions in new.items() if has_reactions]:
        await reactions.apply_early(conn, identity.team_id, awaited)
    return Remembered(described, {key: m for m in described if (key := (m.channel_id, m.ts)) in new})
