"""What people see of Ratchet in Slack outside their threads: their home, and suggestions in direct messages.

A home is published when its person opens it and after their own clicks in it. It shows only what they may read in
their direct messages with Ratchet. A switch is decided in the transaction that stores its click, by what is stored of
who manages which channel; where membership of a private channel must be confirmed first, the job does so.
"""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from ratchet.policies import Policies
from ratchet.switches import Switches
from slack_app.directory import Directory
from slack_app.errors import is_refusal, reason
from slack_app.events import Click
from slack_app.home import (
    PAGE,
    SWITCH,
    Home,
    ShownChannel,
    SwitchClick,
    guest_view,
    home_view,
    read_switch,
    suggestions,
)
from slack_app.identity import Identity
from slack_app.jobs import Job, home_job
from storage import audit, channel_switches, channels, home
from storage.access import Viewer
from storage.db import Connection, Database
from storage.home import WatchedChannel

log = structlog.get_logger()
CHANNELS = 15  # on a page; with switches each takes two of the 100 blocks
APPROVALS = 10
QUESTIONS = 5


class HomeDesk:
    """Shows homes and suggestions, and takes in what is clicked there."""

    def __init__(
        self,
        database: Database,
        *,
        client: AsyncWebClient,
        identity: Identity,
        directory: Directory,
        policies: Policies,
        switches: Switches,
        features: Sequence[str],
    ) -> None:
        self._database = database
        self._client = client
        self._identity = identity
        self._directory = directory
        self._policies = policies
        self._switches = switches
        self._features = features

    async def decide(self, conn: Connection, click: Click) -> list[Job] | None:
        """Inside the transaction that stores a click: what it does in a home."""
        if click.action_id.startswith(PAGE):
            page = int(click.value[:4]) if click.value.isdecimal() else 0
            return [home_job(click.user_id, page=page)]
        return await self._decide(conn, click) if click.action_id.startswith(SWITCH) else None

    async def switch(self, user_id: str, value: str) -> None:
        """Decide a switch again, now that Slack can confirm in which channels its person is."""
        chosen = read_switch(value)
        if chosen is None:
            return
        await self._directory.user(self._identity.team_id, user_id)
        await self._directory.refresh(self._identity.team_id, user_id)
        async with self._database.connection() as conn, conn.transaction():
            if not await self._set(conn, user_id, chosen):
                log.warning("a switch does not count", user_id=user_id, channel_id=chosen.channel_id)

    async def publish(self, user_id: str, *, page: int = 0) -> None:
        """Show somebody their home as it is now.

        Raises:
            SlackApiError, aiohttp.ClientError, TimeoutError, OSError: Slack is away; it can be tried again.
        """
        team_id, bot_user_id = self._identity.team_id, self._identity.bot_user_id
        user = await self._directory.user(team_id, user_id)
        if user.is_outsider:
            view = guest_view(bot_user_id=bot_user_id)
        else:
            await self._directory.refresh(team_id, user_id)
            await self._switches.refresh()
            shown = await self._gather(user_id, page)
            view = home_view(shown, bot_user_id=bot_user_id, permalink=self._identity.permalink)
        try:
            await self._client.views_publish(user_id=user_id, view=view)
        except SlackApiError as error:
            if not is_refusal(error):
                raise
            log.warning("a home was not shown", user_id=user_id, error=reason(error))

    async def suggest(self, user_id: str, channel_id: str) -> None:
        """Suggest questions in somebody's direct messages; nobody misses them where that fails."""
        try:
            user = await self._directory.user(self._identity.team_id, user_id)
            await self._directory.refresh(self._identity.team_id, user_id)
            await self._directory.channel(self._identity.team_id, channel_id)
            restricted = self._policies.restricts(user, channel_id, "")
            tools = frozenset() if restricted else self._policies.allowed_tools(channel_id, "")
            audience = self._policies.audience(channel_id, "")
            viewer = Viewer(self._identity.team_id, user_id, channel_id, user.is_outsider, audience)
            async with self._database.connection() as conn:
                alert_channel = await home.busiest_alert_channel(conn, viewer) if tools else None
                has_documents = await home.has_documents(conn, viewer)
            prompts = suggestions(tools, alert_channel=alert_channel, has_documents=has_documents)
            await self._client.assistant_threads_setSuggestedPrompts(channel_id=channel_id, prompts=prompts)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("questions were not suggested", user_id=user_id, error=str(error))

    async def _decide(self, conn: Connection, click: Click) -> list[Job]:
        chosen = read_switch(click.value)
        if chosen is None:
            return []
        done = await self._set(conn, click.user_id, chosen)
        return [home_job(click.user_id, page=chosen.page, switch="" if done else click.value)]

    async def _set(self, conn: Connection, user_id: str, chosen: SwitchClick) -> bool:
        """Inside a transaction: switch, where the operators left it to the channel's managers and this is one."""
        team_id = self._identity.team_id
        channel = await channels.get(conn, team_id, chosen.channel_id)
        if channel is None or chosen.feature not in self._policies.switches(channel.channel_id, channel.name):
            return False
        viewer = await self._viewer(conn, user_id)
        if not await channel_switches.set_state(conn, viewer, channel.channel_id, chosen.feature, is_on=chosen.is_on):
            return False
        details = {"channel_id": channel.channel_id, "feature": chosen.feature, "is_on": chosen.is_on}
        await audit.record(conn, who=user_id, action="channel_switched", details=details)
        return True

    async def _gather(self, user_id: str, page: int) -> Home:
        own = await self._directory.own_channels()
        async with self._database.connection() as conn:
            viewer = await self._viewer(conn, user_id)
            watched = await home.list_watched(conn, viewer, among=own, limit=CHANNELS + 1, offset=page * CHANNELS)
            return Home(
                approvals=await home.list_open_approvals(conn, viewer, limit=APPROVALS),
                channels=[self._shown(channel) for channel in watched[:CHANNELS]],
                asked=await home.list_asked(conn, viewer, limit=QUESTIONS),
                page=page,
                has_more=len(watched) > CHANNELS,
            )

    def _shown(self, channel: WatchedChannel) -> ShownChannel:
        key = (channel.channel_id, channel.name)
        return ShownChannel(
            channel,
            unasked=[feature for feature in self._features if self._policies.does_unasked(feature, *key)],
            switches=self._policies.switches(*key) if channel.is_managed else {},
        )

    async def _viewer(self, conn: Connection, user_id: str) -> Viewer:
        """The person in their direct messages with Ratchet; without these nothing private is theirs to see here."""
        dm = await home.find_dm(conn, self._identity.team_id, user_id)
        return Viewer(self._identity.team_id, user_id, dm or "", audience="workspace")
