"""read_thread, find_recent_activity, list_channels and report_usage."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from langchain_core.tools import ToolException

from storage import messages, posts, turns, usage
from storage.usage import ModelCall
from tools.find_recent_activity import find_recent_activity
from tools.list_channels import list_channels
from tools.read_thread import read_thread
from tools.report_usage import report_usage

LINK = "https://acme.slack.com/archives/C1/p"
PARENT = "1715938200.000100"


@pytest.fixture
async def thread(memory):
    """A thread of three in C1, beside another message."""
    await memory.say("checkout is down", ts=PARENT, user="oncall-a")
    await memory.say("looking", ts="1715938300.000100", thread_ts=PARENT, user="oncall-b")
    await memory.say("restarted it", ts="1715938400.000100", thread_ts=PARENT, user="oncall-a")
    await memory.say("unrelated", ts="1715938350.000100")


@pytest.mark.parametrize(
    "args",
    [
        {"permalink": f"{LINK}1715938200000100"},
        {"permalink": f"<{LINK}1715938200000100|this thread>"},
        {"permalink": f"{LINK}1715938400000100?thread_ts={PARENT}&cid=C1"},
        {"permalink": f"{LINK}1715938400000100?cid=C1&thread_ts={PARENT}"},
        {"channel": "#ops", "thread_ts": PARENT},
        {"channel": "C1", "thread_ts": PARENT},
        {"thread_ts": PARENT},
    ],
)
async def test_a_thread_is_read_oldest_first_by_link_or_by_place(thread, ask, args):
    found = await ask(read_thread, **args)
    assert [hit["text"] for hit in found["messages"]] == ["checkout is down", "looking", "restarted it"]
    assert (found["channel"], found["permalink"], found["truncated"]) == ("#ops", f"{LINK}1715938200000100", False)


async def test_without_arguments_the_thread_of_the_question_is_read(thread, ask):
    found = await ask(read_thread, asked_in="C1", asked_thread=PARENT)
    assert len(found["messages"]) == 3


async def test_a_long_thread_is_cut_and_says_so(thread, ask):
    found = await ask(read_thread, thread_ts=PARENT, limit=2)
    assert [hit["text"] for hit in found["messages"]] == ["checkout is down", "looking"] and found["truncated"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"permalink": "https://example.com/archives"}, "is no link to a Slack message"),
        ({"permalink": f"{LINK}1"}, "is no link to a Slack message"),
        ({"permalink": f"{LINK}1615938200000100"}, "No messages are stored for thread 1615938200.000100"),
        ({"permalink": f"{LINK.replace('C1', 'C9')}1715938200000100"}, "There is no channel 'C9'"),
        ({"channel": "#ops", "thread_ts": "'; drop table"}, "Give a permalink, or channel and thread_ts such as"),
        ({"channel": "#ops", "thread_ts": "1.0\x00"}, "Give a permalink"),
        ({"channel": "#ops"}, "Which thread?"),
        ({}, "Which thread?"),
        ({"thread_ts": PARENT, "limit": 0}, "limit must be 1 to 200, not 0"),
    ],
)
async def test_a_bad_link_or_place_is_told_to_the_model(thread, ask, args, says):
    with pytest.raises(ToolException, match=says):
        await ask(read_thread, **args)


async def test_a_thread_of_a_private_channel_is_not_there_for_others(memory, ask):
    await memory.channel("G1", "private", name="secrets")
    await memory.member("U1", "G1")
    await memory.say("secret", channel="G1", ts=PARENT)
    link = f"{LINK.replace('C1', 'G1')}1715938200000100"
    assert (await ask(read_thread, asked_in="G1", permalink=link))["messages"][0]["text"] == "secret"
    for user, place in (("U1", "C1"), ("U2", "G1")):
        with pytest.raises(ToolException, match="There is no channel 'G1'"):
            await ask(read_thread, user=user, asked_in=place, permalink=link)


async def test_recent_activity_is_what_people_wrote_not_bots_and_alerts(memory, ask):
    now = datetime.now(UTC)
    await memory.say("checkout is slow for me", at=now - timedelta(minutes=5))
    await memory.say("checkout was fine then", at=now - timedelta(hours=2))
    await memory.say("checkout: build passed", bot=True)
    await memory.say("checkout is firing", bot=True, alert="CheckoutDown", alert_action="open_incident")
    found = await ask(find_recent_activity, query="checkout")
    assert [hit["text"] for hit in found["messages"]] == ["checkout is slow for me"]
    assert (found["total"], found["window"]) == (1, "1h")
    assert (await ask(find_recent_activity, query="checkout", window="3h"))["total"] == 2
    assert (await ask(find_recent_activity, query="", window="3h"))["total"] == 2


async def test_recent_activity_shows_five_and_counts_all(memory, ask):
    for number in range(7):
        await memory.say(f"checkout {number}")
    found = await ask(find_recent_activity, query="checkout", channel="#ops")
    assert (found["total"], len(found["messages"])) == (7, 5)


@pytest.mark.parametrize(("window", "says"), [("31d", "between 1m and 30d"), ("0h", "between"), ("now", "no duration")])
async def test_a_wrong_window_is_told_to_the_model(ask, window, says):
    with pytest.raises(ToolException, match=says):
        await ask(find_recent_activity, query="x", window=window)


async def test_channels_are_listed_busiest_first_without_those_the_requester_may_not_see(memory, ask):
    await memory.channel("C2", name="payments", topic="money")
    await memory.channel("G1", "private", name="secrets")
    await memory.channel("D1", "im", user_id="U1")
    await memory.member("U1", "G1")
    gone = await memory.say("gone", channel="C1", ts="1715938300.000100")
    await memory.say("one", channel="C2", ts=PARENT)
    async with memory.database.connection() as conn:
        await messages.delete(conn, "T1", "C1", gone)
    found = (await ask(list_channels))["channels"]
    assert found == [
        {
            "id": "C2",
            "name": "#payments",
            "kind": "public",
            "topic": "money",
            "last_message": "2024-05-17T09:30:00Z",
        },
        {"id": "C1", "name": "#ops", "kind": "public", "topic": "", "last_message": None},
    ]
    in_dm = {row["name"] for row in (await ask(list_channels, asked_in="D1"))["channels"]}
    assert in_dm == {"#ops", "#payments", "#secrets", "a direct message"}


async def test_of_many_channels_the_latest_are_listed_and_that_there_are_more(memory, ask, monkeypatch):
    for number in range(4):
        await memory.channel(f"C10{number}", name=f"c{number}")
        await memory.say("hello", channel=f"C10{number}", ts=f"171593820{number}.000100")
    found = await ask(list_channels)
    assert [row["name"] for row in found["channels"]] == ["#c3", "#c2", "#c1", "#c0", "#ops"] and not found["more"]
    monkeypatch.setattr("tools.list_channels.MOST", 2)
    found = await ask(list_channels)
    assert [row["name"] for row in found["channels"]] == ["#c3", "#c2"] and found["more"]


async def test_the_usage_report_sums_messages_thumbs_calls_tokens_and_cost(memory, ask):
    turn_id = uuid4()
    answer = await memory.say("an answer", bot=True)
    await memory.say("a question")
    await memory.say("long ago", at=datetime.now(UTC) - timedelta(days=8))
    async with memory.database.connection() as conn:
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
        post = await posts.insert(
            conn, turn_id=turn_id, part=1, channel_id="C1", thread_ts=None, text="an answer", module="agent"
        )
        await posts.set_posted(conn, post, answer)
        await messages.add_reaction(conn, "T1", "C1", answer, user_id="U1", name="+1", added=True)
        for model, cost in (("small", "0.25"), ("small", "0.5"), ("large", "2")):
            await usage.insert(
                conn,
                ModelCall(turn_id, "T1", "C1", "U1", "agent", model, 100, 10, 25, 3, Decimal(cost), 7, None),
            )
    report = await ask(report_usage)
    assert report["summary"] == {
        "total_messages": 2,
        "total_thumbs_up": 1,
        "total_thumbs_down": 0,
        "total_llm_requests": 3,
    }
    assert report["channel_count"] == 1 and report["channels"][0]["name"] == "#ops"
    assert report["channels"][0]["answers"] == 1
    assert report["modules"] == [{"module": "agent", "requests": 3, "posts": 1}]
    assert report["llm_usage"] == [
        {"model": "small", "requests": 2, "prompt_tokens": 50, "output_tokens": 6, "cost": 0.75},
        {"model": "large", "requests": 1, "prompt_tokens": 25, "output_tokens": 3, "cost": 2.0},
    ]
    assert (await ask(report_usage, days=9))["summary"]["total_messages"] == 3


@pytest.mark.parametrize("days", [0, 366, -1])
async def test_a_report_of_no_window_is_refused(ask, days):
    with pytest.raises(ToolException, match=f"days must be 1 to 365, not {days}"):
        await ask(report_usage, days=days)
