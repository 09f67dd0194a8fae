"""Usage sums, the audit log, the inbox and people."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from storage import audit, channels, feedback, inbox, messages, posts, turns, usage
from storage.access import Viewer
from storage.channels import User
from storage.usage import ModelCall

LONG_AGO, SOON = datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
VIEWER = Viewer("T1", "U1", "C1")


@pytest.fixture
async def conn(memory):
    async with memory.database.connection() as opened:
        yield opened


def model_call(**fields):
    return ModelCall(
        **{
            "turn_id": None,
            "team_id": "T1",
            "channel_id": "C1",
            "requester_id": "U1",
            "module": "agent",
            "model": "small",
            "input_chars": 100,
            "output_chars": 10,
            "prompt_tokens": 25,
            "output_tokens": 3,
            "cost": Decimal("0.000125"),
            "latency_ms": 7,
            "error": None,
            **fields,
        }
    )


async def test_model_calls_are_summed_by_model_and_by_module(conn):
    for call in (
        model_call(),
        model_call(cost=Decimal("0.1"), error="HTTP 503"),
        model_call(model="large", module="summary"),
        model_call(team_id="T2"),
    ):
        await usage.insert(conn, call)
    sums = await usage.sum_models(conn, VIEWER, LONG_AGO, SOON)
    assert [(s.model, s.requests, s.prompt_tokens, s.output_tokens, s.cost) for s in sums] == [
        ("small", 2, 50, 6, Decimal("0.100125")),
        ("large", 1, 25, 3, Decimal("0.000125")),
    ]
    modules = await usage.sum_modules(conn, VIEWER, LONG_AGO, SOON)
    assert [(m.module, m.requests, m.posts) for m in modules] == [("agent", 2, 0), ("summary", 1, 0)]
    assert await usage.sum_models(conn, VIEWER, SOON, SOON + timedelta(days=1)) == []
    for viewer in (Viewer("T1", "U1", "C1", outsider=True), Viewer("T1", "U1", "C1", audience="channel")):
        assert await usage.sum_models(conn, viewer, LONG_AGO, SOON) == []
        assert await usage.sum_modules(conn, viewer, LONG_AGO, SOON) == []


async def test_a_channels_messages_answers_and_thumbs_are_summed(memory, conn):
    turn_id = uuid4()
    await turns.insert(
        conn,
        turns.NewTurn(
            turn_id=turn_id,
            team_id="T1",
            channel_id="C1",
            thread_ts="1.0",
            message_ts="1.0",
            requester_id="U1",
            source="mention",
            question="?",
        ),
    )
    question, answer = await memory.say("question"), await memory.say("answer", bot=True)
    gone = await memory.say("gone")
    await messages.delete(conn, "T1", "C1", gone)
    post = await posts.insert(
        conn, turn_id=turn_id, part=1, channel_id="C1", thread_ts=None, text="answer", module="agent"
    )
    await posts.set_posted(conn, post, answer)
    for ts, user, name in ((answer, "U1", "+1"), (answer, "U2", "+1"), (answer, "U3", "-1"), (question, "U1", "+1")):
        await messages.add_reaction(conn, "T1", "C1", ts, user_id=user, name=name, added=True)
    [row] = await usage.sum_channels(conn, Viewer("T1", "U1", "C1"), LONG_AGO, SOON)
    assert (row.name, row.messages, row.answers, row.thumbs_up, row.thumbs_down) == ("ops", 2, 1, 2, 1)
    # U1 has another opinion by the button, U2 the same, U4 only there; U3 reacted to another part of the answer too.
    for user, good in (("U1", True), ("U1", False), ("U2", True), ("U4", True)):
        await feedback.vote(conn, "T1", turn_id, user, good=good)
    await feedback.vote(conn, "T2", turn_id, "U5", good=True)
    await feedback.vote(conn, "T1", uuid4(), "U5", good=True)
    more = await memory.say("more of the answer", bot=True)
    post = await posts.insert(conn, turn_id=turn_id, part=2, channel_id="C1", thread_ts=None, text="-", module="agent")
    await posts.set_posted(conn, post, more)
    await messages.add_reaction(conn, "T1", "C1", more, user_id="U3", name="-1", added=True)
    [row] = await usage.sum_channels(conn, Viewer("T1", "U1", "C1"), LONG_AGO, SOON)
    assert (row.messages, row.answers, row.thumbs_up, row.thumbs_down) == (3, 2, 2, 2)
    [module] = await usage.sum_modules(conn, VIEWER, LONG_AGO, SOON)
    assert (module.module, module.requests, module.posts) == ("agent", 0, 2)


async def test_an_event_is_stored_once_and_pruned_by_age(conn):
    assert await inbox.insert(conn, [inbox.NewEvent("E1", "T1", "message", None, {"a": 1})])
    assert not await inbox.insert(conn, [inbox.NewEvent("E1", "T1", "message", None, {"a": 2})])
    assert await inbox.prune(conn, older_than_days=1) == 0
    await conn.execute("update inbox_events set received_at = now() - interval '25 hours'")
    assert await inbox.prune(conn, older_than_days=1) == 1


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83d of a pair", "\\u0000 in words"])
async def test_an_event_with_characters_that_postgres_refuses_is_stored_all_the_same(conn, text):
    assert await inbox.insert(
        conn, [inbox.NewEvent("E1", "T1", "message", None, {"text": text, "nested": [{text: text}]})]
    )
    (stored,) = await (await conn.execute("select payload ->> 'text' from inbox_events")).fetchone()
    assert stored[0] == text[0] and stored[-1] == text[-1]


async def test_the_audit_log_keeps_who_did_what(conn):
    await audit.record(conn, who="U1", action="tool_called", details={"tool": "search_messages"})
    rows = await (await conn.execute("select who, action, details, incident_id from audit_logs")).fetchall()
    assert rows == [("U1", "tool_called", {"tool": "search_messages"}, None)]


async def test_a_user_is_known_with_the_age_of_what_is_known(conn):
    user = User("T1", "U1", "oncall-a", is_bot=False, is_guest=True, is_stranger=False)
    await channels.upsert_users(conn, [user])
    known = await channels.get_user(conn, "T1", "U1")
    assert replace(known, age_seconds=0.0) == user and known.age_seconds < 60
    await conn.execute("update users set refreshed_at = now() - interval '61 seconds'")
    assert (await channels.get_user(conn, "T1", "U1")).age_seconds > 60
    await channels.upsert_users(conn, [User("T1", "U1", "oncall", is_bot=False, is_guest=False, is_stranger=False)])
    again = await channels.get_user(conn, "T1", "U1")
    assert again.name == "oncall" and again.age_seconds < 60
    assert await channels.user_names(conn, "T1", ["U1", "U9"]) == {"U1": "oncall"}


async def test_a_channel_that_slack_describes_keeps_its_peer_and_its_onboarding(conn):
    assert await channels.insert_unknown(conn, [channels.NewChannel("T1", "D1", "im", "U1")])
    assert not await channels.insert_unknown(conn, [channels.NewChannel("T1", "D1", "im")])
    await channels.set_onboarding(conn, "T1", "D1", "finished")
    await channels.upsert(conn, "T1", "D1", name="", kind="im", user_id=None, topic="")
    channel = await channels.get(conn, "T1", "D1")
    assert (channel.user_id, channel.onboarding_status) == ("U1", "finished")


async def test_sums_of_many_tokens_do_not_overflow(conn):
    for _ in range(2):
        await usage.insert(conn, model_call(prompt_tokens=2_000_000_000, output_tokens=1_500_000_000))
    [row] = await usage.sum_models(conn, VIEWER, LONG_AGO, SOON)
    assert (row.prompt_tokens, row.output_tokens) == (4_000_000_000, 3_000_000_000)
