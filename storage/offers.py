"""Offers to answer a question again in private, where the first answer could not show all of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from storage import db, retries, turns
from storage.db import Connection
from storage.turns import COLUMNS, NewTurn, Turn


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
        The offer, or None where it counts for nothing: of somebody else, of no turn, or taken before.
    """
    offer = await db.fetch_one(
        conn,
        Offer,
        """select o.turn_id, o.dm_id, o.private_turn_id from private_offers o join turns t using (turn_id)
           where t.turn_id = %s and t.team_id = %s and t.requester_id = %s""",
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


async def origin(conn: Connection, private_turn_id: UUID) -> Turn | None:
    """The turn whose question is answered in private by this one."""
    columns = ", ".join(f"t.{column}" for column in COLUMNS.split(", "))
    return await db.fetch_one(
        conn,
        Turn,
        f"select {columns} from private_offers o join turns t using (turn_id) where o.private_turn_id = %s",
        (private_turn_id,),
    )
