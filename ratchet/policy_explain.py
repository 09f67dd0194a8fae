"""``ratchet policy explain``: a decision looked up in the database and the settings, without Slack."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from ratchet.bootstrap import open_storage
from ratchet.explaining import NOT_SETTABLE, Approvers, Decision, Explainer, Place, disabled_by
from ratchet.mcp_servers import open_mcp
from ratchet.policies import policies_of
from ratchet.settings import Settings, config_name
from storage import budgets, channels
from storage.channels import User
from storage.db import Connection
from tools.hits import channel_label
from tools.registry import load_catalogue


class NotKnown(Exception):
    """A channel, tool or person that is not known; the message says which, and what comes near it."""


async def run_explain(settings: Settings, channel: str, tool: str, user: str, say: Callable[[str], Any]) -> bool:
    """Print whether somebody may have a tool used in a channel, and why; returns whether they may.

    Raises:
        NotKnown: one of the three is not known.
        SettingsError, StorageError, CatalogueError, PolicyError: what is wrong, in one line.
    """
    async with open_storage(settings) as database, open_mcp(settings, database) as servers:
        catalogue = load_catalogue(servers.tools() if servers else ())
        policies = policies_of(settings.policies, catalogue, mcp_servers=settings.mcp.names)
        disabled = disabled_by(servers)
        explainer = Explainer(policies, catalogue, disabled)
        if tool not in explainer.catalogue and disabled(tool) is None:
            raise NotKnown(f"there is no tool {tool!r}{_nearest(tool, explainer.catalogue)}")
        async with database.connection() as conn:
            team_id = await channels.first_team(conn)
            if team_id is None:
                raise NotKnown("the database knows no channel yet: `ratchet serve` fills it")
            place = await _place(conn, team_id, channel)
            person = await _person(conn, team_id, user)
            budget = policies.budget(place.channel_id, place.name)
            balances = await budgets.balances(conn, team_id, place.channel_id, budget, datetime.now(UTC))
        decision = explainer.explain(tool, person, place, approvers=Approvers(), balances=balances)
    for line in _lines(decision, person, place):
        say("".join(character for character in line if character.isprintable()))  # names may hold control sequences
    return decision.allowed


async def _place(conn: Connection, team_id: str, name_or_id: str) -> Place:
    known = await channels.list_all(conn, team_id)
    wanted = name_or_id.removeprefix("#")
    for channel in known:
        if wanted in {channel.channel_id, channel.name} and wanted:
            return Place(channel.channel_id, channel.name, channel_label(channel.name, channel.kind))
    raise NotKnown(f"no channel {name_or_id!r} is known{_nearest(wanted, (channel.name for channel in known), '#')}")


async def _person(conn: Connection, team_id: str, name_or_id: str) -> User:
    known = await channels.list_users(conn, team_id)
    wanted = name_or_id.removeprefix("@")
    found = [user for user in known if user.user_id == wanted]
    found = found or [user for user in known if user.name.lower() == wanted.lower()]
    if len(found) > 1:
        raise NotKnown(f"several people are named {wanted!r}: give one of {', '.join(user.user_id for user in found)}")
    if not found:
        raise NotKnown(f"nobody {name_or_id!r} is known{_nearest(wanted, (user.name for user in known), '@')}")
    return found[0]


def _nearest(wanted: str, known: Iterable[str], sign: str = "") -> str:
    near = difflib.get_close_matches(wanted.lower(), [name for name in known if name], n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(sign + name for name in near)}?" if near else ""


def _lines(decision: Decision, user: User, place: Place) -> Iterable[str]:
    verdict = "may" if decision.allowed else "may not"
    head = "ALLOWED" if decision.allowed else "DENIED"
    yield f"{head}: {user.name} {verdict} have {decision.tool} used in {place.label}"
    for reason in decision.reasons:
        where = "" if reason.where == NOT_SETTABLE else f"  [{config_name()}: {reason.where}]"
        yield f"  {'yes' if reason.allows else 'NO '}  {reason.about}: {reason.text.replace('`', '')}{where}"
    if decision.remedy:
        yield decision.remedy.replace("`", "")
