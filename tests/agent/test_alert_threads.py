"""What the agent knows in an alert's thread before it asks anything."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from langchain_core.messages import AIMessage

from agent.alert_threads import describe_alert_thread, show_span
from storage.access import Viewer
from tests.agent.conftest import Quiet
from tests.storage.test_runbooks import NAME, incident, store

NOW = datetime.now(UTC) + timedelta(hours=1)  # after all that the tests say


@pytest.fixture
def told(memory, database):
    """The facts that the prompt tells of a thread, one object an alert; or its text where there are none."""

    async def describe(thread_ts, *, user="U1", channel="C1"):
        async with database.connection() as conn:
            text = await describe_alert_thread(conn, Viewer("T1", user, channel), channel, thread_ts, now=NOW)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    return describe


async def fired(memory, minutes_ago, lasted=None, **options):
    """An alert that fired, and closed after so many minutes; returns the ts of its firing."""
    options = {"alert": NAME.alert, "service": NAME.service, **options}
    at = NOW - timedelta(minutes=minutes_ago)
    ts = await memory.say("[FIRING] ErrorRateHigh", bot=True, at=at, **options)
    if lasted is not None:
        closed = at + timedelta(minutes=lasted)
        await memory.say("[RESOLVED]", bot=True, at=closed, alert_action="close_incident", **options)
    return ts


async def test_its_history_tells_how_often_it_fired_and_how_long_it_usually_lasts(memory, told):
    for minutes_ago, lasted in ((6000, 10), (5000, 12), (4000, 90), (3000, 12), (20_000, 1)):
        await fired(memory, minutes_ago, lasted)
    await fired(memory, 2000, 1, service="search")
    ts = await fired(memory, 5)
    (fact,) = await told(ts)
    assert fact["history"] == "fired 5 times in 7 days, usually closes in 12 minutes"
    assert (fact["alert"], fact["service"], fact["its_message_says"]) == ("ErrorRateHigh", "checkout", "firing")
    assert fact["runbook"] is None and fact["similar_threads"] == []


async def test_an_alert_that_never_closes_fires_when_it_fires(memory, told):
    for days_ago in (20, 12, 6, 2):
        await fired(memory, days_ago * 1440)
    (fact,) = await told(await fired(memory, 5))
    assert fact["history"] == "fired 3 times in 7 days, never seen to close"


async def test_a_firing_of_an_incident_that_opened_earlier_counts_by_its_own_time(memory, told):
    await fired(memory, 9 * 1440)
    ts = await fired(memory, 5 * 1440)
    await fired(memory, 4 * 1440, 10)
    (fact,) = await told(ts)
    assert fact["history"] == "fired twice in 7 days, never seen to close".replace("twice", "2 times")


async def test_it_has_the_runbook_and_the_threads_in_which_people_wrote(memory, told, database):
    first, _ = await incident(memory, "restarted it")
    async with database.connection() as conn:
        await store(conn)
    await incident(memory)
    other, _ = await incident(memory, "scaled search", service="search")
    ts, *_ = await incident(memory)
    (fact,) = await told(ts)
    assert [line["text"] for line in fact["runbook"]["lines"]] == ["restarted it"] and not fact["runbook"]["stale"]
    assert [link[-17:].replace(".", "") for link in fact["similar_threads"]] == [
        f"p{thread.replace('.', '')}"[-17:] for thread in (first, other)
    ]


async def test_its_runbook_is_stale_when_people_wrote_in_other_threads_since_not_in_this_one(memory, told, database):
    await incident(memory, "restarted it")
    async with database.connection() as conn:
        await store(conn)
    ts, *_ = await incident(memory, "on it")
    (fact,) = await told(ts)
    assert fact["runbook"]["stale"] is False
    await incident(memory, "something else helped")
    later, *_ = await incident(memory)
    (fact,) = await told(later)
    assert fact["runbook"]["stale"] is True


async def test_nothing_private_is_told_in_public(memory, told, database):
    await memory.channel("G1", "private", name="secrets")
    await memory.member("U1", "G1")
    await incident(memory, "in private", channel="G1")
    async with database.connection() as conn:
        await store(conn, Viewer.everyone_in("T1", "G1"))
    ts, *_ = await incident(memory)
    (fact,) = await told(ts)
    assert fact["runbook"] is None and fact["similar_threads"] == [] and fact["history"].startswith("fired once")
    private, *_ = await incident(memory, channel="G1")
    (fact,) = await told(private, channel="G1")
    assert fact["runbook"]["lines"][0]["text"] == "in private" and len(fact["similar_threads"]) == 1
    assert await told(private, user="U2", channel="G1") == []


async def test_a_thread_that_begins_with_something_else_adds_nothing(memory, told):
    assert await told(await memory.say("hello")) == [] == await told("1.000001")


async def test_the_system_prompt_carries_it(arrange):
    runner, model, question = arrange(lambda _: AIMessage("yes"))
    asked, reply = await question("what is this?"), Quiet()
    await runner.answer(type(asked)(**{**asked.__dict__, "alert": "ALERT FACTS $x"}), reply, reply)
    assert model.seen[0][0].text.endswith("user groups.\n\nALERT FACTS $x")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(20, "less than a minute"), (60, "1 minute"), (720, "12 minutes"), (3600, "1 hour"), (86400 * 3, "3 days")],
)
def test_spans_are_told_in_their_largest_unit(seconds, text):
    assert show_span(timedelta(seconds=seconds)) == text
