"""The status line, and the answer's place in the outbox."""

from uuid import uuid4

import pytest

from slack_app.stream import SlackReply
from storage import posts, turns


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


async def test_only_the_newest_status_is_sent_and_none_after_the_answer(slack, turn, people):
    reply = SlackReply(slack, turn, model="small")
    reply.started()
    for number in range(50):
        reply.tool_started(f"c{number}", "search_messages", {"query": "x" * 500, "channel": None})
        reply.tool_finished(f"c{number}", "search_messages", ok=False, note="no such channel " * 50)
    await reply.close()
    shown = (await people.ledger())["statuses"]
    assert len(shown) < 10


async def test_a_status_that_slack_refuses_disturbs_nobody(slack, turn, people):
    await people.fault("assistant.threads.setStatus", "http", times=10)
    reply = SlackReply(slack, turn, model="small")
    reply.started()
    await reply.close()


async def test_an_answer_is_recorded_in_parts_once(slack, turn, database):
    reply = SlackReply(slack, turn, model="small")
    for _ in range(2):
        async with database.connection() as conn:
            await reply.record(conn, turns.Outcome("word " * 4000))
    async with database.connection() as conn:
        found = await posts.list_for_turn(conn, turn.turn_id)
    assert [(post.part, post.thread_ts, post.model) for post in found] == [
        (number, turn.thread_ts, "small") for number in (1, 2, 3)
    ]
