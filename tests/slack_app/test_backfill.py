"""Reading a channel's past."""

import time

import pytest


@pytest.fixture
async def past(people):
    """230 messages in #ops of the last hour, one with a thread of 205 replies, one alert, one joining."""
    begin = int(time.time()) - 3600

    def ts(number):
        return f"{begin + number}.000100"

    for number in range(230):
        await people.say("ops", f"message {number}", user="oncall-a", ts=ts(number), silent=True)
    for number in range(205):
        reply = f"{begin + 20}.{number + 200:06}"
        await people.say("ops", f"reply {number}", user="oncall-b", ts=reply, thread_ts=ts(5), silent=True)
    await people.say(
        "ops", "", bot_username="monitor", ts=ts(240), silent=True, attachments=[{"title": "[FIRING:1] DiskFull"}]
    )
    return ts


COUNTS = "select count(*), count(thread_ts) from messages"


async def test_a_channel_is_read_with_its_threads_and_nothing_twice(past, backfill, channel, rows):
    assert await backfill.onboard(channel["ops"], limit=1000) == 230 + 205 + 1
    assert await rows(COUNTS) == [(436, 205)]
    assert await rows("select name, onboarding_status from channels") == [("ops", "finished")]
    assert await rows("select author, alert from messages where is_bot") == [("monitor", "DiskFull")]
    [(permalink, thread_ts)] = await rows("select permalink, thread_ts from messages where text = 'reply 204'")
    assert thread_ts == past(5) and f"thread_ts={past(5)}&cid={channel['ops']}" in permalink


async def test_reading_again_adds_only_what_is_new(past, backfill, channel, people, rows):
    await backfill.onboard(channel["ops"], limit=1000)
    await people.say("ops", "later", user="oncall-a", silent=True)
    assert await backfill.onboard(channel["ops"], limit=1000) == 1
    assert await rows(COUNTS) == [(437, 205)]


async def test_the_newest_messages_are_read_up_to_a_limit(past, backfill, channel, rows):
    assert await backfill.onboard(channel["ops"], limit=10) == 10
    assert await rows("select text from messages order by ts limit 1") == [("message 221",)]


async def test_a_reading_that_breaks_off_is_taken_up_again(past, backfill, channel, people, rows):
    await people.fault("conversations.replies", "error", error="internal_error")
    with pytest.raises(Exception, match="internal_error"):
        await backfill.onboard(channel["ops"], limit=1000)
    assert await rows("select onboarding_status from channels") == [("started",)]
    await backfill.onboard(channel["ops"], limit=1000)
    assert await rows(COUNTS) == [(436, 205)]


async def test_one_thread_can_be_read_by_itself(past, backfill, channel, rows):
    assert await backfill.thread(channel["ops"], past(5)) == 206
    assert await backfill.thread(channel["ops"], past(5)) == 0
    assert await rows(COUNTS) == [(206, 205)]


async def test_what_was_deleted_here_does_not_come_back(past, backfill, channel, sandbox, database, rows):
    from storage import messages

    async with database.connection() as conn:
        await messages.delete(conn, sandbox.team_id, channel["ops"], past(7))
    await backfill.onboard(channel["ops"], limit=1000)
    assert await rows("select count(*) from messages where text = 'message 7'") == [(0,)]


async def test_backfill_starts_no_turn(backfill, channel, people, sandbox, rows):
    await people.say("ops", f"<@{sandbox.bot_user_id}> why?", user="oncall-a", silent=True)
    await backfill.onboard(channel["ops"], limit=10)
    assert await rows("select (select count(*) from messages), (select count(*) from turns)") == [(1, 0)]
