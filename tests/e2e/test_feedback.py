"""Votes on answers: by the buttons below them, and by reactions."""

import pytest


@pytest.fixture
async def running(world):
    async with world.ratchet() as services:
        yield services


async def rows(services, statement):
    async with services.database.connection() as conn:
        return await (await conn.execute(statement)).fetchall()


def feedback_of(message):
    return [
        element
        for block in message["blocks"]
        if block["type"] == "context_actions"
        for element in block["elements"]
        if element["type"] == "feedback_buttons"
    ]


def ask(world, text):
    return world.client.say("ops", f"<@{world.sandbox.bot_user_id}> {text}", user="oncall-a")


async def test_a_vote_counts_once_a_person_and_the_last_one_stands(world, running):
    await world.client.script([{"match": "sum up", "steps": [{"text": "All of it is fine."}]}])
    thread = await ask(world, "sum up")
    (answer,) = await world.until_posts("ops", thread)
    (buttons,) = feedback_of(answer)
    good, bad = buttons["positive_button"]["value"], buttons["negative_button"]["value"]
    for user, value in (("oncall-a", good), ("oncall-b", good), ("oncall-a", bad), ("oncall-a", bad)):
        assert await world.client.click("ops", answer["ts"], "feedback", user=user, value=value)
    assert await rows(running, "select good, count(*) from answer_votes group by good order by good") == [
        (False, 1),
        (True, 1),
    ]
    told = [(notice["user"], notice["thread_ts"], notice["text"]) for notice in await world.client.ephemerals()]
    users = {user["name"]: user["id"] for user in (await world.client.info())["users"]}
    assert [user for user, _, _ in told] == [users[name] for name in ("oncall-a", "oncall-b", "oncall-a", "oncall-a")]
    assert {thread_ts for _, thread_ts, _ in told} == {thread}
    assert "this answer helped" in told[0][2] and "did not help. Say what was wrong" in told[2][2]
    assert "Retry from here" in told[2][2]


async def test_votes_and_reactions_are_reported_together(world, running):
    await world.client.script(
        [
            {"match": "sum up", "steps": [{"text": "All of it is fine."}]},
            {"match": "usage", "steps": [{"tool_calls": [{"name": "report_usage"}]}, {"text": "{tool[0]}"}]},
        ]
    )
    thread = await ask(world, "sum up")
    (answer,) = await world.until_posts("ops", thread)
    value = feedback_of(answer)[0]["negative_button"]["value"]
    for user in ("oncall-a", "oncall-b"):
        await world.client.react("ops", answer["ts"], user, "thumbsup")
    await world.client.click("ops", answer["ts"], "feedback", user="oncall-b", value=value)
    thread = await ask(world, "usage")
    (report,) = await world.answers("ops", thread)
    assert '"total_thumbs_up": 1' in report and '"total_thumbs_down": 1' in report


async def test_only_answers_of_the_model_ask_for_votes(world, running):
    await world.client.script(
        [
            {"match": "sum up", "steps": [{"text": "word " * 4000}]},
            {"match": "broken", "steps": [{"error": 400, "repeat": True}]},
        ]
    )
    parts = await world.until_posts("ops", await ask(world, "sum up"), 2)
    assert [len(feedback_of(part)) for part in parts] == [0] * (len(parts) - 1) + [1]
    for text in ("", "broken"):
        (notice,) = await world.until_posts("ops", await ask(world, text))
        assert not feedback_of(notice)


async def test_a_click_with_a_value_that_no_button_has_counts_nothing(world, running):
    await world.client.script([{"match": "sum up", "steps": [{"text": "All of it is fine."}]}])
    (answer,) = await world.until_posts("ops", await ask(world, "sum up"))
    for value in ("good.", "good.7", "good.00000000-0000-0000-0000-000000000000"):
        assert await world.client.click("ops", answer["ts"], "feedback", user="oncall-b", value=value)
    assert await rows(running, "select count(*) from answer_votes") == [(0,)]
