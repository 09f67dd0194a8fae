"""The status line, and the answer's place in the outbox."""

import asyncio
from uuid import uuid4

import aiohttp
import pytest

from slack_app.app import build_client
from slack_app.live import KEEP_EDITS, LiveMessage, Stage
from slack_app.pace import Pacer
from slack_app.progress import View
from slack_app.stream import SlackReply
from storage import leases, posts, turns


@pytest.fixture
async def turn(database, sandbox, channel, people):
    thread_ts, turn_id = await people.say("ops", "a question", user="oncall-a"), uuid4()
    async with database.connection() as conn:
        await turns.insert(
            conn,
            turns.NewTurn(
                turn_id=turn_id,
                team_id=sandbox.team_id,
                channel_id=channel["ops"],
                thread_ts=thread_ts,
                message_ts=thread_ts,
                requester_id="U1",
                source="mention",
                question="?",
            ),
        )
        return await turns.get(conn, turn_id)


@pytest.fixture
async def lease(turn, database):
    async with database.connection() as conn:
        return await leases.take(conn, turn.thread_key)


@pytest.fixture
async def stage(sandbox, database):
    """On a client that does not wait out rate limits."""
    async with aiohttp.ClientSession() as session:
        yield Stage(build_client(sandbox.bot_token, sandbox.slack_api_url, session, patient=False), database, Pacer())


@pytest.fixture
def reply(stage, turn, lease):
    return SlackReply(stage, turn, lease, model="small")


@pytest.fixture
def message(stage, turn, lease):
    return LiveMessage(stage, turn, lease)


async def calls(people, method):
    return [call for call in (await people.ledger())["calls"] if call["method"] == method]


async def test_only_the_newest_status_is_sent_and_none_after_the_answer(reply, people):
    reply.started()
    for number in range(50):
        reply.tool_started(f"c{number}", "search_messages", {}, title="Searching #ops for OOMKilled")
        reply.tool_finished(f"c{number}", "search_messages", ok=False, note="no such channel " * 50)
    await reply.close()
    shown = [status for status in (await people.ledger())["statuses"] if status["kind"] == "assistant"]
    assert 0 < len(shown) < 10


async def test_a_status_that_slack_refuses_disturbs_nobody(reply, people):
    await people.fault("assistant.threads.setStatus", "http")
    await people.fault("agents.sessions.setStatus", "error", error="unknown_method")
    reply.started()
    await asyncio.sleep(0)  # it is being sent
    reply.tool_started("c1", "search_messages", {}, title="Searching #ops")
    async with asyncio.timeout(5):
        while not (statuses := (await people.ledger())["statuses"]):
            await asyncio.sleep(0.01)
    await reply.close()
    assert [(status["kind"], status["status"]) for status in statuses] == [("assistant", "is searching #ops…")]
    assert len(await calls(people, "agents.sessions.setStatus")) == 1  # Slack keeps no sessions for this app


async def test_where_a_session_stands_is_said_although_slack_wants_a_pause_first(stage, turn, people):
    await people.fault("agents.sessions.setStatus", "ratelimited", retry_after=0)
    stage.set_session(turn.channel_id, turn.thread_ts, "active")
    async with asyncio.timeout(5):
        while not (statuses := (await people.ledger())["statuses"]):
            await asyncio.sleep(0.01)
    assert [status["status"] for status in statuses] == ["active"]


VIEW = View(text="It ran out of memory.")


async def test_no_message_is_begun_whose_answer_would_wait_for_edits(stage, message, turn, people):
    stage.refuse(turn.channel_id)
    while stage.pacer.try_take("chat.update", turn.channel_id, keep=KEEP_EDITS):
        pass
    assert await message.bring(VIEW) and message.is_off
    assert await calls(people, "chat.postMessage") == []


@pytest.mark.parametrize(("error", "streams"), [("thread_not_found", True), ("channel_type_not_supported", False)])
async def test_only_what_slack_refuses_of_a_channel_is_not_asked_again_there(
    stage, message, turn, people, error, streams
):
    await people.fault("chat.startStream", "error", error=error)
    assert await message.bring(VIEW)
    assert stage.streams_in(turn.channel_id) is streams
    assert message.is_off is streams and len(await calls(people, "chat.postMessage")) == (0 if streams else 1)


async def test_an_answer_is_recorded_in_parts_once(reply, turn, database):
    for _ in range(2):
        async with database.connection() as conn:
            await reply.record(conn, turns.Outcome("word " * 4000))
    async with database.connection() as conn:
        found = await posts.list_for_turn(conn, turn.turn_id)
    assert [(post.part, post.thread_ts, post.model) for post in found] == [
        (number, turn.thread_ts, "small") for number in (1, 2, 3)
    ]
