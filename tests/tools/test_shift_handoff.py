"""What a shift leaves to the next."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from langchain_core.tools import ToolException

from storage import leases, posts, turns
from storage.reports import AlertEvent, HumanReply
from tools.shift_handoff import open_incidents, shift_handoff

NOW = datetime.now(UTC).replace(microsecond=0)


def ago(hours):
    return NOW - timedelta(hours=hours)


async def test_open_incidents_are_those_that_nothing_closed(memory, ask):
    for name, hours, action in (
        ("Closed", 5, "open_incident"), ("Closed", 4, "close_incident"), ("Open", 3, "open_incident"),
        ("Old", 60, "open_incident"), ("Older", 24 * 9, "open_incident"),
    ):  # fmt: skip
        ts = await memory.say(name, at=ago(hours), bot=True, alert=name, service="api", alert_action=action)
    await memory.say("again", at=ago(1), bot=True, alert="Open", service="api")
    told = await ask(shift_handoff, channel="#ops", hours=8, now=NOW)
    found = {row["alert"]: row for row in told["open_incidents"]}
    assert list(found) == ["Open", "Old"] and told["open_incident_count"] == 2
    assert (found["Open"]["notifications"], found["Open"]["in_this_shift"]) == (2, True)
    assert not found["Old"]["in_this_shift"] and ts not in found["Old"]["permalink"]


def test_replies_to_each_of_many_notifications_count():
    last = NOW - timedelta(minutes=1)
    events = [
        AlertEvent(str(n), f"t{n}", "f", "open_incident", "Open", "api", None, None, last, "") for n in range(5000)
    ]
    replies = [HumanReply(f"t{n % 7000}", "U1", NOW) for n in range(14_000)]
    (incident,) = open_incidents(events, replies, ago(8), ago(48))
    assert (incident["notifications"], incident["human_replies"]) == (5000, 10_000)


async def test_questions_without_a_reply_are_those_of_people_to_people(memory, ask):
    await memory.say("Who has the keys to the cage?", at=ago(2))
    alone = await memory.say("Is the deploy stuck?", at=ago(3))
    await memory.say("nobody there", at=ago(3), thread_ts=alone)  # their own
    answered = await memory.say("Is it down?", at=ago(4))
    await memory.say("no", at=ago(4), thread_ts=answered, user="U2")
    await memory.say("Who broke it?", at=ago(5), bot=True)
    await memory.say("see https://example.com/?a=1 for more", at=ago(5))
    await memory.say("Which shift?", at=ago(20))
    await memory.say("<@U9> what is up?", at=ago(1), searchable=False)
    told = await ask(shift_handoff, now=NOW)
    assert [row["text"] for row in told["unanswered_questions"]] == [
        "Is the deploy stuck?",
        "Who has the keys to the cage?",
    ]


async def test_an_answer_of_ratchet_is_a_reply_and_another_bot_s_is_none(memory, ask):
    asked = [await memory.say(f"question {n}?", at=ago(2)) for n in range(2)]
    replies = [await memory.say("reply", at=ago(1), thread_ts=ts, bot=True) for ts in asked]
    async with memory.database.connection() as conn:
        turn_id = uuid4()
        await turns.insert(conn, turns.NewTurn(turn_id, "T1", "C1", asked[0], None, "U1", "mention", "?"))
        post = await posts.insert(
            conn, turn_id=turn_id, part=1, channel_id="C1", thread_ts=asked[0], text="", module="agent"
        )
        await posts.set_posted(conn, post, replies[0])
        await turns.finish(conn, await leases.take(conn, "x"), turn_id, answer="reply")
    told = await ask(shift_handoff, now=NOW)
    assert [row["text"] for row in told["unanswered_questions"]] == ["question 1?"]


async def test_questions_to_ratchet_that_wait_or_failed(memory, ask):
    async with memory.database.connection() as conn:
        for text, error in (("waiting", None), ("failed", "no model"), ("done", "")):
            ts = await memory.say(text, at=ago(2), searchable=False)
            turn_id = uuid4()
            await turns.insert(conn, turns.NewTurn(turn_id, "T1", "C1", ts, ts, "U1", "mention", text))
            if error is not None:
                await turns.finish(conn, await leases.take(conn, "x"), turn_id, answer="a", error=error or None)
    told = await ask(shift_handoff, now=NOW)
    found = {row["question"]: (row["status"], row["error"]) for row in told["questions_to_ratchet"]}
    assert found == {"waiting": ("queued", None), "failed": ("failed", "no model")}
    assert all(row["permalink"] for row in told["questions_to_ratchet"]) and told["unanswered_questions"] == []


async def test_a_private_channel_is_handed_over_to_its_members_only(memory, ask):
    await memory.channel("G1", "private", name="secret")
    await memory.say("down", channel="G1", at=ago(1), bot=True, alert="Canary")
    await memory.say("who is on?", channel="G1", at=ago(1))
    async with memory.database.connection() as conn:
        await turns.insert(conn, turns.NewTurn(uuid4(), "T1", "G1", "1.0", "1.0", "U1", "mention", "canary?"))
    with pytest.raises(ToolException, match="no channel"):
        await ask(shift_handoff, channel="#secret", now=NOW)
    with pytest.raises(ToolException, match="no channel"):
        await ask(shift_handoff, asked_in="G1", now=NOW)
    await memory.member("U1", "G1")
    told = await ask(shift_handoff, asked_in="G1", now=datetime.now(UTC) + timedelta(minutes=1))
    assert len(told["open_incidents"]) == len(told["unanswered_questions"]) == len(told["questions_to_ratchet"]) == 1


async def test_the_statements_themselves_hide_a_private_channel(memory, database):
    from storage import handoff
    from storage.access import Viewer

    await memory.channel("G1", "private", name="secret")
    await memory.say("who is on?", channel="G1", at=ago(1))
    async with database.connection() as conn:
        await turns.insert(conn, turns.NewTurn(uuid4(), "T1", "G1", "1.0", "1.0", "U1", "mention", "canary?"))
        viewer, window = Viewer("T1", "U2", "G1"), ("G1", ago(2), NOW + timedelta(minutes=1))
        assert await handoff.list_open_turns(conn, viewer, *window, limit=5) == []
        assert await handoff.list_open_questions(conn, viewer, *window, limit=5) == []
