"""Posting exactly once, on Slack's bad days."""

import asyncio
from uuid import uuid4

import aiohttp
import pytest

from slack_app.app import build_client
from slack_app.outbox import Outbox, PostUnsettled
from slack_app.pace import Pacer
from slack_app.parts import split
from slack_app.streams import Streams, progress_metadata
from storage import leases, posts, streams, turns
from storage.leases import LeaseLost

LONG = "**important** words\n\n" + "\n\n".join(f"paragraph {number} " + "word " * 100 for number in range(15))


@pytest.fixture
def outbox(slack, database):
    return Outbox(slack, database, wait=lambda attempt: 0.01, patience=0.2)


@pytest.fixture
def intend(database, sandbox, channel):
    """Intends posts of a new turn in #ops, in a thread or on top; returns the turn's id and lease."""

    async def build(*texts, thread_ts=None, place=None, state="pending"):
        turn_id, place = uuid4(), place or channel["ops"]
        async with database.connection() as conn:
            await turns.insert(
                conn,
                turns.NewTurn(
                    turn_id=turn_id,
                    team_id=sandbox.team_id,
                    channel_id=place,
                    thread_ts=thread_ts,
                    message_ts=None,
                    requester_id="U1",
                    source="mention",
                    question="?",
                ),
            )
            for part, text in enumerate(texts, 1):
                post_id = await posts.insert(
                    conn, turn_id=turn_id, part=part, channel_id=place, thread_ts=thread_ts, text=text, module="agent"
                )
                if state == "sending":
                    await posts.set_sending(conn, post_id)
            return turn_id, await leases.take(conn, f"thread-{turn_id}")

    return build


@pytest.fixture
def written(people, sandbox):
    """What Ratchet has written in #ops, or in one of its threads."""

    async def fetch(thread_ts=None, place="ops"):
        found = await people.messages(place, thread_ts)
        return [message for message in found if message.get("user") == sandbox.bot_user_id]

    return fetch


async def calls(people, method):
    return [call for call in (await people.ledger())["calls"] if call["method"] == method]


@pytest.mark.parametrize("where", ["thread", "top"])
async def test_posts_go_out_in_their_order_and_once(outbox, intend, written, people, where):
    thread_ts = await people.say("ops", "a question", user="oncall-a") if where == "thread" else None
    turn_id, lease = await intend("one **bold**", "two", thread_ts=thread_ts)
    for _ in range(2):
        done = await outbox.deliver(turn_id, lease)
    found = await written(thread_ts)
    assert [message["blocks"][0]["text"] for message in found] == ["one **bold**", "two"]
    assert [(post.state, post.ts) for post in done] == [("posted", message["ts"]) for message in found]
    assert found[0]["metadata"]["event_payload"] == {"post_id": f"{turn_id}/1"}
    assert "*bold*" in found[0]["text"].replace("\u200b", "")


@pytest.mark.parametrize("where", ["thread", "top"])
@pytest.mark.parametrize(
    ("fault", "times"),
    [
        ({"kind": "drop_after_accept"}, 1),
        ({"kind": "drop_after_accept"}, 2),
        ({"kind": "drop_before_accept"}, 1),
        ({"kind": "http", "status": 500}, 2),
        ({"kind": "http", "status": 503}, 1),
        ({"kind": "error", "error": "internal_error"}, 1),
        ({"kind": "ratelimited", "retry_after": 1}, 1),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else str(value),
)
async def test_whatever_happens_to_the_response_the_post_stands_once(
    outbox, intend, written, people, where, fault, times
):
    thread_ts = await people.say("ops", "a question", user="oncall-a") if where == "thread" else None
    turn_id, lease = await intend("the answer", thread_ts=thread_ts)
    await people.fault("chat.postMessage", times=times, **fault)
    [post] = await outbox.deliver(turn_id, lease)
    [message] = await written(thread_ts)
    assert (post.state, post.ts) == ("posted", message["ts"])


CODE = "\n".join(f"line {number} of the log" for number in range(1500))


async def test_a_long_answer_stands_whole_in_its_thread_whatever_happens_between_its_parts(
    slack, database, intend, written, people
):
    thread_ts = await people.say("ops", "a question", user="oncall-a")
    parts = split(f"What the log says:\n\n```text\n{CODE}\n```\n\nThat is all.")
    turn_id, lease = await intend(*parts, thread_ts=thread_ts)
    await people.fault("chat.postMessage", "drop_after_accept")
    sender = asyncio.create_task(Outbox(slack, database, wait=lambda attempt: 0.01).deliver(turn_id, lease))
    while not await written(thread_ts):
        await asyncio.sleep(0.01)
    sender.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sender
    await people.fault("chat.postMessage", "ratelimited", retry_after=1)
    done = await Outbox(slack, database, patience=0.2).deliver(turn_id, lease)
    shown = [message["blocks"][0]["text"] for message in await written(thread_ts)]
    assert len(parts) == 4 and shown == parts and {post.state for post in done} == {"posted"}
    assert all(f"_Part {number}/4_" in text for number, text in enumerate(shown, 1))
    assert [line for text in shown for line in text.splitlines() if line.startswith("line")] == CODE.splitlines()


async def test_a_part_that_slack_refuses_does_not_keep_back_the_others(outbox, intend, written, people):
    turn_id, lease = await intend("one\n\n_Part 1/3_", "two\n\n_Part 2/3_", "three\n\n_Part 3/3_")
    await people.fault("chat.postMessage", "delay", seconds=0)
    await people.fault("chat.postMessage", "error", error="restricted_action")
    done = await outbox.deliver(turn_id, lease)
    assert [post.state for post in done] == ["posted", "rejected", "posted"]
    assert [message["blocks"][0]["text"] for message in await written()] == ["one\n\n_Part 1/3_", "three\n\n_Part 3/3_"]


async def test_a_lost_search_after_a_lost_response_posts_nothing_twice(outbox, intend, written, people):
    turn_id, lease = await intend("the answer")
    await people.fault("chat.postMessage", "drop_after_accept")
    await people.fault("conversations.history", "http", times=2)
    with pytest.raises(PostUnsettled):
        await outbox.deliver(turn_id, lease)
    [post] = await outbox.deliver(turn_id, lease)
    [message] = await written()
    assert post.ts == message["ts"]


async def test_a_slack_that_stays_away_leaves_the_post_for_later(outbox, intend, written, people):
    turn_id, lease = await intend("one", "two")
    await people.fault("*", "http", times=1000)
    with pytest.raises(PostUnsettled, match=f"post {turn_id}/1: HTTP 500"):
        await outbox.deliver(turn_id, lease)
    await people.clear_faults()
    done = await outbox.deliver(turn_id, lease)
    assert [post.state for post in done] == ["posted", "posted"]
    assert [message["blocks"][0]["text"] for message in await written()] == ["one", "two"]


@pytest.mark.parametrize("where", ["thread", "top"])
async def test_after_a_restart_a_post_that_slack_has_already_is_found(outbox, intend, written, people, where, database):
    thread_ts = await people.say("ops", "a question", user="oncall-a") if where == "thread" else None
    turn_id, lease = await intend("the answer", thread_ts=thread_ts)
    [sent] = await outbox.deliver(turn_id, lease)
    async with database.connection() as conn:
        await conn.execute("update posts set state = 'sending', ts = null")
    for number in range(210):  # more than one page
        await people.say("ops", f"noise {number}", user="oncall-b", thread_ts=thread_ts, silent=True)
    [post] = await outbox.deliver(turn_id, lease)
    assert (post.state, post.ts) == ("posted", sent.ts) and len(await written(thread_ts)) == 1


async def test_a_post_whose_sender_is_gone_is_awaited_before_it_is_sent_again(slack, database, intend, written, people):
    turn_id, lease = await intend("the answer")
    await people.fault("chat.postMessage", "delay", seconds=1)
    sender = asyncio.create_task(Outbox(slack, database).deliver(turn_id, lease))
    while not await calls(people, "chat.postMessage"):
        await asyncio.sleep(0.02)
    sender.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sender
    [post] = await Outbox(slack, database).deliver(turn_id, lease)
    [message] = await written()
    assert (post.state, post.ts) == ("posted", message["ts"])
    assert len(await calls(people, "chat.postMessage")) == 1


async def test_after_a_restart_a_post_that_slack_never_got_is_sent(outbox, intend, written):
    turn_id, lease = await intend("the answer", state="sending")
    [post] = await outbox.deliver(turn_id, lease)
    assert post.state == "posted" and len(await written()) == 1


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_blocks_too_long"])
@pytest.mark.parametrize("after_fault", [False, True])
async def test_refused_blocks_are_sent_as_plain_text_with_every_word(
    outbox, intend, written, people, error, after_fault
):
    turn_id, lease = await intend(LONG)
    if after_fault:
        await people.fault("chat.postMessage", "http")
    await people.fault("chat.postMessage", "error", error=error)
    [post] = await outbox.deliver(turn_id, lease)
    [message] = await written()
    assert post.state == "posted" and not message.get("blocks")
    assert "*important*" in message["text"].replace("\u200b", "")
    assert all(f"paragraph {number} word" in message["text"] for number in range(15))


async def test_a_post_that_slack_refuses_in_any_form_is_rejected(outbox, intend, people):
    turn_id, lease = await intend("the answer")
    await people.fault("chat.postMessage", "error", error="invalid_blocks", times=2)
    [post] = await outbox.deliver(turn_id, lease)
    assert post.state == "rejected" and len(await calls(people, "chat.postMessage")) == 2


async def test_a_channel_that_is_gone_rejects_the_post_at_once(outbox, intend, people, rows):
    turn_id, lease = await intend("one", "two", place="C0NOWHERE")
    assert [post.state for post in await outbox.deliver(turn_id, lease)] == ["rejected", "rejected"]
    assert await rows("select distinct error from posts") == [("channel_not_found",)]
    assert len(await calls(people, "chat.postMessage")) == 2


async def test_a_thread_that_is_gone_rejects_the_post(outbox, intend):
    turn_id, lease = await intend("the answer", thread_ts="1600000000.000100", state="sending")
    assert [post.state for post in await outbox.deliver(turn_id, lease)] == ["rejected"]


async def test_a_lost_post_is_looked_for_only_among_messages_as_old_as_it(outbox, intend, people, database):
    thread_ts = await people.say("ops", "a question", user="oncall-a")
    turn_id, lease = await intend("the answer", thread_ts=thread_ts, state="sending")
    await outbox.deliver(turn_id, lease)
    [look, *_] = await calls(people, "conversations.replies")
    async with database.connection() as conn:
        [post] = await posts.list_for_turn(conn, turn_id)
    assert 0 < post.created_at.timestamp() - float(look["args"]["oldest"]) < 3600


@pytest.fixture
def grow(slack, intend, people, channel, database):
    """Intends an answer whose turn has a message that grew; returns the turn's id, lease and that message's ts."""

    async def build(text):
        thread_ts = await people.say("ops", "a question", user="oncall-a")
        turn_id, lease = await intend(text, thread_ts=thread_ts)
        grown = await slack.chat_postMessage(
            channel=channel["ops"], thread_ts=thread_ts, text="…", metadata=progress_metadata(turn_id)
        )
        async with database.connection() as conn:
            stream = await streams.intend(conn, lease, turn_id, channel["ops"], thread_ts, native=False)
            await streams.set_ts(conn, stream.stream_id, grown["ts"])
        return turn_id, lease, thread_ts, grown["ts"]

    return build


async def test_an_answer_is_posted_although_the_message_that_grew_cannot_be_taken_away(outbox, grow, written, people):
    turn_id, lease, thread_ts, grown = await grow("the answer")
    await people.fault("chat.update", "error", error="cant_update_message")
    await people.fault("chat.stopStream", "drop_before_accept")
    await people.fault("chat.delete", "drop_before_accept")
    [post] = await outbox.deliver(turn_id, lease)
    assert post.state == "posted" and [message["ts"] for message in await written(thread_ts)] == [grown, post.ts]


async def test_a_message_that_grew_goes_although_slack_wants_a_pause_first(
    sandbox, database, channel, grow, written, people
):
    *_, thread_ts, grown = await grow("the answer")
    for method in ("chat.stopStream", "chat.delete"):
        await people.fault(method, "ratelimited", retry_after=0)
    async with aiohttp.ClientSession() as session:
        hasty = build_client(sandbox.bot_token, sandbox.slack_api_url, session, patient=False)
        await Streams(hasty, database, Pacer()).discard(channel["ops"], grown)
    assert await written(thread_ts) == []


async def test_of_an_answer_that_slack_refuses_in_any_form_nothing_stays(outbox, grow, written, people, database):
    turn_id, lease, thread_ts, _ = await grow("the answer")
    await people.fault("chat.update", "error", error="invalid_blocks", times=2)
    [post] = await outbox.deliver(turn_id, lease)
    async with database.connection() as conn:
        assert await streams.get_open(conn, turn_id) is None
    assert post.state == "rejected" and await written(thread_ts) == []


async def test_whoever_lost_the_lease_posts_nothing(outbox, intend, written, database):
    turn_id, lease = await intend("the answer")
    async with database.connection() as conn:
        await leases.take(conn, lease.thread_key)
    with pytest.raises(LeaseLost):
        await outbox.deliver(turn_id, lease)
    assert await written() == []


async def test_in_development_everything_goes_to_one_channel_without_threads(
    slack, database, channel, intend, written, people
):
    thread_ts = await people.say("ops", "a question", user="oncall-a")
    outbox = Outbox(slack, database, dev_channel=channel["secrets"], wait=lambda attempt: 0.01, patience=0.2)
    turn_id, lease = await intend("the answer", thread_ts=thread_ts)
    await people.fault("chat.postMessage", "drop_after_accept")
    [post] = await outbox.deliver(turn_id, lease)
    assert post.state == "posted"
    assert await written() == [] and await written(thread_ts) == []
    assert len(await written(place="secrets")) == 1


async def test_what_is_sent_notifies_no_group_and_loads_no_image(outbox, intend, written):
    turn_id, lease = await intend("<!channel> [x](!here) ![a](https://x.example/a.png)")
    await outbox.deliver(turn_id, lease)
    [message] = await written()
    for text in (message["text"], message["blocks"][0]["text"]):
        assert "<!channel" not in text and "<!here" not in text and "![" not in text
