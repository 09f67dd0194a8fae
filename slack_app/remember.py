"""The one way by which messages get into memory, whether Slack delivered them or they were read from its history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from slack_app.events import IncomingMessage
from slack_app.identity import Identity
from storage import channels, messages, reactions
from storage.db import Connection
from storage.messages import NewMessage


async def remember(
    conn: Connection, identity: Identity, told: Sequence[IncomingMessage]
) -> dict[tuple[str, str], NewMessage]:
    """Inside a transaction: store messages, or of those that are known their newest text.

    Returns:
        Those that were not stored before, by (channel, ts).
    """
    if not told:
        return {}
    people = sorted({user_id for message in told for user_id in identity.people_in(message)})
    names = await channels.user_names(conn, identity.team_id, people) if people else {}
    described = [identity.describe(message, names) for message in told]
    new = await messages.insert_new(conn, described)
    times = Counter(message.key for message in told)
    for message in described:
        key = (message.channel_id, message.ts)
        if message.edited_ts and not (key in new and times[key] == 1):
            await messages.apply_edit(conn, message)
    if new:
        await reactions.apply_early(conn, identity.team_id, [ts for _, ts in new])
    return {key: message for message in described if (key := (message.channel_id, message.ts)) in new}
