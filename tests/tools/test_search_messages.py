"""search_messages: finding, filtering, counting alerts, and what it says when its arguments are wrong."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from langchain_core.tools import ToolException

from agent.embeddings.indexing import embed_all
from tools.find_recent_activity import find_recent_activity
from tools.search_messages import search_messages

NOW = datetime(2024, 5, 17, 12, tzinfo=UTC)


async def test_a_hit_has_author_time_text_link_and_thread(memory, ask):
    parent = await memory.say("checkout is down", at=NOW - timedelta(hours=1), user="oncall-a")
    await memory.say("restarted it", at=NOW - timedelta(minutes=50), thread_ts=parent)
    found = await ask(search_messages, query="checkout", now=NOW)
    assert found["total"] == 1 and found["alerts"] == [] and found["until"] == "2024-05-17T12:00:00Z"
    assert found["messages"] == [
        {
            "channel": "#ops",
            "author": "oncall-a",
            "time": "2024-05-17T11:00:00Z",
            "text": "checkout is down",
            "permalink": f"https://acme.slack.com/archives/C1/p{parent.replace('.', '')}",
            "thread_ts": parent,
            "reply_count": 1,
        }
    ]


async def test_without_words_it_lists_the_newest_messages_of_the_window(memory, ask):
    for hours in range(10):
        await memory.say(f"{hours} hours ago", at=NOW - timedelta(hours=hours, minutes=1))
    found = await ask(search_messages, since="5h", until="2024-05-17T11:00Z", limit=2, now=NOW)
    assert [hit["text"] for hit in found["messages"]] == ["1 hours ago", "2 hours ago"] and found["total"] == 4
    assert (found["since"], found["until"]) == ("2024-05-17T07:00:00Z", "2024-05-17T11:00:00Z")


async def test_author_and_channel_narrow_the_search(memory, ask):
    await memory.channel("C2", name="payments")
    await memory.say("deploy by a person")
    await memory.say("deploy by a bot", bot=True)
    await memory.say("deploy elsewhere", channel="C2")

    async def texts(**args):
        return {hit["text"] for hit in (await ask(search_messages, query="deploy", **args))["messages"]}

    assert await texts(author="bot") == {"deploy by a bot"}
    assert await texts(author="human") == {"deploy by a person", "deploy elsewhere"}
    for name in ("#payments", "payments", "Payments", "C2"):
        assert await texts(channel=name) == {"deploy elsewhere"}


async def test_a_long_message_is_shown_in_part(memory, ask):
    await memory.say("deploy " + "x" * 5000)
    [hit] = (await ask(search_messages, query="deploy"))["messages"]
    assert len(hit["text"]) == 1200 + len(" […]") and hit["text"].endswith(" […]")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"limit": 0}, "limit must be 1 to 50, not 0"),
        ({"limit": 51}, "limit must be 1 to 50, not 51"),
        ({"since": "1h", "until": "2h"}, r"since \(.*\) must be before until"),
        ({"since": "last week"}, "'last week' is no time"),
        ({"until": "soon"}, "'soon' is no time"),
        ({"channel": "#nowhere"}, "There is no channel '#nowhere' that the requester may read from here"),
        ({"channel": "secrets"}, "There is no channel 'secrets' that the requester may read from here"),
    ],
)
async def test_wrong_arguments_are_told_to_the_model(memory, ask, args, says):
    await memory.channel("G1", "private", name="secrets")
    with pytest.raises(ToolException, match=says):
        await ask(search_messages, **args)


async def test_alert_counts_are_those_of_a_plain_recount(memory, ask):
    random = Random(7)
    await memory.channel("C2", name="other-alerts")
    await memory.channel("G1", "private", name="secrets")
    for _ in range(300):
        alert = random.choice(["DiskFull", "HighLatency", "PodCrashLooping", None])
        await memory.say(
            "alert",
            channel=random.choice(["C1", "C1", "C2", "G1"]),
            at=NOW - timedelta(hours=random.uniform(0, 24 * 14)),
            bot=True,
            alert=alert,
            service="checkout",
            alert_action=random.choice(["open_incident", "close_incident"]) if alert else "none",
        )
    found = await ask(search_messages, channel="#ops", since="7d", group_by="alert", limit=50, now=NOW)
    async with memory.database.connection() as conn:
        rows = await (
            await conn.execute(
                "select alert, alert_action, ts::float8, permalink from messages left join alerts using (channel_id, ts) "
                "where channel_id = 'C1'"
            )
        ).fetchall()
    window = [r for r in rows if r[0] and (NOW - timedelta(days=7)).timestamp() <= r[2] < NOW.timestamp()]
    fired = Counter(alert for alert, action, _, _ in window if action == "open_incident")
    resolved = Counter(alert for alert, action, _, _ in window if action == "close_incident")
    shown = found["alerts"]
    assert {row["alert"]: (row["fired"], row["resolved"]) for row in shown} == {
        alert: (fired[alert], resolved[alert]) for alert in ("DiskFull", "HighLatency", "PodCrashLooping")
    }
    assert found["total"] == len(window) == sum(row["fired"] + row["resolved"] for row in shown)
    assert [row["fired"] for row in shown] == sorted((row["fired"] for row in shown), reverse=True)
    for row in shown:
        newest = sorted(
            (r for r in window if r[0] == row["alert"] and r[1] == "open_incident"), key=lambda r: r[2], reverse=True
        )
        assert row["permalinks"] == [r[3] for r in newest[:3]] and row["service"] == "checkout"
        times = [datetime.fromtimestamp(r[2], UTC) for r in window if r[0] == row["alert"]]
        assert row["first"] == min(times).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert row["last"] == datetime.fromtimestamp(newest[0][2], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_private_channels_messages_and_alerts_are_neither_shown_nor_counted(memory, ask):
    await memory.channel("G1", "private", name="secrets")
    await memory.channel("D1", "im", user_id="U1")
    await memory.member("U1", "G1")
    await memory.say("secret deploy", channel="G1", bot=True, alert="SecretAlert", alert_action="open_incident")
    for group_by in ("none", "alert"):
        for asked_in, user, count in (("C1", "U1", 0), ("D1", "U1", 1), ("G1", "U1", 1), ("G1", "U2", 0)):
            found = await ask(search_messages, user=user, asked_in=asked_in, group_by=group_by)
            assert (found["total"], len(found["messages"]) + len(found["alerts"])) == (count, count)


async def test_what_is_said_in_other_words_is_found_and_the_note_says_that_no_word_matched(memory, ask, concepts):
    model = concepts()
    await memory.say("the replica lags")
    await memory.say("lunch?")
    await embed_all(memory.database, model, lambda done, total: None)
    found = await ask(search_messages, query="postgres", limit=1, embedder=model)
    assert [hit["text"] for hit in found["messages"]] == ["the replica lags"] and found["total"] == 0
    assert found["note"].startswith("No message holds these words")
    found = await ask(search_messages, query="replica", limit=1, embedder=model)
    assert (found["total"], found["note"]) == (1, None)
    recent = await ask(find_recent_activity, query="postgres", embedder=model)
    assert recent["messages"][0]["text"] == "the replica lags" and recent["note"].startswith("No message holds")


async def test_without_vectors_words_are_searched_and_the_note_says_so(memory, ask, concepts):
    await memory.say("postgres is down")
    down = concepts()
    await embed_all(memory.database, down, lambda done, total: None)
    down.fails = True
    for embedder, says in (
        (None, "no embedding model is configured"),
        (concepts(space="new/4"), "no message is embedded yet"),
        (down, "the embedding model failed (no such model)"),
    ):
        for tool in (search_messages, find_recent_activity):
            found = await ask(tool, query="postgres", embedder=embedder)
            assert [hit["text"] for hit in found["messages"]] == ["postgres is down"]
            assert found["note"] == f"Searched by words only: {says}."
    assert (await ask(search_messages, embedder=down))["note"] is None


async def test_many_searches_at_once_never_wait_for_each_others_connections(memory, ask, concepts):
    model = concepts()
    await memory.say("the replica lags")
    await embed_all(memory.database, model, lambda done, total: None)
    async with asyncio.timeout(10):  # with two connections for each search, twenty of them would wait for 30 s
        found = await asyncio.gather(*(ask(search_messages, query="postgres", embedder=model) for _ in range(20)))
    assert {hit["text"] for one in found for hit in one["messages"]} == {"the replica lags"}


async def test_kind_finds_alerts_only_or_leaves_them_out(memory, ask):
    await memory.say("checkout is down", bot=True, alert="CheckoutDown", alert_action="open_incident")
    await memory.say("checkout was deployed", bot=True)
    for kind, expected in (("alerts", {"checkout is down"}), ("none", {"checkout was deployed"})):
        found = await ask(search_messages, query="checkout", kind=kind)
        assert {hit["text"] for hit in found["messages"]} == expected
