"""Votes on answers, by the buttons below them. Reactions count too: storage/usage.py puts both together."""

from __future__ import annotations

from uuid import UUID

from storage.db import Connection


async def vote(conn: Connection, team_id: str, turn_id: UUID, user_id: str, *, good: bool) -> None:
    """Count one person's vote on an answer; their last one stands. A turn that is not there counts nothing."""
    await conn.execute(
        """insert into answer_votes (turn_id, team_id, user_id, good)
           select turn_id, team_id, %(user_id)s, %(good)s from turns
           where turn_id = %(turn_id)s and team_id = %(team_id)s
           on conflict (turn_id, user_id) do update set good = excluded.good, at = now()""",
        {"team_id": team_id, "turn_id": turn_id, "user_id": user_id, "good": good},
    )
