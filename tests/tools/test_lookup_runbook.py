"""The runbook of an alert, or the messages that there are."""

import pytest
from langchain_core.tools import ToolException

from storage import runbooks
from storage.access import Viewer
from storage.triage import AlertName
from tests.storage.test_runbooks import incident, store
from tools.lookup_runbook import lookup_runbook, match


async def test_without_a_runbook_it_gives_the_messages_and_says_so(ask, memory):
    _, told = await incident(memory, "restarted it with `kubectl rollout restart deploy/checkout`")
    found = await ask(lookup_runbook, alert="ErrorRateHigh", service="checkout")
    assert (found["found"], found["matched"], found["version"]) == ("messages", "exactly", None)
    (reply,) = found["messages"]
    assert "kubectl rollout" in reply["text"] and reply["permalink"].endswith(told.replace(".", ""))


async def test_a_runbook_comes_with_its_age_votes_and_what_was_written_since(ask, memory, database):
    await incident(memory, "restarted")
    async with database.connection() as conn:
        runbook_id = await store(conn)
        await runbooks.vote(conn, "T1", str(runbook_id), "U2", worked=True)
    found = await ask(lookup_runbook, alert="ErrorRateHigh")
    assert (found["found"], found["version"], found["worked"], found["stale"]) == ("runbook", 1, 1, None)
    assert [line["text"] for line in found["steps"]] == ["restarted"] and found["messages"] == []
    await database_says(database, "update runbooks set created_at = now() - interval '1 day'")
    await incident(memory, "scaled")
    found = await ask(lookup_runbook, alert="ErrorRateHigh")
    assert "wrote about the alert since" in found["stale"] and "scaled" in {m["text"] for m in found["messages"]}
    async with database.connection() as conn:
        for user in ("U3", "U4"):
            await runbooks.vote(conn, "T1", str(runbook_id), user, worked=False)
    assert "did not work" in (await ask(lookup_runbook, alert="ErrorRateHigh"))["stale"]


async def database_says(database, statement):
    async with database.connection() as conn:
        await conn.execute(statement)


async def test_names_need_not_be_exact_and_the_answer_says_which_was_taken(ask, memory):
    await incident(memory, "restarted")
    await incident(memory, "paged the vendor", alert="QueueDepthHigh", service="billing-worker")
    for alert, service in (("error_rate_high", None), ("errorratehigh", "CHECKOUT")):
        found = await ask(lookup_runbook, alert=alert, service=service)
        assert (found["alert"], found["service"], found["matched"]) == ("ErrorRateHigh", "checkout", "exactly")
    found = await ask(lookup_runbook, alert="queue depth", service="billing")
    assert (found["alert"], found["matched"], found["found"]) == ("QueueDepthHigh", "nearest", "messages")
    with pytest.raises(ToolException, match="No alert named 'DiskFull'"):
        await ask(lookup_runbook, alert="DiskFull")
    with pytest.raises(ToolException, match="Which alert"):
        await ask(lookup_runbook, alert=" ")


async def test_of_services_with_the_same_alert_the_one_with_a_history_is_taken(ask, memory):
    await incident(memory, "restarted")
    await incident(memory, service="search")
    found = await ask(lookup_runbook, alert="ErrorRateHigh")
    assert (found["service"], found["found"]) == ("checkout", "messages") and found["other_names"] == [
        "search/ErrorRateHigh"
    ]
    found = await ask(lookup_runbook, alert="ErrorRateHigh", service="search")
    assert (found["service"], found["found"]) == ("search", "nothing")


async def test_private_triage_and_private_names_are_not_given_away(ask, memory, database):
    await memory.channel("G1", "private", name="secrets")
    await memory.member("U1", "G1")
    await incident(memory, "in private", channel="G1")
    async with database.connection() as conn:
        await store(conn, Viewer.everyone_in("T1", "G1"))
    assert (await ask(lookup_runbook, alert="ErrorRateHigh", asked_in="G1"))["found"] == "runbook"
    for user, place in (("U1", "C1"), ("U2", "G1")):
        with pytest.raises(ToolException, match="No alert named"):
            await ask(lookup_runbook, alert="ErrorRateHigh", user=user, asked_in=place)


def test_the_nearest_of_many_names_comes_first():
    names = [AlertName("a", "DiskFull"), AlertName("b", "DiskAlmostFull"), AlertName("c", "CpuHigh")]
    assert match(names, "disk full", "b")[0] == AlertName("a", "DiskFull")
    assert match(names, "DiskAlmostFul", "")[0] == AlertName("b", "DiskAlmostFull")
    assert match(names, "latency", "") == []


async def test_a_long_argument_is_refused_in_few_words(ask, memory):
    await incident(memory, "restarted")
    for number in range(20):
        await incident(memory, alert=f"Alert{number}")
    with pytest.raises(ToolException, match="No alert named") as refused:
        await ask(lookup_runbook, alert="x_" * 1_000_000)
    assert len(str(refused.value)) < 500
