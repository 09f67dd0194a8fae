"""Replies to an alert with what people were just saying about the same thing (behaviour A12)."""

from __future__ import annotations

from datetime import timedelta

from agent.grounding import stems
from ratchet.policies import Policies
from ratchet.steps import Poster
from storage import search
from storage.access import Viewer
from storage.db import Database
from storage.leases import Lease
from storage.messages import MessageFilter, NewMessage, StoredMessage
from storage.steps import NewArrival
from storage.triage import AlertName, opened_by
from tools.hits import channel_label

WINDOW = timedelta(hours=1)
SHOWN = 5
LOOKED_AT = 50
EXCERPT = 280
# Words that half of all alerts are named with: alone they relate a message to nothing.
COMMON = stems(
    "alert alarm high low error rate failed failing failure down up critical warning too many count usage time slow "
    "not problem issue service server host node pod instance health check status"
)


class RecentActivityStep:
    """Where a channel turned it on: replies to an alert with related messages of the last hour, if there are any."""

    name = "recent_activity"

    def __init__(self, database: Database, policies: Policies, poster: Poster) -> None:
        self._database = database
        self._policies = policies
        self._poster = poster

    def may_want(self, message: NewMessage) -> bool:
        """An alert, if any channel turned it on."""
        return message.alert_action == "open_incident" and self._policies.does_unasked_somewhere(self.name)

    def wants(self, arrival: NewArrival) -> bool:
        """An alert in a channel that turned it on."""
        on = self._policies.does_unasked(self.name, arrival.channel_id, arrival.channel_name)
        return arrival.alert_action == "open_incident" and on

    async def run(self, arrival: NewArrival, lease: Lease) -> None:
        """Post it."""
        async with self._database.connection() as conn:
            names = await opened_by(conn, arrival.team_id, arrival.channel_id, arrival.ts)
        thread_ts = arrival.thread_ts or arrival.ts
        found: dict[str, StoredMessage] = {}
        for name in names[:3]:
            for hit in await self._search(arrival, name):
                elsewhere = (hit.channel_id, hit.thread_ts or hit.ts) != (arrival.channel_id, thread_ts)
                if elsewhere and is_related(hit.text, name):
                    found.setdefault(hit.permalink, hit)
        if found:
            await self._poster.reply(arrival, lease, self.name, show_activity(list(found.values())[:SHOWN]))

    async def _search(self, arrival: NewArrival, name: AlertName) -> list[StoredMessage]:
        where = MessageFilter(
            query=f"{name.service} {name.alert}",
            author="human",
            since=arrival.posted_at - WINDOW,
            until=arrival.posted_at,
            alerts="none",
        )
        audience = self._policies.audience(arrival.channel_id, arrival.channel_name)
        viewer = Viewer.everyone_in(arrival.team_id, arrival.channel_id, audience)
        async with self._database.connection() as conn:
            _, hits = await search.search(conn, viewer, where, limit=LOOKED_AT)
        return hits


def is_related(text: str, name: AlertName) -> bool:
    """Whether a message holds a word that is this alert's own, or two of those that many alerts share.

    Search ranks whatever there is; what nobody asked for must be about the alert.
    """
    shared = stems(text) & stems(f"{name.service} {name.alert}")
    return bool(shared - COMMON) or len(shared) >= 2


def show_activity(found: list[StoredMessage]) -> str:
    """Messages as a list, each with its link."""
    lines = ["**Recent activity** that may be related, of the last hour:"]
    for hit in found:
        text = " ".join(hit.text.split()).replace("](", "] (").replace("```", "`")
        text = text if len(text) <= EXCERPT else text[:EXCERPT].rsplit(" ", 1)[0] + " …"
        author = hit.author.translate(str.maketrans("", "", "[]()*_`"))
        place = channel_label(hit.channel_name, hit.channel_kind)
        lines.append(f"- [{author} in {place}, {hit.posted_at:%H:%M} UTC]({hit.permalink}): {text}")
    return "\n".join(lines)
