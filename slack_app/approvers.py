"""Finds the people that a policy names as approvers."""

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

log = structlog.get_logger()
USER = re.compile(r"[UW][A-Z0-9]{5,}")
GROUP = re.compile(r"S[A-Z0-9]{5,}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
FRESH_SECONDS = 60.0


class ApproverLookupError(Exception):
    """Slack did not say who somebody is; the message says what was looked for."""


class ApproverDirectory:
    """Resolves names to user ids. Slack is asked at most once a minute for each."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._found: dict[str, tuple[float, list[str]]] = {}

    async def resolve(self, names: Sequence[str]) -> list[str]:
        """The user ids of people and of the members of user groups, each once; unknown names are left out.

        Args:
            names: user ids (U…, W…), handles (@kim), e-mail addresses, group ids (S…), group handles (@sre). A handle
                is a person's user name, which nobody else can take; display names are not looked at.

        Raises:
            ApproverLookupError: Slack does not say.
        """
        found: dict[str, None] = {}
        for name in names:
            plain = name.strip()
            if USER.fullmatch(plain):
                found[plain] = None
                continue
            people = await self._cached(plain)
            if not people:
                log.warning("an approver is not known to Slack", name=plain)
            found |= dict.fromkeys(people)
        return list(found)

    async def _cached(self, name: str) -> list[str]:
        known = self._found.get(name)
        if known and time.monotonic() - known[0] < FRESH_SECONDS:
            return known[1]
        try:
            people = await self._ask(name)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            problem = reason(error) if isinstance(error, SlackApiError) else str(error) or type(error).__name__
            if problem in {"users_not_found", "no_such_subteam", "subteam_not_found"}:
                return []
            raise ApproverLookupError(f"Slack did not say who {name} is: {problem}") from error
        self._found[name] = (time.monotonic(), people)
        return people

    async def _ask(self, name: str) -> list[str]:
        if EMAIL.fullmatch(name):
            response = await self._client.users_lookupByEmail(email=name)
            return _people([response["user"]])
        if GROUP.fullmatch(name):
            return await self._members(name)
        handle = name.removeprefix("@").lower()
        async for page in await self._client.users_list(limit=200):
            if people := _people([member for member in page["members"] if member.get("name") == handle]):
                return people
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


def _people(members: list[dict[str, Any]]) -> list[str]:
    return [str(member["id"]) for member in members if not member.get("is_bot") and not member.get("deleted")]
