"""Which messages a turn was shown: what must go with a message is found by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from psycopg.types.json import Json

from storage.db import Connection

INSERT = """
    insert into turn_sources (turn_id, team_id, channel_id, ts)
    select turn_id, team_id, channel_id, ts from json_populate_recordset(null::turn_sources, %(sources)s)
    on conflict do nothing"""


class Source(NamedTuple):
    """A turn was shown a message."""

    turn_id: UUID
    team_id: str
    channel_id: str
    ts: str


def as_json(sources: Iterable[Source]) -> Json:
    """What ``INSERT`` binds as ``sources``; in one order, so that two writers never wait for each other."""
    return Json([{**source._asdict(), "turn_id": str(source.turn_id)} for source in sorted(set(sources))])


async def record(conn: Connection, sources: Iterable[Source]) -> None:
    """Note what turns were shown."""
    await conn.execute(INSERT, {"sources": as_json(sources)})
