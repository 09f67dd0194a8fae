"""Answers in Slack carry what they rest on."""

import re

import pytest

from agent.evidence import EVIDENCE, HYPOTHESIS, INVENTED
from sandbox.client import SandboxClient
from sandbox.server import SandboxConfig, open_sandbox
from sandbox.workspace import Workspace
from tests.e2e.conftest import World, text_of

LOOK = {"tool_calls": [{"name": "search_messages", "args": {"query": "OOMKilled", "channel": "#ops"}}]}


def ask(world, text, **options):
    return world.client.say("ops", f"<@{world.sandbox.bot_user_id}> {text}", user="oncall-a", **options)


async def texts(world, thread, count=1):
    return [text_of(message) for message in await world.until_posts("ops", thread, count)]


async def test_an_answer_names_its_calls_with_links_and_marks_what_rests_on_none(world):
    await world.client.script(
        [
            {"match": "again", "steps": [{"text": "It fired once, as I said [e1]."}]},
            {
                "match": "how often",
                "steps": [LOOK, {"text": "It fired once [{reference[0]}, e7].\n\nThe root cause was the batch job."}],
            },
        ]
    )
    async with world.ratchet():
        await world.client.say("ops", "pod/checkout-7f9c was OOMKilled", user="oncall-b")
        thread = await ask(world, "how often?")
        (answer,) = await texts(world, thread)
        await ask(world, "say it again", thread_ts=thread)
        _, again = await texts(world, thread, 2)
    told, _, evidence = answer.partition(f"\n\n{EVIDENCE}\n")
    assert told == f"It fired once [1].\n\n{HYPOTHESIS} The root cause was the batch job (confidence: low)."
    assert evidence.startswith("- [1] ") and "OOMKilled" in evidence and ": 1 hit ([message](" in evidence
    assert re.search(r"/archives/[A-Z0-9]+/p\d{16}", evidence)
    assert again == f"It fired once, as I said [1].\n\n{EVIDENCE}\n{evidence}"


async def test_a_link_that_the_model_made_up_is_dropped_and_those_that_it_was_shown_stay(world):
    channel = await world.client.create_channel("deploys", members=["oncall-a", world.sandbox.bot_user_id])
    async with world.ratchet():
        shown = await world.client.say("ops", "pod/checkout-7f9c was OOMKilled", user="oncall-b")
        url = next(m["permalink"] for m in await world.client.messages("ops") if m["ts"] == shown)
        made_up = re.sub(r"/archives/\w+/p\d+", f"/archives/{channel}/p1700000000000001", url)
        linked = re.sub(r"/archives/\w+/p\d+", f"/archives/{channel}/p1700000000000002", url)
        await world.client.script(
            [
                {
                    "match": "where",
                    "steps": [LOOK, {"text": f"See [this]({url}), [that]({made_up}) and <{linked}|yours>."}],
                }
            ]
        )
        thread = await ask(world, f"where is it? not in <{linked}>")
        (answer,) = await texts(world, thread)
        # A turn later the model can still link to what was found before.
        await world.client.script(
            [{"match": "once more", "steps": [{"text": f"It was [there]({url}), not [here]({made_up})."}]}]
        )
        await ask(world, "once more", thread_ts=thread)
        _, more = await texts(world, thread, 2)
    assert url in answer and linked in answer and made_up not in answer and f"that {INVENTED}" in answer
    assert url in more and made_up not in more


@pytest.fixture
async def planned(database_url):
    """A world whose model plans by itself, as in the demo."""
    async with (
        open_sandbox(SandboxConfig(rate_limits=False, brain="planner"), Workspace()) as sandbox,
        SandboxClient(sandbox.url) as client,
    ):
        await client.create_user("oncall-a")
        await client.create_channel("ops", members=["oncall-a", sandbox.bot_user_id])
        yield World(sandbox, client, database_url)


@pytest.mark.parametrize(
    "question",
    ["search for OOMKilled", "which alerts fired most in #ops this week?", "how did we fix OOMKilled last time?",
     "what is going on right now?", "what channels do you watch?", "what did you cost this week?", "hello", "report on #ops",
     "shift handoff for #ops"],
)  # fmt: skip
async def test_answers_of_the_demo_rest_on_their_calls(planned, question):
    async with planned.ratchet():
        root = await planned.client.say("ops", "pod/checkout-7f9c was OOMKilled in production", user="oncall-a")
        await planned.client.say(
            "ops", "Root cause: memory. Fix: `kubectl rollout undo deploy/checkout`", user="oncall-a", thread_ts=root
        )
        thread = await ask(planned, question)
        answer, *_ = await texts(planned, thread)  # a report's picture may follow
    assert "ypothes" not in answer and "general knowledge" not in answer and not re.search(r"\[e\d", answer)
    assert (EVIDENCE in answer) == (question != "hello")
