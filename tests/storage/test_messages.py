"""Messages as events bring them: twice, late, out of order."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from storage import alerts, channels, messages, search
from storage.access import Viewer
from storage.messages import MessageFilter, NewMessage

VIEWER = Viewer("T1", "U1", "C1")


def message(text, ts="1700000000.000100", **fields):
    return NewMessage(
        **{
            "team_id": "T1",
            "channel_id": "C1",
            "ts": ts,
            "thread_ts": None,
            "user_id": "U1",
            "bot_id": None,
            "author": "oncall-a",
            "is_bot": False,
            "text": text,
            **fields,
        }
    )


@pytest.fixture
async def conn(memory):
    async with memory.database.connection() as opened:
        yield opened


async def texts(conn, **where):
    return [hit.text for hit in (await search.search(conn, VIEWER, MessageFilter(**where), limit=50))[1]]


async def test_a_message_that_comes_twice_is_stored_once(conn):
    assert await messages.insert(conn, message("down"))
    assert not await messages.insert(conn, message("down"))
    assert await messages.count(conn, "T1") == 1


async def test_an_edit_may_come_before_its_message(conn):
    await messages.apply_edit(conn, message("edited", edited_ts="1700000001.0"))
    await messages.insert(conn, message("original"))
    assert await texts(conn) == ["edited"]


async def test_the_newest_edit_wins_in_whatever_order_edits_come(conn):
    await messages.insert(conn, message("original"))
    for text, edited_ts in (("second", "1700000002.5"), ("first", "1700000001.5"), ("third", "1700000010.5")):
        await messages.apply_edit(conn, message(text, edited_ts=edited_ts))
    assert await texts(conn) == ["third"]


async def test_a_deleted_message_leaves_a_tombstone_without_its_words(conn):
    await messages.insert(conn, message("a password", alert_action="open_incident", is_bot=True))
    await messages.delete(conn, "T1", "C1", "1700000000.000100")
    assert await texts(conn) == [] and await messages.count(conn, "T1") == 0
    stored = await (await conn.execute("select text, author, alert_action, search::text from messages")).fetchall()
    assert stored == [("", "", "none", "")]
    assert await messages.exists(conn, "T1", "C1", "1700000000.000100")


async def test_a_delete_may_come_before_its_message_and_an_edit_after_it(conn):
    await messages.delete(conn, "T1", "C1", "1700000000.000100")
    assert not await messages.insert(conn, message("late"))
    await messages.apply_edit(conn, message("later", edited_ts="1700000009.0"))
    assert await texts(conn) == []


async def react(conn, user_id, name="+1", *, added=True):
    await messages.add_reaction(conn, "T1", "C1", "1700000000.000100", user_id=user_id, name=name, added=added)


async def reactions(conn):
    return await (await conn.execute("select attrs -> 'reactions' from messages")).fetchone()


async def test_a_reaction_counts_once_a_user_and_never_below_none(conn):
    await messages.insert(conn, message("answer", attrs={"subtype": "bot_message"}))
    await react(conn, "U1", added=False)
    assert await reactions(conn) == ({},)
    for user in ("U1", "U1", "U2"):
        await react(conn, user)
    await react(conn, "U1", "tada")
    assert await reactions(conn) == ({"+1": ["U1", "U2"], "tada": ["U1"]},)
    for _ in range(2):
        await react(conn, "U1", added=False)
    assert await reactions(conn) == ({"+1": ["U2"], "tada": ["U1"]},)
    await react(conn, "U2", added=False)
    assert await reactions(conn) == ({"tada": ["U1"]},)


async def test_reactions_that_come_at_once_all_count(memory):
    await memory.say("answer", ts="1700000000.000100")

    async def one(number):
        async with memory.database.connection() as conn:
            await react(conn, f"U{number}", ("+1", "tada")[number % 2])

    await asyncio.gather(*(one(number) for number in range(30)))
    async with memory.database.connection() as conn:
        (found,) = await reactions(conn)
    assert {name: len(users) for name, users in found.items()} == {"+1": 15, "tada": 15}


async def test_the_message_that_has_more_of_the_words_comes_first(memory, conn):
    await memory.say("checkout is slow again")
    await memory.say("checkout is slow: the connection pool was exhausted")
    await memory.say("the pool table is free")
    found = await texts(conn, query="checkout connection pool exhausted")
    assert found[0] == "checkout is slow: the connection pool was exhausted" and len(found) == 3


HOSTILE = [
    "it's \"quoted\" 'twice''",
    "a & | !",
    "foo:* <-> bar & (baz",
    "'; drop table messages; --",
    "%(team_id)s %s %% {} \\",
    "checkout\x00down",
    "checkout \ud83d",
    "\u202e\u0000\uffff",
    "x" * 10_000,
    "word " * 2_000,
    "the of and",
    "   ",
    "🙂 ::: ///",
]


async def test_no_search_text_is_an_error(memory, conn):
    await memory.say("checkout is down")
    for query in HOSTILE:
        total, hits = await search.search(conn, VIEWER, MessageFilter(query=query), limit=5)
        assert total == len(hits) <= 1, query
        assert await alerts.count_alerts(conn, VIEWER, MessageFilter(query=query), limit=5) == []
        await channels.find_visible(conn, VIEWER, query)


async def test_no_message_is_too_long_or_too_odd_to_be_stored(memory, conn):
    longest = ["wörd_" * 20_000, "aB" * 50_000, "中文字" * 33_000, "x" * 100_000, "🙂 " * 50_000]
    for text in longest:
        await memory.say(text)
    await memory.say("half \ud83d of a pair, and\x00a NUL")
    assert sorted(await texts(conn)) == sorted([*longest, "half \ufffd of a pair, and\ufffda NUL"])


async def test_filters_narrow_by_author_window_and_alert(memory, conn):
    noon = datetime(2024, 5, 17, 12, tzinfo=UTC)
    await memory.say("by a person", at=noon)
    await memory.say("by a bot", at=noon, bot=True)
    await memory.say("an alert", at=noon, bot=True, alert="DiskFull", alert_action="open_incident")
    await memory.say("next day", at=noon + timedelta(days=1))
    assert await texts(conn, author="human", until=noon + timedelta(hours=1)) == ["by a person"]
    assert await texts(conn, author="bot", alerts="none") == ["by a bot"]
    assert await texts(conn, alerts="only") == ["an alert"]
    assert await texts(conn, since=noon + timedelta(days=1)) == ["next day"]
    assert await texts(conn, since=noon, until=noon) == []


async def test_a_threads_messages_come_in_their_order_up_to_a_moment(memory, conn):
    parent = await memory.say("parent", ts="1700000000.000100")
    await memory.say("ten", ts="1700000010.000100", thread_ts=parent)
    await memory.say("two", ts="1700000002.000100", thread_ts=parent)
    await memory.say("elsewhere", ts="1700000003.000100")
    found = await messages.read_thread(conn, VIEWER, "C1", parent, limit=9)
    assert [(m.text, m.reply_count) for m in found] == [("parent", 2), ("two", 0), ("ten", 0)]
    before = await messages.read_thread(conn, VIEWER, "C1", parent, limit=9, before_ts="1700000010.000100")
    assert [m.text for m in before] == ["parent", "two"]


async def test_what_is_not_searchable_stands_in_its_thread_only(memory, conn):
    asked = await memory.say("why is checkout down?", searchable=False)
    assert await texts(conn, query="checkout") == [] and await texts(conn) == []
    assert [m.text for m in await messages.read_thread(conn, VIEWER, "C1", asked, limit=5)] == ["why is checkout down?"]


@pytest.mark.parametrize(
    ("text", "bot", "asked"),
    [
        ("first line\nsecond line", False, 0),
        ("first line\nsecond line\npreview of a link", False, 0),
        ("second line", False, 1),
        ("first line, mended\nsecond line", False, 1),
        ("resolved", True, 0),
    ],
)
async def test_lines_that_a_person_took_away_are_purged(conn, text, bot, asked):
    before = "first line\nsecond line"
    await messages.insert(conn, message(text=before, is_bot=bot))
    await messages.apply_edit(conn, message(text=text, is_bot=bot, edited_ts="1700000001.000100"))
    rows = await (await conn.execute("select ts, reason from purges")).fetchall()
    assert rows == [("1700000000.000100", "edited")] * asked
