"""What is stored of a delivery, and what it starts."""

import asyncio

import pytest

from slack_app.inbox import Inbox
from storage import backfills, channels


def message(text="down", **fields):
    return {
        "type": "message",
        "channel": "C1",
        "channel_type": "channel",
        "ts": "1700000000.000100",
        "user": "U1",
        "text": text,
        **fields,
    }


async def test_a_message_is_stored_and_its_channel_onboarded(deliver, rows, jobs):
    await deliver(message())
    assert await rows("select channel_id, text, author, permalink from messages") == [
        ("C1", "down", "U1", "https://acme.slack.com/archives/C1/p1700000000000100")
    ]
    assert await rows("select kind, onboarding_status from channels") == [("public", "started")]
    assert await jobs() == [("onboard", "backfill:C1", {"team_id": "T1", "channel_id": "C1"})]
    assert await rows("select count(*) from turns") == [(0,)]


async def test_a_mention_becomes_a_turn_with_its_job(deliver, rows, jobs):
    await deliver(message("<@UBOT> why is it down?"))
    [(turn_id, *turn)] = await rows("select turn_id, thread_ts, requester_id, source, question, status from turns")
    assert turn == ["1700000000.000100", "U1", "mention", "why is it down?", "queued"]
    assert ("answer", "T1:C1:1700000000.000100", {"turn_id": str(turn_id)}) in await jobs()


async def test_a_mention_that_two_events_tell_of_is_one_turn(deliver, rows, jobs):
    told = message("<@UBOT|ratchet> why?")
    mention = {**told, "type": "app_mention"}
    del mention["channel_type"]
    for event in (mention, told, mention):
        await deliver(event)
    assert await rows("select count(*) from turns") == [(1,)]
    assert [task for task, _, _ in await jobs()].count("answer") == 1
    assert await rows("select kind from channels") == [("private",)]  # until Slack was asked


async def test_an_event_that_is_delivered_again_changes_nothing(deliver, rows, jobs):
    for _ in range(4):
        await deliver(message("<@UBOT> why?"), event_id="E1")
    assert await rows("select count(*) from inbox_events") == [(1,)]
    assert len(await jobs()) == 2


async def test_a_direct_message_needs_no_mention(deliver, rows):
    await deliver(message("why?", channel="D1", channel_type="im"))
    assert await rows("select source, question from turns") == [("dm", "why?")]
    assert await rows("select kind, user_id from channels") == [("im", "U1")]


async def test_a_reply_belongs_to_its_threads_lock(deliver, jobs):
    await deliver(message("<@UBOT> and now?", thread_ts="1600000000.000100"))
    assert [lock for task, lock, _ in await jobs() if task == "answer"] == ["T1:C1:1600000000.000100"]


@pytest.mark.parametrize(
    "event",
    [
        message("<@UBOT> hi", bot_id="B1"),
        message("<@UBOT> hi", subtype="bot_message", user=None, bot_id="B1"),
        message("hi", channel="D1", channel_type="im", user="UBOT", bot_id="BBOT"),
        message("<@UBOT> me", user="UBOT"),
        message("<@UBOT> hi", subtype="thread_broadcast", bot_id="B1"),
        message("<@UOTHER> hi"),
        message("ask UBOT"),
    ],
)
async def test_bots_and_talk_beside_ratchet_start_no_turn(deliver, rows, event):
    await deliver(event)
    assert await rows("select (select count(*) from messages), (select count(*) from turns)") == [(1, 0)]


async def test_ratchets_own_messages_are_stored_but_never_read_as_alerts(deliver, rows):
    firing = "[FIRING:1] DiskFull"
    await deliver(message(firing, user="UBOT", bot_id="BBOT"))
    await deliver(message(firing, ts="1700000001.0", user=None, bot_id="B1", subtype="bot_message", username="monitor"))
    assert await rows(
        "select author, is_bot, alert, alert_action from messages left join alerts using (channel_id, ts) order by ts"
    ) == [
        ("ratchet", True, None, "none"),
        ("monitor", True, "DiskFull", "open_incident"),
    ]


async def test_an_alert_that_is_edited_in_place_is_resolved(deliver, rows):
    alert = {"user": None, "bot_id": "B1", "subtype": "bot_message", "username": "monitor"}
    await deliver(message("", attachments=[{"title": "[FIRING:1] DiskFull"}], **alert))
    changed = {**message("", attachments=[{"title": "[RESOLVED] DiskFull"}], **alert)}
    await deliver(message(subtype="message_changed", ts="1700000060.0", event_ts="1700000060.0", message=changed))
    assert await rows("select text, alert_action from messages") == [("[RESOLVED] DiskFull", "close_incident")]


async def test_edits_deletions_and_reactions_reach_the_message(deliver, rows):
    await deliver(message("first"))
    edited = message("second", edited={"ts": "1700000010.0", "user": "U1"})
    await deliver(message(subtype="message_changed", ts="1700000010.1", message=edited))
    item = {"type": "message", "channel": "C1", "ts": "1700000000.000100"}
    for kind, user, name in (
        ("reaction_added", "U1", "thumbsup"),
        ("reaction_added", "U2", "+1::skin-tone-2"),
        ("reaction_added", "U2", "eyes"),
        ("reaction_removed", "U2", "eyes"),
    ):
        await deliver({"type": kind, "user": user, "reaction": name, "item": item})
    assert await rows("select text, attrs -> 'reactions' from messages") == [("second", {"+1": ["U1", "U2"]})]
    await deliver(message(subtype="message_deleted", deleted_ts="1700000000.000100"))
    assert await rows("select text, deleted_at is null from messages") == [("", False)]


async def test_the_text_of_a_deleted_message_is_in_no_stored_event_either(deliver, rows):
    await deliver(message("the canary sings"))
    edited = message("the canary hums", edited={"ts": "1700000010.0", "user": "U1"})
    await deliver(message(subtype="message_changed", ts="1700000010.1", message=edited))
    await deliver(
        message(
            "", subtype="message_deleted", deleted_ts="1700000000.000100", previous_message=message("the canary hums")
        )
    )
    await deliver(message("untouched", ts="1700000001.000100"))
    assert await rows("select count(*) from inbox_events where position('canary' in payload::text) > 0") == [(0,)]
    assert await rows("select count(*) from inbox_events where position('untouched' in payload::text) > 0") == [(1,)]


async def test_a_channel_that_became_private_is_closed_at_once(database, deliver, rows):
    await deliver(message())
    await deliver({**message("<@UBOT> hi", ts="1700000001.000100"), "type": "app_mention", "channel_type": None})
    assert await rows("select kind from channels") == [("public",)]
    await deliver(message(ts="1700000002.000100", channel_type="group"))
    assert await rows("select kind from channels") == [("private",)]
    async with database.connection() as conn:  # public for a while, and then private again
        await conn.execute("update channels set kind = 'public'")
    await deliver(message(ts="1700000003.000100", channel_type="group"))
    assert await rows("select kind from channels") == [("private",)]


async def test_an_edit_starts_no_turn(deliver, rows):
    await deliver(message(subtype="message_changed", message=message("<@UBOT> why?", edited={"ts": "2.0"})))
    assert await rows("select count(*) from turns") == [(0,)]


async def test_whoever_leaves_a_channel_loses_the_right_to_it_at_once(deliver, rows, database):
    async with database.connection() as conn:
        await channels.replace_memberships(conn, "T1", "U1", ["G1", "G2"])
    await deliver({"type": "member_left_channel", "user": "U1", "channel": "G1", "channel_type": "G"})
    assert await rows("select channel_id from memberships") == [("G2",)]


async def test_ratchets_own_joining_starts_the_onboarding_and_others_do_not(deliver, jobs):
    joined = {"type": "member_joined_channel", "channel": "C7", "channel_type": "C"}
    await deliver({**joined, "user": "U1"})
    assert await jobs() == []
    await deliver({**joined, "user": "UBOT"})
    assert [(task, lock) for task, lock, _ in await jobs()] == [("onboard", "backfill:C7")]


async def test_whoever_opens_the_home_or_the_direct_messages_gets_one_job_and_nothing_of_it_is_kept(
    deliver, rows, jobs
):
    opened = {"type": "app_home_opened", "user": "U1", "channel": "D1", "event_ts": "5.0"}
    for _ in range(2):
        await deliver({**opened, "tab": "home", "view": {"blocks": ["words"]}}, event_id="E-home")
    await deliver({**opened, "tab": "messages"})
    found = [(task, lock, args["user_id"]) for task, lock, args in await jobs() if task != "onboard"]
    assert found == [("home", "home:U1", "U1"), ("prompts", "prompts:U1", "U1")]
    assert await rows("select channel_id, kind, user_id from channels") == [("D1", "im", "U1")]
    assert await rows("select distinct payload::text from inbox_events") == [("{}",)]


async def test_a_command_is_one_turn_without_a_thread(inbox, rows, jobs):
    body = {
        "command": "/ratchet",
        "text": "why?",
        "team_id": "T1",
        "channel_id": "C1",
        "user_id": "U1",
        "trigger_id": "1.2.3",
    }
    for _ in range(2):
        await inbox.record(body)
    await inbox.record({**body, "text": "", "trigger_id": "1.2.4"})
    assert await rows("select source, question, thread_ts from turns") == [("command", "why?", None)]
    assert [task for task, _, _ in await jobs()] == ["ask"]


async def test_if_the_job_cannot_be_enqueued_nothing_is_stored_and_slack_gets_no_ack(
    database, identity, deliver, inbox, rows
):
    async def refuse(conn, jobs):
        raise ConnectionError("the queue is away")

    broken = Inbox(database, identity, refuse)
    with pytest.raises(ConnectionError):
        await deliver(message("<@UBOT> why?"), event_id="E1", to=broken)
    counts = "select (select count(*) from inbox_events), (select count(*) from messages), (select count(*) from turns)"
    assert await rows(counts) == [(0, 0, 0)]
    await deliver(message("<@UBOT> why?"), event_id="E1")  # Slack delivers again
    assert await rows(counts) == [(1, 1, 1)]


async def test_a_malformed_payload_is_acked_and_forgotten(inbox, rows):
    await inbox.record({"type": "event_callback", "event": {}})
    assert await rows("select count(*) from inbox_events") == [(0,)]


async def test_no_characters_keep_an_event_from_being_stored(deliver, rows):
    await deliver(message("<@UBOT> half \ud83d of a pair\x00"))
    [(question,)] = await rows("select question from turns")
    assert question.startswith("half \ufffd of a pair")


def test_a_permalink_of_a_reply_names_its_thread(identity):
    assert identity.permalink("C1", "2.000100", "1.000100") == (
        "https://acme.slack.com/archives/C1/p2000100?thread_ts=1.000100&cid=C1"
    )


async def test_a_burst_is_stored_whole_and_each_mention_once_in_the_order_of_its_thread(deliver, rows, jobs):
    burst = []
    for number in range(40):
        asked = message(f"<@UBOT> {number}", ts=f"17000001{number:02}.000100", thread_ts="1700000000.000100")
        burst += [deliver(asked), deliver({**asked, "type": "app_mention", "channel_type": None})]
    await asyncio.gather(*reversed(burst))
    assert await rows("select count(*) from inbox_events") == [(80,)]
    assert await rows("select count(*), count(distinct ts) from messages") == [(40, 40)]
    answers = [job for job in await jobs() if job[0] == "answer"]
    assert len(answers) == 40 and len({job[2]["turn_id"] for job in answers}) == 40


async def test_one_delivery_that_cannot_be_stored_does_not_hold_up_the_others(
    database, identity, enqueue, deliver, rows
):
    async def picky(conn, jobs):
        if any("T1:C1:1700000013" in job.lock for job in jobs):
            raise ConnectionError("not this one")
        await enqueue(conn, jobs)

    inbox = Inbox(database, identity, picky)
    sent = [deliver(message("<@UBOT> why?", ts=f"17000000{number}.000100"), to=inbox) for number in range(10, 20)]
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [ConnectionError]
    assert await rows("select count(*) from turns") == [(9,)]


async def test_the_first_message_of_a_reply_that_is_not_known_is_fetched(deliver, rows, jobs):
    await deliver(message("and now?", ts="1700000002.000100", thread_ts="1700000000.000100"))
    await deliver(message("still?", ts="1700000003.000100", thread_ts="1700000000.000100"))
    assert await rows("select kind, thread_ts, status from backfills") == [("thread", "1700000000.000100", "pending")]
    assert [(task, args) for task, _, args in await jobs() if task == "backfill"] == [
        ("backfill", {"channel_id": "C1"})
    ]
    await deliver(message(ts="1700000005.000100"))
    await deliver(message("reply", ts="1700000006.000100", thread_ts="1700000005.000100"))
    assert await rows("select count(*) from backfills") == [(1,)]


async def test_an_event_is_never_kept_waiting_by_whoever_reads_its_thread(deliver, rows, database):
    await deliver(message("one", ts="1700000002.000100", thread_ts="1700000000.000100"))
    async with database.connection() as conn, conn.transaction():
        assert await backfills.take(conn, "T1", "C1")
        async with asyncio.timeout(5):
            await deliver(message("two", ts="1700000003.000100", thread_ts="1700000000.000100"))
    assert await rows("select count(*) from messages") == [(2,)]


async def test_the_notice_that_a_channel_became_private_closes_it(deliver, rows):
    await deliver(message())
    notice = message("made this channel *private*", ts="1700000009.000100", channel_type="group")
    await deliver({**notice, "subtype": "channel_convert_to_private"})
    assert await rows("select kind from channels") == [("private",)]
    await deliver({**message(ts="1700000010.000100"), "subtype": "channel_convert_to_public"})
    assert await rows("select kind from channels") == [("private",)]  # until Slack was asked
    assert await rows("select args from procrastinate_jobs where task_name = 'refresh'") == [({"channel_id": "C1"},)]


async def test_a_channel_is_renamed_archived_and_opened_again(deliver, rows):
    await deliver(message())
    await deliver({"type": "channel_rename", "channel": {"id": "C1", "name": "ops-2"}})
    await deliver({"type": "channel_archive", "channel": "C1", "user": "U1"})
    assert await rows("select name, attrs from channels") == [("ops-2", {"state": "archived"})]
    await deliver({"type": "channel_unarchive", "channel": "C1", "user": "U1"})
    assert await rows("select attrs from channels") == [({},)]


async def test_what_changes_about_a_person_is_known_at_once_and_their_addresses_are_not_kept(deliver, rows):
    person = {"id": "U1", "name": "one", "profile": {"display_name": "One", "email": "canary@example.com"}}
    await deliver({"type": "team_join", "user": person})
    await deliver({"type": "user_change", "user": {**person, "is_restricted": True}})
    assert await rows("select name, is_guest from users") == [("One", True)]
    assert await rows("select count(*) from inbox_events where position('canary' in payload::text) > 0") == [(0,)]


async def test_a_link_that_is_unfurled_adds_what_people_see_of_it(deliver, rows):
    await deliver(message("see https://a.example"))
    preview = [{"title": "Post-mortem", "text": "it was DNS", "from_url": "https://a.example"}]
    unfurled = message("see https://a.example", attachments=preview)
    await deliver(message(subtype="message_changed", ts="1700000005.0", event_ts="1700000005.0", message=unfurled))
    assert await rows("select text from messages") == [("see https://a.example\nPost-mortem\nit was DNS",)]


@pytest.mark.parametrize("subtype", ["thread_broadcast", "me_message", "file_share"])
async def test_a_person_may_ask_in_any_form(deliver, rows, subtype):
    await deliver(message("<@UBOT> why?", subtype=subtype))
    assert await rows("select question from turns") == [("why?",)]


async def test_the_text_file_of_a_message_is_fetched_behind_it_and_again_when_it_is_edited(deliver, rows, jobs):
    file = {"id": "F1", "name": "log.txt", "mimetype": "text/plain", "size": 5, "permalink": "p", "url_private": "u"}
    shared = message("see", subtype="file_share", files=[file, {**file, "id": "F2", "mimetype": "image/png"}])
    await deliver(shared)
    await deliver({**shared, "type": "app_mention"})
    fetched = [args["file_id"] for task, _, args in await jobs() if task == "read_file"]
    assert fetched == ["F1"]
    edited = {**shared, "text": "look", "edited": {"ts": "1700000010.0"}, "files": [file]}
    await deliver(message(subtype="message_changed", event_ts="1700000010.0", message=edited))
    [(text, files)] = await rows("select text, attrs -> 'files' from messages")
    assert text == "look\n[file: log.txt (text/plain)]" and [kept["id"] for kept in files] == ["F1"]
    assert len([task for task, _, _ in await jobs() if task == "read_file"]) == 2
