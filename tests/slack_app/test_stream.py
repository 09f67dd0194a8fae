"""The status line, and the answer's place in the outbox."""

from uuid import uuid4

import pytest

from slack_app.live import Stage
from slack_app.pace import Pacer
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
async def reply(slack, turn, database):
    async with database.connection() as conn:
        lease = await leases.take(conn, turn.thread_key)
    return SlackReply(Stage(slack, database, Pacer()), turn, lease, model="small")


async def test_only_the_newest_status_is_sent_and_none_after_the_answer(reply, people):
    reply.started()
    for number in range(50):
        reply.tool_started(f"c{number}", "search_messages", {}, title="Searching #ops for OOMKilled")
        reply.tool_finished(f"c{number}", "search_messages", ok=False, note="no such channel " * 50)
    await reply.close()
    shown = [status for status in (await people.ledger())["statuses"] if status["kind"] == "assistant"]
    assert 0 < len(shown) < 10


async def test_a_status_that_slack_refuses_disturbs_nobody(reply, people):
    await people.fault("assistant.threads.setStatus", "http", times=10)
    await people.fault("agents.sessions.setStatus", "error", error="unknown_method", times=10)
    reply.started()
    await reply.close()


async def test_an_answer_is_recorded_in_parts_once(reply, turn, database):
    for _ in range(2):
        async with database.connection() as conn:
            await reply.record(conn, turns.Outcome("word " * 4000))
    async with database.connection() as conn:
        found = await posts.list_for_turn(conn, turn.turn_id)
    assert [(post.part, post.thread_ts, post.model) for post in found] == [
        (number, turn.thread_ts, "small") for number in (1, 2, 3)
    ]
