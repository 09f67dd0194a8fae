"""Slack delivers in no order: edits and reactions may come before their messages."""

import pytest

from slack_app.inbox import Inbox
from slack_app.payloads import parse_message
from slack_app.remember import remember
from storage import alerts, reactions
from storage.messages import NewAlert
from tests.slack_app.test_inbox import message


def changed(text="down", ts="1700000000.000100", **fields):
    """The event of an edit, or of a link's preview."""
    return message(
        ts="1700000005.000100",
        event_ts="1700000005.000100",
        subtype="message_changed",
        message={"type": "message", "user": "U1", "ts": ts, "text": text, **fields},
    )


async def test_what_follows_from_a_message_follows_when_its_edit_comes_first(
    database, identity, enqueue, deliver, jobs, rows
):
    inbox = Inbox(database, identity, enqueue, wants_steps=lambda described: True)
    preview = changed("down", attachments=[{"text": "preview of a link"}])
    for event in (preview, message(), preview):
        await deliver(event, to=inbox)
    assert {lock for task, lock, _ in await jobs() if task == "process"} == {"steps:T1:C1:1700000000.000100"}
    assert "backfill:C1" in [lock for task, lock, _ in await jobs() if task == "onboard"]


async def test_what_follows_from_a_message_follows_when_it_was_read_from_the_past_first(
    database, identity, enqueue, deliver, jobs
):
    event = message()
    async with database.connection() as conn, conn.transaction():
        await remember(conn, identity, [parse_message("T1", event, "C1", "channel")])
    await deliver(event, to=Inbox(database, identity, enqueue, wants_steps=lambda described: True))
    assert [lock for task, lock, _ in await jobs() if task == "process"] == ["steps:T1:C1:1700000000.000100"]


async def test_an_edit_of_a_message_from_before_ratchets_time_starts_no_steps(
    database, identity, enqueue, deliver, jobs
):
    inbox = Inbox(database, identity, enqueue, wants_steps=lambda described: True)
    await deliver(changed(ts="1699990000.000100"), to=inbox)
    assert "process" not in [task for task, *_ in await jobs()]


@pytest.mark.parametrize("mentioned", ["<@UBOT> what broke?", "what broke?"])
async def test_a_question_whose_edit_comes_first_is_asked_once_in_its_newest_words(deliver, rows, jobs, mentioned):
    await deliver(changed(mentioned, edited={"user": "U1", "ts": "1700000005.000000"}))
    await deliver(message("<@UBOT> my password is canary7f9cq"))
    assert await rows("select question from turns") == [("what broke?",)]
    assert [task for task, *_ in await jobs()].count("answer") == 1
    assert await rows("select event_id from inbox_events where payload::text like '%%canary7f9cq%%'") == []


async def test_an_integrations_edit_leaves_no_delivery_with_the_old_words(deliver, rows):
    bot = {"user": None, "bot_id": "B1", "subtype": "bot_message"}
    await deliver(message("token canary7f9cq", **bot))
    before = message("token canary7f9cq", **bot)
    await deliver({**changed("token [gone]", **bot), "previous_message": before})
    assert await rows("select text from messages") == [("token [gone]",)]
    assert await rows("select event_id from inbox_events where payload::text like '%%canary7f9cq%%'") == []


async def test_a_reaction_that_comes_before_its_message_is_not_lost(deliver, rows):
    item = {"type": "message", "channel": "C1", "ts": "1700000000.000100"}
    for kind, name in (("reaction_added", "+1"), ("reaction_added", "eyes"), ("reaction_removed", "eyes")):
        await deliver({"type": kind, "user": "U1", "reaction": name, "item": item})
    await deliver(message(ts="1700000001.000100"))
    assert await rows("select ts from messages where attrs ? 'reactions'") == []
    await deliver(message())
    assert await rows("select ts, attrs -> 'reactions' from messages where attrs ? 'reactions'") == [
        ("1700000000.000100", {"+1": ["U1"]})
    ]
    assert await rows("select count(*) from reaction_events where not applied") == [(0,)]


@pytest.mark.parametrize("when", ["before", "between", "after"])  # the message comes
@pytest.mark.parametrize("last", ["reaction_added", "reaction_removed"])
async def test_reactions_that_come_in_the_wrong_order_end_as_they_were_made(deliver, rows, when, last):
    first = {"reaction_added": "reaction_removed", "reaction_removed": "reaction_added"}[last]
    told = {"user": "U2", "reaction": "eyes", "item": {"type": "message", "channel": "C1", "ts": "1700000000.000100"}}
    arriving = [
        {"type": last, "event_ts": "1700000002.000100", **told},
        {"type": first, "event_ts": "1700000001.000100", **told},
    ]
    arriving.insert(["before", "between", "after"].index(when), message())
    for event in arriving:
        await deliver(event)
    [(reactions,)] = await rows("select coalesce(attrs -> 'reactions', '{}') from messages")
    assert reactions == ({"eyes": ["U2"]} if last == "reaction_added" else {})


async def test_an_early_reaction_to_a_message_that_was_deleted_is_forgotten(deliver, rows, database):
    item = {"type": "message", "channel": "C1", "ts": "1700000000.000100"}
    await deliver({"type": "reaction_added", "user": "U1", "reaction": "+1", "item": item})
    await deliver(message(subtype="message_deleted", deleted_ts="1700000000.000100"))
    async with database.connection() as conn:
        await reactions.apply_early(conn, "T1")
    assert await rows("select attrs, (select count(*) from reaction_events) from messages") == [({}, 0)]


@pytest.mark.parametrize(
    "edited", [{}, {"edited": {"user": "B1", "ts": "1700000005.000000"}}], ids=["as posted", "edited"]
)
async def test_reading_a_message_again_does_not_undo_its_second_reading(database, identity, rows, edited):
    event = message("payments-db is DOWN", user=None, bot_id="B1", subtype="bot_message", **edited)
    said = parse_message("T1", event, "C1", "channel")
    select = "select alert, parser from alerts"

    async def read():
        async with database.connection() as conn, conn.transaction():
            await remember(conn, identity, [said])

    await read()
    assert await rows(select) == [("payments-db", "generic")]
    for found in [], [NewAlert("f", "open_incident", "Mine", None, None, None, "program", 1.0)]:
        async with database.connection() as conn, conn.transaction():
            unsettled = await alerts.unsettled(conn, "T1", "C1", said.ts)
            await alerts.settle(conn, "T1", unsettled, "open_incident", found)
        await read()
        assert await rows(select) == [(alert.alert, alert.parser) for alert in found]
