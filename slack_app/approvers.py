"""Finds the people that a policy names as approvers: full members of the workspace, who can read the request."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_app.errors import reason
from slack_app.payloads import parse_user
from storage import channels
from storage.db import Database

log = structlog.get_logger()
USER = re.compile(r"[UW][A-Z0-9]{5,}")
GROUP = re.compile(r"S[A-Z0-9]{5,}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
FRESH_SECONDS = 60.0
FEW = 10  # people are asked for one by one, more by the list of everybody
NOBODY = {"users_not_found", "user_not_found", "user_not_visible", "no_such_subteam", "subteam_not_found"}


class ApproverLookupError(Exception):
    """Slack did not say who somebody is; the message says what was looked for."""


class ApproverDirectory:
    """Resolves names to user ids. Slack is asked at most once a minute for each name."""

    def __init__(self, client: AsyncWebClient, database: Database, team_id: str) -> None:
        self._client = client
        self._database = database
        self._team_id = team_id
        self._found: dict[str, tuple[float, list[str]]] = {}

    async def resolve(self, names: Sequence[str]) -> list[str]:
        """The user ids of people and of the members of user groups, each once.

        Left out are unknown names, bots, guests, people of other workspaces, and who has left.

        Args:
            names: user ids (U…, W…), handles (@kim), e-mail addresses, group ids (S…), group handles (@sre). A handle
                is a person's user name, which nobody else can take; display names are not looked at.

        Raises:
            ApproverLookupError: Slack does not say.
        """
        found: dict[str, None] = {}
        for name in names:
            plain = name.strip()
            people = await self._cached(plain)
            if not people:
                log.warning("an approver is not known to Slack", name=plain)
            found |= dict.fromkeys(people)
        return list(found)

    async def readers(self, channel_id: str) -> set[str] | None:
        """Who can read a conversation, as Slack says now; None for a public channel, which everybody can.

        Raises:
            ApproverLookupError: Slack does not say.
        """
        async with self._database.connection() as conn:
            channel = await channels.get(conn, self._team_id, channel_id)
        if channel and channel.kind == "public":
            return None
        found: set[str] = set()
        try:
            async for page in await self._client.conversations_members(channel=channel_id, limit=200):
                found.update(str(user_id) for user_id in page["members"])
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApproverLookupError(f"Slack did not say who can read this conversation: {_why(error)}") from error
        return found

    async def _cached(self, name: str) -> list[str]:
        known = self._found.get(name)
        if known and time.monotonic() - known[0] < FRESH_SECONDS:
            return known[1]
        try:
            people = await self._full_members(await self._ask(name))
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            if _why(error) in NOBODY:
                return []
            raise ApproverLookupError(f"Slack did not say who {name} is: {_why(error)}") from error
        self._found[name] = (time.monotonic(), people)
        return people

    async def _full_members(self, user_ids: list[str]) -> list[str]:
        """Those of them who may decide; what Slack says of them is stored, for it counts when they do."""
        described: dict[str, dict[str, Any]] = {}
        if len(user_ids) > FEW:
            async for page in await self._client.users_list(limit=200):
                described |= {str(member["id"]): member for member in page["members"]}
        else:
            for user_id in user_ids:
                try:
                    described[user_id] = (await self._client.users_info(user=user_id))["user"]
                except SlackApiError as error:
                    if reason(error) not in NOBODY:
                        raise
        members = [described[user_id] for user_id in user_ids if user_id in described]
        users = [parse_user(self._team_id, member) for member in members]
        async with self._database.connection() as conn:
            await channels.upsert_users(conn, users)
        return [
            user.user_id
            for user, member in zip(users, members, strict=True)
            if not (user.is_bot or user.is_guest or user.is_stranger or member.get("deleted"))
        ]

    async def _ask(self, name: str) -> list[str]:
        if USER.fullmatch(name):
            return [name]
        if EMAIL.fullmatch(name):
            response = await self._client.users_lookupByEmail(email=name)
            return [str(response["user"]["id"])]
        if GROUP.fullmatch(name):
            return await self._members(name)
        handle = name.removeprefix("@").lower()
        async for page in await self._client.users_list(limit=200):
            for member in page["members"]:
                if member.get("name") == handle and not member.get("deleted"):
                    return [str(member["id"])]
        return await self._group(handle)

    async def _group(self, handle: str) -> list[str]:
        try:
            response = await self._client.usergroups_list()
        except SlackApiError as error:
            if reason(error) == "missing_scope":
                log.warning("user groups cannot be read: the app lacks the scope usergroups:read", handle=handle)
                return []
            raise
        for group in response["usergroups"]:
            if group.get("handle") == handle and not group.get("date_delete"):
                return await self._members(str(group["id"]))
        return []

    async def _members(self, group_id: str) -> list[str]:
        response = await self._client.usergroups_users_list(usergroup=group_id)
        return [str(user_id) for user_id in response["users"]]


def _why(error: Exception) -> str:
    return reason(error) if isinstance(error, SlackApiError) else str(error) or type(error).__name__
