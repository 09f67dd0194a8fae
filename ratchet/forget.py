"""`ratchet forget`: removes a person or a channel from everything that is stored."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from ratchet.settings import SettingsError
from storage import forgetting, purges
from storage.db import Connection, Database
from storage.forgetting import Found

ID = re.compile(r"[A-Z][A-Z0-9]+")
WAIT_SECONDS = 900.0
PAUSE_SECONDS = 0.5
Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """Who or what is to be forgotten: a person's id, or a channel's."""

    kind: str
    id: str

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id):
            raise SettingsError(f"{self.id!r} is no Slack id: give one such as U012AB3CD or C012AB3CD")


async def forget(
    database: Database,
    target: Target,
    *,
    say: Say,
    confirm: Callable[[], bool],
    dry_run: bool = False,
    wait_seconds: float = WAIT_SECONDS,
) -> bool:
    """Say what is stored, remove it once that is confirmed, and say what was removed; whether all of it is gone.

    It works while Ratchet runs. Turns that run are waited for: what they have in memory would come back.

    Args:
        database: the pool.
        target: who or what.
        say: prints a line.
        confirm: asks the operator.
        dry_run: only say what is stored.
        wait_seconds: how long running turns are waited for.
    """
    async with database.connection() as conn:
        found = {team_id: await _find(conn, team_id, target) for team_id in await forgetting.find_teams(conn)}
    for team_id, what in found.items():
        say(
            f"{what.label} of {team_id}: {what.messages} messages, {what.turns} questions with their answers, "
            f"{what.rests} answers elsewhere that rest on these messages"
        )
    if not found:
        say("nothing is stored")
    if dry_run or not found:
        say("nothing was removed")
        return True
    if not confirm():
        say("nothing was removed")
        return False
    whole = True
    for team_id, what in found.items():
        whole = await _forget(database, team_id, target, what, say, wait_seconds) and whole
    return whole


async def _find(conn: Connection, team_id: str, target: Target) -> Found:
    find = forgetting.find_user if target.kind == "user" else forgetting.find_channel
    return await find(conn, team_id, target.id)


async def _forget(
    database: Database, team_id: str, target: Target, found: Found, say: Say, wait_seconds: float
) -> bool:
    if target.kind == "user":
        await forgetting.begin_user(database, team_id, target.id, found)
    else:
        await forgetting.begin_channel(database, team_id, target.id, found)
    settled, reduced = await _settle(database, team_id, target, found, say, wait_seconds)
    if target.kind == "user":
        gone = await forgetting.finish_user(database, team_id, target.id, found)
    else:
        gone = await forgetting.finish_channel(database, team_id, target.id)
    reduced += (await purges.run(database)).turns
    counts = {"messages": found.messages, **gone, "answers reduced to a note": reduced}
    say(f"removed from {team_id}: {', '.join(f'{count} {name}' for name, count in counts.items())}")
    if not settled:
        say("some turns still run: the rest goes when they are over. Run this again then, to be sure.")
    return settled


async def _settle(
    database: Database, team_id: str, target: Target, found: Found, say: Say, wait_seconds: float
) -> tuple[bool, int]:
    """Purge until no turn runs any more that could bring something back; whether so, and how many turns lost it."""
    user_id = target.id if target.kind == "user" else ""
    channel_ids = found.channels if target.kind == "user" else [target.id]
    deadline = time.monotonic() + wait_seconds
    reduced, told = 0, False
    while True:
        done = await purges.run(database)
        reduced += done.turns
        async with database.connection() as conn:
            running = await forgetting.running(conn, team_id, user_id=user_id, channel_ids=channel_ids)
        if not running and not done.left:
            return True, reduced
        if time.monotonic() >= deadline:
            return False, reduced
        if not told:
            say("waiting for turns that run")
            told = True
        await asyncio.sleep(PAUSE_SECONDS)
