"""Reading a channel's past, and what was missed in an outage."""

import asyncio
import time

import pytest

from slack_app.backfill import PAGE
from storage import backfills


@pytest.fixture
def past(sandbox, user, channel):
    """230 messages in #ops of the last hour, one with a thread of 205 replies, one alert, one joining."""
    begin = int(time.time()) - 3600

    def ts(number):
        return f"{begin + number}.000100"

    def say(text, ts, **fields):
        sandbox.workspace.add_message(channel["ops"], text, ts=ts, **{"user": user["oncall-a"], **fields})

    for number in range(230):
        say(f"message {number}", ts(number))
    for number in range(205):
        say(f"reply {number}", f"{begin + 20}.{number + 200:06}", user=user["oncall-b"], thread_ts=ts(5))
    firing = [{"title": "[FIRING:1] DiskFull"}]
    say("", ts(240), user=None, bot_id="B7", username="monitor", subtype="bot_message", attachments=firing)
    return ts


@pytest.fixture
def read(backfill, channel):
    """Reads all that is left of #ops, or so many pages of it; returns the last step."""

    async def pages(count=100, name="ops"):
        return await backfill.work(channel[name], pages=count)

    return pages


@pytest.fixture
def onboard(backfill, channel, read):
    async def begin_and_read(limit=1000, **fields):
        await backfill.begin(channel["ops"], limit=limit, **fields)
        return await read()

    return begin_and_read


@pytest.fixture
def progress(database, sandbox, channel):
    async def fetch(name="ops"):
        async with database.connection() as conn:
            return await backfills.progress(conn, sandbox.team_id, channel[name])

    return fetch


@pytest.fixture
def calls(people):
    """The calls for history that Slack answered: (method, where the page begins)."""

    async def fetch():
        return [
            (call["method"].partition(".")[2], *(call["args"].get(name) for name in ("ts", "latest", "cursor")))
            for call in (await people.ledger())["calls"]
            if call["method"] in ("conversations.history", "conversations.replies") and call["ok"]
        ]

    return fetch


@pytest.fixture
def missed(database, sandbox, read):
    """Ratchet was away until now: has the gap read."""

    async def fill(**fields):
        async with database.connection() as conn:
            gaps = await backfills.open_gaps(conn, sandbox.team_id, **fields)
        await read()
        return gaps

    return fill


COUNTS = "select count(*), count(thread_ts) from messages"


async def test_a_channel_is_read_with_its_threads_and_nothing_twice(past, onboard, calls, progress, channel, rows):
    step = await onboard()
    assert not step.is_left
    assert await rows(COUNTS) == [(436, 205)]
    assert await rows("select name, onboarding_status from channels") == [("ops", "finished")]
    assert await rows("select author, alert from messages join alerts using (channel_id, ts) where is_bot") == [
        ("monitor", "DiskFull")
    ]
    [(permalink, thread_ts)] = await rows("select permalink, thread_ts from messages where text = 'reply 204'")
    assert thread_ts == past(5) and f"thread_ts={past(5)}&cid={channel['ops']}" in permalink
    asked = await calls()
    assert len(asked) == len(set(asked)) == 4
    done = await progress()
    assert (done.status, done.read, done.stored, done.threads, done.threads_done) == ("finished", 231, 436, 1, 1)
    assert done.is_over and done.error is None


async def test_what_was_read_is_not_read_again(past, onboard, people, calls, rows):
    await onboard()
    await people.clear_ledger()
    await people.say("ops", "later", user="oncall-a", silent=True)
    await onboard()
    assert await calls() == [] and await rows(COUNTS) == [(436, 205)]


async def test_more_is_read_when_more_is_wanted(past, onboard, calls, rows):
    await onboard(limit=10)
    assert await rows("select count(*), min(ts) from messages") == [(10, past(221))]
    await onboard(limit=100)
    assert await rows("select count(*), min(ts) from messages") == [(100, past(131))]
    assert [latest for _, _, latest, _ in await calls()] == [None, past(221)]


async def test_a_reading_that_breaks_off_is_taken_up_again(past, onboard, read, people, progress, rows):
    await people.fault("conversations.replies", "error", error="internal_error")
    step = await onboard()
    assert (step.is_left, step.only_threads, step.wait_seconds) == (True, True, 1.0)
    assert await rows("select onboarding_status from channels") == [("started",)]
    assert (await progress()).error == "Slack answers internal_error"
    await read()
    assert await rows(COUNTS) == [(436, 205)]
    assert (await progress()).error is None


@pytest.mark.parametrize("fault", [{"kind": "http", "status": 503}, {"kind": "ratelimited", "retry_after": 1}])
async def test_a_thread_goes_on_with_the_page_where_it_broke_off(
    past, backfill, read, channel, people, calls, rows, fault
):
    await backfill.begin(channel["ops"], limit=1000)
    await read(3)  # two pages of the channel and one of the thread
    await people.fault("conversations.replies", **fault)
    step = await read()
    assert step.wait_seconds == pytest.approx(1, abs=0.1)
    await asyncio.sleep(1)
    await read()
    asked = [call for call in await calls() if call[0] == "replies"]
    assert len(asked) == len(set(asked)) == 2 and await rows(COUNTS) == [(436, 205)]


async def test_a_thread_whose_cursor_slack_has_forgotten_is_read_from_its_beginning(
    past, backfill, read, channel, people, rows
):
    await backfill.begin(channel["ops"], limit=1000)
    await read(3)
    await people.fault("conversations.replies", "error", error="invalid_cursor")
    await read()
    assert await rows("select cursor, failures from backfills where kind = 'thread'") == [(None, 1)]
    await read()
    assert await rows(COUNTS) == [(436, 205)]


async def test_slack_is_left_alone_as_long_as_it_asks_for(past, onboard, read, people, progress, rows):
    await people.fault("conversations.history", "ratelimited", retry_after=7)
    step = await onboard()
    assert 6 < step.wait_seconds <= 7 and step.is_left and not step.only_threads
    assert (await progress()).error == "Slack asks to wait 7 s"
    asked = len((await people.ledger())["calls"])
    assert (await read()).wait_seconds <= 7
    assert len((await people.ledger())["calls"]) == asked  # not even asked


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("not_in_channel", "type `/invite @Ratchet` there"),
        ("channel_not_found", "Slack knows no such channel"),
        ("missing_scope", "configs/app-manifest.yaml"),
        ("some_new_refusal", "Slack answers some_new_refusal"),
    ],
)
async def test_what_slack_refuses_for_good_is_told_and_not_tried_again(onboard, people, progress, rows, error, told):
    await people.fault("conversations.history", "error", error=error)
    step = await onboard()
    failed = await progress()
    assert not step.is_left and failed.status == "failed" and told in failed.error
    assert await rows("select onboarding_status from channels") == [("failed",)]
    await onboard()  # as when Ratchet was invited meanwhile
    assert await rows("select onboarding_status from channels") == [("finished",)]


async def test_an_ill_slack_is_given_up_after_some_time(onboard, read, people, progress):
    await people.fault("conversations.history", "http", status=503, times=100)
    step, waits = await onboard(), []
    while step.is_left:
        waits.append(step.wait_seconds)
        step = await read()
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert (await progress()).error == "Slack answers HTTP 503"


async def test_an_empty_channel_is_fine(onboard, progress):
    assert not (await onboard()).is_left
    assert (await progress()).is_over


async def test_one_thread_can_be_read_by_itself(past, backfill, channel, rows):
    assert await backfill.thread(channel["ops"], past(5)) == 206
    assert await backfill.thread(channel["ops"], past(5)) == 0
    assert await rows(COUNTS) == [(206, 205)]


async def test_what_was_deleted_here_does_not_come_back(past, onboard, channel, sandbox, database, rows):
    from storage import messages

    async with database.connection() as conn:
        await messages.delete(conn, sandbox.team_id, channel["ops"], past(7))
    await onboard()
    assert await rows("select count(*) from messages where text = 'message 7'") == [(0,)]


async def test_a_first_reading_starts_no_turn(onboard, people, sandbox, rows):
    await people.say("ops", f"<@{sandbox.bot_user_id}> why?", user="oncall-a", silent=True)
    await onboard()
    assert await rows("select (select count(*) from messages), (select count(*) from turns)") == [(1, 0)]


async def test_reactions_files_and_edits_are_read_too(onboard, people, user, rows):
    ts = await people.say(
        "ops", "see", user="oncall-a", files=[("notes.txt", b"restart it"), ("a.png", b"x")], silent=True
    )
    await people.react("ops", ts, "oncall-b", "thumbsup")
    await people.edit("ops", ts, "look")
    await onboard()
    [(text, attrs)] = await rows("select text, attrs from messages")
    assert text == "look\n[file: notes.txt (text/plain)]\n[file: a.png (image/png)]"
    assert attrs["reactions"] == {"+1": [user["oncall-b"]]} and attrs["subtype"] == "file_share"
    assert [(file["name"], file["size"], bool(file["permalink"])) for file in attrs["files"]] == [
        ("notes.txt", 10, True),
        ("a.png", 1, True),
    ]
    [(task, arguments)] = await rows("select task_name, args from procrastinate_jobs")
    assert task == "read_file" and arguments["name"] == "notes.txt"


async def test_people_are_looked_up_together(onboard, people, sandbox, rows):
    for number in range(30):
        name = f"person-{number}"
        user_id = await people.create_user(name)
        await people.say("ops", f"<@{user_id}> hello", user=name, silent=True)
    await people.say("ops", "I am of another team", user=await people.create_user("guest", team_id="T9"), silent=True)
    await onboard()
    assert await rows(
        "select count(*) from messages where text like '@person-%% hello' and author like 'person-%%'"
    ) == [(30,)]
    asked = [call["method"] for call in (await people.ledger())["calls"] if call["method"].startswith("users.")]
    assert asked == ["users.list"]


# Gaps


async def test_what_was_missed_is_read_and_nothing_else(past, onboard, missed, people, calls, rows):
    await onboard()
    await people.clear_ledger()
    await people.say("ops", "missed", user="oncall-a", silent=True)
    await people.say("ops", "missed in a thread", user="oncall-b", thread_ts=past(200), silent=True)
    await people.say("ops", "missed in a long thread", user="oncall-b", thread_ts=past(60), silent=True)
    assert await missed() == 1
    found = await rows("select text from messages where text like 'missed%%' order by ts")
    assert found == [("missed",), ("missed in a thread",), ("missed in a long thread",)]
    asked = await calls()
    assert sorted(method for method, *_ in asked) == ["history", "replies", "replies", "replies"]
    assert past(5) in {ts for _, ts, *_ in asked}  # began before the page: only Slack knows whether it went on


async def test_a_long_gap_is_read_down_to_the_last_message_that_was_seen(past, onboard, missed, people, calls, rows):
    await onboard(limit=10)
    await people.clear_ledger()
    for number in range(2 * PAGE):
        await people.say("ops", f"missed {number}", user="oncall-a", silent=True)
    await missed()
    assert await rows("select count(*) from messages where text like 'missed%%'") == [(2 * PAGE,)]
    assert [method for method, *_ in await calls()].count("history") == 3  # the third holds what was seen


async def test_young_questions_of_a_gap_are_answered_once(onboard, missed, people, sandbox, rows):
    bot, now = sandbox.bot_user_id, int(time.time())
    await people.say("ops", f"<@{bot}> before Ratchet came", user="oncall-a", ts=f"{now - 30}.0001", silent=True)
    seen = await people.say("ops", "seen", user="oncall-a", ts=f"{now - 20}.0001", silent=True)
    await onboard()
    await people.say("ops", f"<@{bot}> top", user="oncall-a", silent=True)
    await people.say("ops", f"<@{bot}> in the thread", user="oncall-b", thread_ts=seen, silent=True)
    await people.say("ops", "not for it", user="oncall-a", silent=True)
    await missed()
    await missed()
    assert await rows("select question, source from turns order by message_ts") == [
        ("top", "mention"),
        ("in the thread", "mention"),
    ]
    answers = await rows("select lock from procrastinate_jobs where task_name = 'answer'")
    assert len(answers) == 2 and any(lock.endswith(seen) for (lock,) in answers)


async def test_a_question_of_a_gap_in_a_thread_that_began_long_before_is_answered(
    past, onboard, missed, people, sandbox, rows
):
    await onboard()
    bot = sandbox.bot_user_id
    await people.say("ops", f"<@{bot}> and now?", user="oncall-b", thread_ts=past(5), silent=True)
    await missed()
    assert await rows("select question, thread_ts from turns") == [("and now?", past(5))]


async def test_of_the_threads_that_began_long_before_a_gap_only_those_that_lived_are_read(
    past, onboard, missed, people, calls, rows, database
):
    await onboard()
    async with database.connection() as conn:
        old = "to_char(extract(epoch from now() - interval '20 days'), 'FM0000000000')"
        await conn.execute(f"update messages set ts = {old} || right(ts, 7) where thread_ts is not null")
    await people.clear_ledger()
    await missed()
    assert [method for method, *_ in await calls()] == ["history"]


async def test_old_questions_of_a_gap_are_only_stored(onboard, missed, people, sandbox, database, rows):
    hours_ago = int(time.time()) - 7200
    await people.say("ops", "seen", user="oncall-a", ts=f"{hours_ago - 60}.0001", silent=True)
    await onboard()
    await people.say("ops", f"<@{sandbox.bot_user_id}> why?", user="oncall-a", ts=f"{hours_ago}.0001", silent=True)
    await missed()
    assert await rows("select (select count(*) from messages), (select count(*) from turns)") == [(2, 0)]


async def test_a_direct_message_of_a_gap_is_answered(backfill, missed, people, sandbox, channel, rows):
    dm = await people.dm("oncall-a")
    channel["dm"] = dm
    await backfill.begin(dm, limit=1000)
    await backfill.work(dm, pages=100)
    await people.say(dm, "why?", user="oncall-a", silent=True)
    await missed()
    await backfill.work(dm, pages=100)
    assert await rows("select question, source from turns") == [("why?", "dm")]


async def test_at_the_very_first_start_there_is_no_gap(people, missed, rows):
    await people.say("ops", "old", user="oncall-a", silent=True)
    assert await missed() == 0
    assert await rows(COUNTS) == [(0, 0)]


async def test_a_gap_in_a_gap_begins_where_the_first_one_did(past, onboard, missed, people, backfill, channel, rows):
    await onboard(limit=10)
    for number in range(PAGE + 10):
        await people.say("ops", f"missed {number}", user="oncall-a", silent=True)
    await people.fault("conversations.history", "http", status=503)
    await missed()
    assert await rows("select count(*) from messages where text like 'missed%%'") == [(0,)]
    await people.say("ops", "missed again", user="oncall-a", silent=True)
    await missed()
    assert await rows("select count(*) from messages where text like 'missed%%'") == [(PAGE + 11,)]


async def test_whoever_invites_ratchet_again_gets_what_it_missed(onboard, people, rows):
    await onboard(joined_ts=f"{time.time() - 10:.6f}")
    await people.say("ops", "without Ratchet", user="oncall-a", silent=True)
    await onboard(joined_ts=f"{time.time() - 10:.6f}")  # the same joining, told twice
    assert await rows(COUNTS) == [(0, 0)]
    await onboard(joined_ts=f"{time.time() + 1:.6f}")
    assert await rows("select text from messages") == [("without Ratchet",)]


async def test_a_reading_that_failed_goes_on_after_an_invitation_and_has_no_hole(
    past, backfill, read, onboard, channel, people, rows
):
    await backfill.begin(channel["ops"], limit=1000)
    await read(1)
    await people.fault("conversations.history", "error", error="not_in_channel")
    await read()
    await people.say("ops", "without Ratchet", user="oncall-a", silent=True)
    await onboard(joined_ts=f"{time.time() + 1:.6f}")
    assert await rows(COUNTS) == [(437, 205)]
    assert await rows("select onboarding_status from channels") == [("finished",)]
