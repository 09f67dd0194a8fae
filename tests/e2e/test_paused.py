"""A message that grew until its turn asked for approval: it is left at its steps, and never stands as under way."""

import asyncio
from types import SimpleNamespace

import pytest
from langchain_core.tools import tool

from ratchet.sections import ApprovalSettings, Policy, PolicySettings
from tests.answers import said
from tests.e2e.conftest import is_growing, is_left, text_of
from tests.e2e.test_live import STORY, ask, calls, count_pods, nothing_grows, quick, steps

__all__ = ["quick"]


@tool(extras={"effect": "change", "doing": "Restarting {service}"})
async def restart(service: str) -> str:
    """Restart a service.

    Args:
        service: its name.
    """
    return f"restarted {service}"


@pytest.fixture
async def policy(world, monkeypatch):
    """A turn that counts, then asks for approval, then answers; builds the settings for it."""
    offered = SimpleNamespace(name="test", value="tests", load=lambda: [count_pods, restart])
    monkeypatch.setattr("tools.registry.entry_points", lambda group: [offered])
    approver = next(user.id for user in world.sandbox.workspace.users.values() if user.name == "oncall-b")
    script = steps(0.5, text=STORY)
    script[0]["steps"].insert(1, {"tool_calls": [{"name": "restart", "args": {"service": "api"}}]})
    await world.client.script(script)

    def build(minutes=15):
        rules = Policy(tools=["@read", "count_pods", "restart"], approvers=[approver])
        changed = {"policies": PolicySettings(default=rules), "approvals": ApprovalSettings(minutes=minutes)}
        return world.settings().model_copy(update=changed)

    return build


async def until_said(world, thread, words):
    async with asyncio.timeout(20):
        while not any(words in said(text_of(post)) for post in await world.posts("ops", thread)):
            await asyncio.sleep(0.05)


async def decide(world, thread, request, how):
    if how == "stop":
        await world.client.stop("ops", thread, user="oncall-a")
    elif how == "approve":
        await world.client.click("ops", request["ts"], "approval_approve", user="oncall-b")
    await until_said(world, thread, "Stopped by" if how == "stop" else STORY)


async def test_a_turn_that_waits_for_approval_leaves_its_message_tidy_and_answers_below(world, quick, policy):
    async with world.ratchet(settings=policy()) as services:
        quick(services)
        thread = await ask(world)
        [request] = await world.until_posts("ops", thread)
        shown = await world.client.messages("ops", thread)
        assert not any(message.get("streaming_state") == "in_progress" for message in shown)
        await decide(world, thread, request, "approve")
        posts = await world.until_posts("ops", thread, count=2)
        sessions = [s["status"] for s in (await world.client.ledger())["statuses"] if s["kind"] == "session"]
    assert said(text_of(posts[-1])) == STORY and float(posts[-1]["ts"]) > float(request["ts"])
    assert sessions == ["processing", "suspended", "processing", "active"]


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "edited"])
@pytest.mark.parametrize("how", ["approve", "stop", "expire"])
async def test_however_the_waiting_ends_no_message_stands_as_under_way(world, quick, policy, how, streams):
    if not streams:
        await world.client.fault("chat.startStream", "error", error="unknown_method", times=100)
    async with world.ratchet(settings=policy(minutes=0.03 if how == "expire" else 15)) as services:
        quick(services)
        thread = await ask(world)
        [request] = await world.until_posts("ops", thread)
        await decide(world, thread, request, how)
        assert len(await world.until_posts("ops", thread, count=2)) == 2
        shown = await world.client.messages("ops", thread)
    [left] = [message for message in shown if is_left(message)]
    first, second, *_, last = text_of(left).splitlines()
    assert first.startswith("✓ Counting all pods of api-0") and second.startswith("→ Restarting api")
    assert last == "_Asked for approval: see below._" and await nothing_grows(world, thread)
    assert not any("⏳" in text_of(message) for message in shown)


@pytest.mark.parametrize("how", ["approve", "stop"])
@pytest.mark.parametrize("fault", [{"kind": "ratelimited", "retry_after": 1}, {"kind": "error", "error": "not_found"}])
async def test_where_slack_does_not_take_it_the_turn_ends_in_this_message(world, quick, policy, how, fault):
    await world.client.fault("chat.update", **fault)
    async with world.ratchet(settings=policy()) as services:
        quick(services)
        thread = await ask(world)
        [request] = await world.until_posts("ops", thread)
        assert [is_growing(message) for message in await world.client.messages("ops", thread)].count(True) == 1
        await decide(world, thread, request, how)
        assert len(await world.until_posts("ops", thread, count=2)) == 2
        shown = await world.client.messages("ops", thread)
    assert await nothing_grows(world, thread) and not any(is_left(message) for message in shown)
    assert not any("⏳" in text_of(message) for message in shown) and len(await calls(world, "chat.startStream")) == 1
