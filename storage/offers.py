"""Offers to answer a question again in private, where the first answer could not show all of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from storage import db, retries, turns
from storage.db import Connection
from storage.turns import COLUMNS, NewTurn, Turn

# Whether words that the turn ``t`` asked, or was shown, were removed or are to be.
ERASED = f"""(t.purged_at is not null or t.tainted or exists (
    select 1 from {retries.asked("t.turn_id")} as q
    join purges p on p.team_id = q.team_id and p.channel_id = q.channel_id and p.ts = q.ts))"""


@dataclass(frozen=True)
class Offer:
    """What was offered: to answer ``turn_id`` again in the direct messages ``dm_id``."""

    turn_id: UUID
    dm_id: str
    private_turn_id: UUID


async def insert(conn: Connection, offer: Offer) -> bool:
    """Note an offer before it is shown; False where there is one already."""
    return bool(
        await db.execute(
            conn,
            """insert into private_offers (turn_id, dm_id, private_turn_id)
               values (%(turn_id)s, %(dm_id)s, %(private_turn_id)s) on conflict do nothing""",
            offer.__dict__,
        )
    )


async def take(conn: Connection, team_id: str, turn_id: UUID, user_id: str) -> Offer | None:
    """Inside a transaction: have the question asked in private, if whom it was offered to wants so; once.

    Returns:
        The offer, or None where it counts for nothing: of somebody else, of no turn, of words that were removed, or
        taken before.
    """
    offer = await db.fetch_one(
        conn,
        Offer,
        f"""select o.turn_id, o.dm_id, o.private_turn_id from private_offers o join turns t using (turn_id)
           where t.turn_id = %s and t.team_id = %s and t.requester_id = %s and not {ERASED}""",
        (turn_id, team_id, user_id),
    )
    if offer is None:
        return None
    question = await retries.compose_question(conn, offer.turn_id)
    again = NewTurn(offer.private_turn_id, team_id, offer.dm_id, None, None, user_id, "private", question)
    if not await turns.insert(conn, again):
        return None
    await retries.inherit_question(conn, offer.turn_id, again.turn_id)
    return offer


async def withdraw(conn: Connection, private_turn_id: UUID) -> bool:
    """End a turn in private, and its words, where what it asks was removed since its offer was taken; whether so."""
    return bool(
        await db.execute(
            conn,
            f"""update turns p set status = 'failed', question = '', answer = '', error = 'the question was removed',
                                   ended_at = now()
                from private_offers o join turns t using (turn_id)
                where p.turn_id = %s and o.private_turn_id = p.turn_id and p.status in ('queued', 'running')
                  and {ERASED}""",
            (private_turn_id,),
        )
    )


async def origin(conn: Connection, private_turn_id: UUID) -> Turn | None:
    """The turn whose question is answered in private by this one."""
    columns = ", ".join(f"t.{column}" for column in COLUMNS.split(", "))
    return await db.fetch_one(
        conn,
        Turn,
        f"select {columns} from private_offers o join turns t using (turn_id) where o.private_turn_id = %s",
        (private_turn_id,),
    )
