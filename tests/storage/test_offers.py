"""An offer to answer in private counts once, and not for words that were removed."""

from uuid import uuid4

import pytest

from storage import offers, purges, turns
from storage.offers import Offer
from storage.purges import MessageKey
from tests.dumps import places

CANARY = "canary7f9cq"
QUESTION = MessageKey("T1", "C1", "100.000001")


@pytest.fixture
async def offer(database, memory, turn):
    """The offer of a turn that answered a question."""
    made = Offer(await turn(question=CANARY), "D1", uuid4())
    async with database.connection() as conn:
        assert await offers.insert(conn, made)
    return made


async def take(database, offer):
    async with database.connection() as conn, conn.transaction():
        return await offers.take(conn, "T1", str(offer.turn_id), "U1")


async def test_an_offer_is_taken_once(database, offer):
    assert await take(database, offer) == offer
    assert await take(database, offer) is None


@pytest.mark.parametrize("done", [True, False])
async def test_an_offer_counts_for_nothing_once_its_question_is_removed(database, offer, done):
    async with database.connection() as conn:
        await purges.ask(conn, [QUESTION], "deleted")
    if done:
        await purges.run(database)
    assert await take(database, offer) is None
    async with database.connection() as conn:
        assert await turns.get(conn, offer.private_turn_id) is None


async def test_an_offer_counts_for_nothing_while_its_turn_is_to_lose_its_words(database, offer):
    async with database.connection() as conn:
        await conn.execute("update turns set tainted = true")
    assert await take(database, offer) is None


async def test_a_question_that_is_removed_after_its_offer_was_taken_is_not_asked(database, offer):
    await take(database, offer)
    async with database.connection() as conn:
        assert not await offers.withdraw(conn, offer.private_turn_id)
        await purges.ask(conn, [QUESTION], "deleted")
    await purges.run(database)
    async with database.connection() as conn:
        await turns.begin(conn, offer.private_turn_id)
        assert await offers.withdraw(conn, offer.private_turn_id)
        private = await turns.get(conn, offer.private_turn_id)
    assert (private.status, private.answer) == ("failed", "")
    assert await places(database, CANARY) == {}
