"""Which questions wait, which a person answered, and votes that count once."""

from datetime import UTC, datetime, timedelta

import pytest

from storage import channels, help_channels, messages, reactions
from storage.access import Viewer
from storage.channels import User
from storage.help_channels import QuestionKey

NOW = datetime.now(UTC)
ASKED = NOW - timedelta(hours=5)


class Questions:
    """Asks in #ops as U1, replies, reacts, and looks what is found."""

    def __init__(self, database, memory):
        self.database = database
        self.memory = memory

    async def ask(self, text="How do I rotate the API keys?", *, at=ASKED, confidence=0.2, channel="C1", **fields):
        ts = await self.memory.say(text, at=at, channel=channel, **fields)
        await self.note(ts, confidence, channel)
        return ts

    async def note(self, ts, confidence, channel="C1"):
        async with self.database.connection() as conn:
            await help_channels.note(conn, QuestionKey("T1", channel, ts), confidence=confidence)

    async def reply(self, ts, text, *, user="U2", minutes=1, **fields):
        at = ASKED + timedelta(minutes=minutes)
        return await self.memory.say(text, at=at, user=user, thread_ts=ts, **fields)

    async def react(self, ts, name, user="U3", *, added=True):
        async with self.database.connection() as conn:
            await reactions.record(conn, "T1", "C1", ts, user_id=user, name=name, added=added)

    async def mark(self, ts, event):
        async with self.database.connection() as conn:
            await help_channels.mark(conn, QuestionKey("T1", "C1", ts), event)

    async def vote(self, ts, user, helpful, team="T1"):
        async with self.database.connection() as conn:
            await help_channels.vote(conn, QuestionKey(team, "C1", ts), user, helpful=helpful)

    async def counts(self, days, channel="C1"):
        viewer = Viewer("T1", "U1", channel)
        async with self.database.connection() as conn:
            row = (await help_channels.counts(conn, viewer, NOW - timedelta(days=days), NOW)).get(channel)
        return row and (row.questions, row.answered, row.helpful, row.unhelpful)

    async def waiting(self, *, hours=4, places=("C1",)):
        async with self.database.connection() as conn:
            found = await help_channels.unanswered(
                conn, "T1", list(places), since=NOW - timedelta(hours=48), until=NOW - timedelta(hours=hours), limit=9
            )
        return [question.ts for question in found]

    async def answered(self, *, below=0.7, places=("C1",)):
        async with self.database.connection() as conn:
            found = await help_channels.answered_by_people(
                conn, "T1", list(places), since=NOW - timedelta(days=7), below=below, limit=9
            )
        return [question.ts for question in found]


@pytest.fixture
def questions(database, memory):
    return Questions(database, memory)


async def test_a_question_waits_from_its_hour_on_and_until_it_is_too_old(questions):
    ts = await questions.ask()
    await questions.ask(at=NOW - timedelta(hours=49))
    await questions.ask(at=NOW - timedelta(hours=1))
    assert await questions.waiting() == [ts] and await questions.waiting(hours=6) == []
    assert await questions.waiting(places=["C2"]) == []


async def test_what_another_person_writes_below_ends_the_waiting_what_a_bot_or_the_asker_writes_does_not(questions):
    ts = await questions.ask()
    await questions.reply(ts, "I looked it up", bot=True)
    await questions.reply(ts, "anyone?", user="U1")
    await questions.reply(ts, "thanks, but it still fails", user="U1")
    assert await questions.waiting() == [ts]
    told = await questions.reply(ts, "Run rotate.sh")
    assert await questions.waiting() == []
    async with questions.database.connection() as conn:
        await messages.delete(conn, "T1", "C1", told)
    assert await questions.waiting() == [ts]


@pytest.mark.parametrize("text", ["nvm, found it", "Thanks, bot!", "never mind", "solved", "that worked"])
async def test_an_asker_who_says_that_it_is_settled_waits_no_more(questions, text):
    ts = await questions.ask()
    await questions.reply(ts, text, user="U1")
    assert await questions.waiting() == []


async def test_a_check_mark_ends_the_waiting_other_reactions_do_not(questions):
    ts = await questions.ask()
    await questions.react(ts, "eyes")
    await questions.react(ts, "+1")
    assert await questions.waiting() == [ts]
    await questions.react(ts, "white_check_mark", user="U1")
    assert await questions.waiting() == []
    await questions.react(ts, "white_check_mark", user="U1", added=False)
    assert await questions.waiting() == [ts]


async def test_a_question_whose_owner_was_nudged_or_that_was_deleted_or_whose_channel_is_archived_waits_no_more(
    questions,
):
    nudged, deleted, last = [await questions.ask() for _ in range(3)]
    await questions.mark(nudged, "nudged")
    async with questions.database.connection() as conn:
        await messages.delete(conn, "T1", "C1", deleted)
    assert await questions.waiting() == [last]
    async with questions.database.connection() as conn:
        await channels.set_state(conn, "T1", "C1", "archived")
    assert await questions.waiting() == []


async def test_an_answer_that_more_people_found_helpful_than_not_ends_the_waiting(questions):
    ts = await questions.ask(confidence=0.9)
    await questions.vote(ts, "U1", False)
    assert await questions.waiting() == [ts]
    await questions.vote(ts, "U2", True)
    assert await questions.waiting() == [ts]
    await questions.vote(ts, "U1", True)
    assert await questions.waiting() == []


async def test_a_vote_counts_once_a_person_the_last_one_stands_and_only_for_a_question(questions):
    ts = await questions.ask()
    for helpful in (True, True, False):
        await questions.vote(ts, "U1", helpful)
    await questions.vote(ts, "U2", True)
    await questions.vote("1.000001", "U2", True)
    await questions.vote(ts, "U9", True, team="T2")
    assert await questions.counts(1) == (1, 0, 1, 1)
    await questions.mark(ts, "answered")
    assert await questions.counts(1) == (1, 1, 1, 1) and await questions.counts(1 / 24) is None


async def test_what_became_of_private_questions_is_counted_for_members_only(questions):
    await questions.memory.channel("C2", "private")
    await questions.ask(channel="C2")
    assert await questions.counts(1, "C2") is None
    await questions.memory.member("U1", "C2")
    assert await questions.counts(1, "C2") == (1, 0, 0, 0)


async def test_noted_again_a_question_keeps_its_confidence_and_its_first_marks(questions):
    ts = await questions.ask(confidence=0.5)
    await questions.mark(ts, "answered")
    async with questions.database.connection() as conn:
        before = await (await conn.execute("select answered_at from help_questions")).fetchall()
    await questions.mark(ts, "answered")
    await questions.note(ts, None)
    async with questions.database.connection() as conn:
        found = await (await conn.execute("select confidence, answered_at from help_questions")).fetchall()
    assert found == [(0.5, before[0][0])]


async def test_an_answer_counts_once_somebody_else_or_the_asker_confirms_it(questions):
    ts = await questions.ask()
    told = await questions.reply(ts, "Run rotate.sh", minutes=2)
    assert await questions.answered() == []
    await questions.react(told, "+1", user="U2")  # of one's own words
    await questions.react(told, "eyes", user="U3")
    assert await questions.answered() == []
    await questions.react(told, "+1", user="U3")
    assert await questions.answered() == [ts] and await questions.answered(places=["C2"]) == []
    await questions.mark(ts, "proposed")
    assert await questions.answered() == []


async def test_thanks_count_when_they_come_after_the_answer_and_from_the_asker(questions):
    ts = await questions.ask()
    await questions.reply(ts, "thanks in advance", user="U1", minutes=1)
    await questions.reply(ts, "Run rotate.sh", minutes=2)
    await questions.reply(ts, "thanks", user="U3", minutes=3)
    await questions.reply(ts, "thanks, but that does not work", user="U1", minutes=4)
    assert await questions.answered() == []
    await questions.reply(ts, "Thank you!", user="U1", minutes=5)
    assert await questions.answered() == [ts]


@pytest.mark.parametrize(("confidence", "found"), [(None, False), (0.69, True), (0.7, False), (0.9, False)])
async def test_only_what_the_documentation_did_not_know_is_worth_an_update(questions, confidence, found):
    ts = await questions.ask(confidence=confidence)
    await questions.react(await questions.reply(ts, "Run rotate.sh"), "white_check_mark")
    assert await questions.answered() == ([ts] if found else [])


async def test_a_reply_of_any_person_is_seen_a_bots_is_not(questions):
    ts = await questions.ask()
    await questions.reply(ts, "I looked it up", bot=True)
    async with questions.database.connection() as conn:
        assert not await help_channels.has_reply(conn, QuestionKey("T1", "C1", ts))
    await questions.reply(ts, "hm", user="U1")
    async with questions.database.connection() as conn:
        assert await help_channels.has_reply(conn, QuestionKey("T1", "C1", ts))


async def test_members_may_have_an_update_drafted_guests_strangers_and_bots_may_not(questions):
    ts = await questions.ask()
    async with questions.database.connection() as conn:
        for user_id, rights in (
            ("U2", {}),
            ("U3", {"is_guest": True}),
            ("U4", {"is_stranger": True}),
            ("U5", {"is_bot": True}),
        ):
            flags = {"is_bot": False, "is_guest": False, "is_stranger": False, **rights}
            await channels.upsert_users(conn, [User("T1", user_id, f"Person {user_id}", **flags)])
        key, people = QuestionKey("T1", "C1", ts), ("U2", "U3", "U4", "U5", "U6")
        may = {user: await help_channels.may_draft(conn, key, user) for user in people}
        assert may == {"U2": True, "U3": False, "U4": False, "U5": False, "U6": True}  # U6 nobody knows yet
        assert not await help_channels.may_draft(conn, QuestionKey("T1", "C1", "1.000001"), "U2")
        assert await help_channels.users_named(conn, "T1", "person u2") == ["U2"]
        for nobody in ("person u9", "person u5", ""):  # U5 is a bot
            assert await help_channels.users_named(conn, "T1", nobody) == []


async def test_what_was_noted_goes_with_its_message(questions):
    ts = await questions.ask()
    await questions.vote(ts, "U1", True)
    async with questions.database.connection() as conn:
        await conn.execute("delete from messages where ts = %s", (ts,))
        assert await (await conn.execute("select count(*) from help_votes")).fetchone() == (0,)
        assert await (await conn.execute("select count(*) from help_questions")).fetchone() == (0,)
