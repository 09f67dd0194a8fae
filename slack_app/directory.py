"""Channels, people and memberships, asked of Slack and kept in the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.errors import UNREACHABLE, is_refusal, reason
from slack_app.identity import Identity
from slack_app.payloads import parse_user
from storage import channels
from storage.channels import Channel, ChannelKind, User
from storage.db import Database

log = structlog.get_logger()
MEMBERSHIP_SECONDS = 25.0  # below the 60 s for which storage/access.py trusts a row
USER_SECONDS = 3600
CLOSED = "private_channel,mpim"
OWN_SECONDS = 30.0
NOBODY = {
    "users_not_found", "user_not_found", "user_not_visible", "user_disabled", "cannot_dm_bot", "invalid_arguments",
}  # fmt: skip
FEW = 5


class Directory:
    """Implements ``agent.context.Members``, and finds people and channels."""

    def __init__(self, client: AsyncWebClient, database: Database, identity: Identity) -> None:
        self._client = client
        self._database = database
        self._identity = identity
        self._refreshed: dict[str, float] = {}
        self._asked_for: dict[str, float] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._own: tuple[float, list[str]] | None = None

    @property
    def team_id(self) -> str:
        """The workspace."""
        return self._identity.team_id

    async def refresh(self, team_id: str, user_id: str) -> bool:
        """Ask Slack which channels a user shares with Ratchet, unless that was just done.

        Public ones matter only of guests and of people of other organizations: others read all of them. When Slack
        does not answer, the stored rows expire by themselves: then nothing private is seen.

        Returns:
            Whether they are fresh.
        """
        async with self._locks.setdefault(user_id, asyncio.Lock()):
            if time.monotonic() - self._refreshed.get(user_id, -MEMBERSHIP_SECONDS) < MEMBERSHIP_SECONDS:
                return True
            try:
                found = await self._shared_channels(user_id, await self._types(team_id, user_id))
            except UNREACHABLE as error:
                log.warning("memberships not refreshed", user_id=user_id, error=str(error))
                return False
            async with self._database.connection() as conn:
                await channels.replace_memberships(conn, team_id, user_id, found)
            self._refreshed[user_id] = time.monotonic()
            return True

    async def user(self, team_id: str, user_id: str) -> User:
        """A user, at most an hour old, or as last known while Slack is away.

        Somebody whom Slack refuses to describe is a stranger.

        Raises:
            SlackApiError, aiohttp.ClientError, TimeoutError, OSError: Slack is away and the user was never seen.
        """
        async with self._database.connection() as conn:
            known = await channels.get_user(conn, team_id, user_id)
        if known and known.age_seconds < USER_SECONDS:
            return known
        try:
            response = await self._client.users_info(user=user_id)
        except UNREACHABLE as error:
            log.warning("user not found", user_id=user_id, error=str(error))
            if known:
                return known
            if not (isinstance(error, SlackApiError) and is_refusal(error)):
                raise
            return User(team_id, user_id, user_id, is_bot=False, is_guest=False, is_stranger=True)
        user = parse_user(self.team_id, response["user"])
        async with self._database.connection() as conn:
            await channels.upsert_users(conn, [user])
        return user

    async def direct_channel(self, email: str) -> str | None:
        """The DM with the person of an e-mail address; None where Slack knows nobody who could be written to.

        Raises:
            SlackApiError, aiohttp.ClientError, TimeoutError, OSError: Slack does not say.
        """
        try:
            found = await self._client.users_lookupByEmail(email=email)
            opened = await self._client.conversations_open(users=str(found["user"]["id"]))
        except SlackApiError as error:
            if reason(error) in NOBODY:
                return None
            raise
        return str(opened["channel"]["id"])

    async def load_users(self) -> int:
        """Store everybody of the workspace; returns how many."""
        count = 0
        async for page in await self._client.users_list(limit=200):
            members = [parse_user(self.team_id, member) for member in page["members"]]
            async with self._database.connection() as conn:
                await channels.upsert_users(conn, members)
            count += len(members)
        return count

    async def learn(self, user_ids: Collection[str]) -> None:
        """Ask Slack who somebody is: few one by one, more by the list of everybody. Each is asked for once an hour.

        What Slack does not tell now stays unknown: names can wait.
        """
        now = time.monotonic()
        unknown = {user_id for user_id in user_ids if self._asked_for.get(user_id, 0) < now}
        self._asked_for.update(dict.fromkeys(unknown, now + USER_SECONDS))
        try:
            if len(unknown) > FEW:
                await self.load_users()
                async with self._database.connection() as conn:
                    unknown -= (await channels.user_names(conn, self.team_id, sorted(unknown))).keys()
            for user_id in sorted(unknown)[:FEW]:  # people of other workspaces are not in that list
                await self.user(self.team_id, user_id)
        except UNREACHABLE as error:
            log.warning("names not looked up", people=len(unknown), error=str(error))

    async def load_channel(self, channel_id: str) -> None:
        """Store what Slack says of a channel."""
        response = await self._client.conversations_info(channel=channel_id)
        await self._store(response["channel"])

    async def channel(self, team_id: str, channel_id: str, *, named: bool = False) -> Channel | None:
        """A channel as it is stored, or as Slack describes it where its name is not known; None where it does not.

        Raises:
            SlackApiError, aiohttp.ClientError, TimeoutError, OSError: with ``named``, where much depends on the name:
                Slack is away. Of a channel that Ratchet cannot see it never tells the name.
        """
        async with self._database.connection() as conn:
            channel = await channels.get(conn, team_id, channel_id)
        if channel and (channel.name or channel.kind == "im"):
            return channel
        try:
            await self.load_channel(channel_id)
        except UNREACHABLE as error:
            log.warning("channel not loaded", channel_id=channel_id, error=str(error))
            if named and not (isinstance(error, SlackApiError) and reason(error) == "channel_not_found"):
                raise
        async with self._database.connection() as conn:
            return await channels.get(conn, team_id, channel_id)

    async def load_own_channels(self) -> list[str]:
        """Store the channels that Ratchet is in; returns their ids."""
        found = []
        types = "public_channel,private_channel,mpim,im"
        async for page in await self._client.users_conversations(types=types, limit=200, exclude_archived=True):
            for channel in page["channels"]:
                await self._store(channel)
                found.append(str(channel["id"]))
        return found

    async def own_channels(self) -> list[str] | None:
        """The ids of the channels that Ratchet is in, at most half a minute old; None while Slack does not say."""
        known = self._own
        if known and time.monotonic() - known[0] < OWN_SECONDS:
            return known[1]
        found: list[str] = []
        try:
            async for page in await self._client.users_conversations(
                types="public_channel,private_channel", limit=999, exclude_archived=True
            ):
                found.extend(str(channel["id"]) for channel in page["channels"])
        except UNREACHABLE as error:
            log.warning("own channels not listed", error=str(error))
            return None
        self._own = (time.monotonic(), found)
        return found

    async def _types(self, team_id: str, user_id: str) -> str:
        """The kinds of channels in which a user's membership matters."""
        user = await self.user(team_id, user_id)
        return f"public_channel,{CLOSED}" if user.is_outsider else CLOSED

    async def _shared_channels(self, user_id: str, types: str) -> list[str]:
        found: list[str] = []
        async for page in await self._client.users_conversations(
            user=user_id, types=types, limit=200, exclude_archived=True
        ):
            found.extend(str(channel["id"]) for channel in page["channels"])
        return found

    async def _store(self, channel: dict[str, Any]) -> None:
        async with self._database.connection() as conn:
            await channels.upsert(
                conn,
                self._identity.team_id,
                str(channel["id"]),
                name=str(channel.get("name") or ""),
                kind=kind_of(channel),
                user_id=channel.get("user"),
                topic=str((channel.get("topic") or {}).get("value") or ""),
                shared=bool(channel.get("is_ext_shared") or channel.get("is_pending_ext_shared")),
                creator_id=channel.get("creator") or None,
            )


def kind_of(channel: dict[str, Any]) -> ChannelKind:
    """A channel's kind; what is not plainly public counts as private."""
    if channel.get("is_im"):
        return "im"
    if channel.get("is_mpim"):
        return "mpim"
    return "public" if channel.get("is_channel") and channel.get("is_private") is False else "private"
