"""After Stop no model or tool call begins; what had an effect is not lost; and the thread goes on."""

import asyncio
import io
import signal
import time
from types import SimpleNamespace

import pytest
from langchain_core.tools import tool
from rich.console import Console

from ratchet.demo_terminal import Terminal
from ratchet.sections import Policy, PolicySettings

LOG = []
GO_ON = {"match": "go on|and now", "steps": [{"text": "Going on: {history} before this."}]}


@tool(extras={"effect": "read"})
async def gaze(seconds: float) -> str:
    """Look for long.

    Args:
        seconds: for how long.
    """
    LOG.append("gaze begins")
    await asyncio.sleep(seconds)
    LOG.append("gaze ends")
    return "seen"


@tool(extras={"effect": "post"})
async def notify(seconds: float) -> str:
    """Tell somebody.

    Args:
        seconds: how long it takes.
    """
    LOG.append("notify begins")
    await asyncio.sleep(seconds)
    LOG.append("notify ends")
    return "told"


@tool(extras={"effect": "change"})
async def restart(service: str) -> str:
    """Restart a service.

    Args:
        service: its name.
    """
    LOG.append("restart")
    return "restarted"


@pytest.fixture
def people(world, monkeypatch):
    LOG.clear()
    offered = SimpleNamespace(name="test", value="tests", load=lambda: [gaze, notify, restart])
    monkeypatch.setattr("tools.registry.entry_points", lambda group: [offered])
    return {user.name: user.id for user in world.sandbox.workspace.users.values()}


def settings(world, people):
    policy = Policy(tools=["gaze", "notify", "restart"], approvers=[people["oncall-b"]])
    return world.settings().model_copy(update={"policies": PolicySettings(default=policy)})


def calls(*named):
    return {"tool_calls": [{"name": name, "args": args} for name, args in named]}


async def ask(world, text, *, user="oncall-a", channel="ops", thread_ts=None):
    mention = "" if channel.startswith("D") else f"<@{world.sandbox.bot_user_id}> "
    return await world.client.say(channel, f"{mention}{text}", user=user, thread_ts=thread_ts)


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


async def until_model(world, count):
    async def asked():
        return len(await world.client.model_calls()) >= count

    await until(asked)


async def until_logged(entry):
    async def logged():
        return entry in LOG

    await until(logged)


async def rows(services, statement):
    async with services.database.connection() as conn:
        return await (await conn.execute(statement)).fetchall()


async def press(world, thread, user="oncall-a", channel="ops"):
    await world.client.stop(channel, thread, user=user)


async def by_mention(world, thread, user="oncall-a", channel="ops"):
    await ask(world, "/Stop!", user=user, channel=channel, thread_ts=thread)


@pytest.mark.parametrize("stop", [press, by_mention])
async def test_a_model_call_under_way_is_cut_off_and_the_thread_goes_on(world, people, stop):
    await world.client.script([GO_ON, {"match": "slow", "steps": [{"text": "late", "delay": 30}]}])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "something slow")
        await until_model(world, 1)
        began = time.monotonic()
        await stop(world, thread)
        (note,) = await world.answers("ops", thread)
        assert time.monotonic() - began < 5
        assert note == f"Stopped by <@{people['oncall-a']}>. Ask again or go on here."
        assert len(await world.client.model_calls()) == 1
        await ask(world, "and now?", thread_ts=thread)
        answers = await world.answers("ops", thread, count=2)
        assert answers[1] == "Going on: 1 before this."
        shown = str((await world.client.model_calls())[-1])
        assert "something slow" in shown and "Stopped by" in shown
        statuses = await rows(services, "select status from turns where question ~ 'slow|now' order by created_at")
        assert statuses == [("stopped",), ("answered",)]
        acts = await rows(services, "select who, action from audit_logs where action = 'turn_stopped'")
        assert acts == [(people["oncall-a"], "turn_stopped")]
    sessions = [s for s in (await world.client.ledger())["statuses"] if s["kind"] == "session"]
    assert sessions[-1]["status"] == "active"


async def test_a_tool_that_reads_is_cut_off_and_nothing_begins_after_it(world, people):
    steps = [calls(("gaze", {"seconds": 30})), calls(("notify", {"seconds": 0})), {"text": "done"}]
    await world.client.script([GO_ON, {"match": "look", "steps": steps}])
    async with world.ratchet(settings=settings(world, people)):
        thread = await ask(world, "look")
        await until_logged("gaze begins")
        await press(world, thread)
        (note,) = await world.answers("ops", thread)
        assert note.startswith("Stopped by")
        assert LOG == ["gaze begins"] and len(await world.client.model_calls()) == 1
        await ask(world, "go on", thread_ts=thread)
        assert (await world.answers("ops", thread, count=2))[1].startswith("Going on")
        (result,) = [m for m in (await world.client.model_calls())[-1]["messages"] if m["role"] == "tool"]
        assert "somebody stopped" in result["content"]


async def test_a_tool_with_an_effect_is_let_end_and_told_of(world, people):
    steps = [calls(("notify", {"seconds": 1.5}), ("gaze", {"seconds": 30})), {"text": "done"}]
    await world.client.script([GO_ON, {"match": "tell", "steps": steps}])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "tell them")
        await until_logged("notify begins")
        await until_logged("gaze begins")
        await press(world, thread)
        (note,) = await world.answers("ops", thread)
        assert "Done by then: `notify`." in note
        assert LOG.count("notify ends") == 1 and "gaze ends" not in LOG
        assert len(await world.client.model_calls()) == 1
        assert await rows(services, "select tool, state, result from effects") == [("notify", "done", "told")]
        await ask(world, "go on", thread_ts=thread)
        await world.answers("ops", thread, count=2)
        results = [m["content"] for m in (await world.client.model_calls())[-1]["messages"] if m["role"] == "tool"]
        assert sorted(result.endswith("\ntold") for result in results) == [False, True]


async def test_who_waits_for_approval_is_stopped_and_the_request_ends(world, people):
    await world.client.script([GO_ON, {"match": "restart", "steps": [calls(("restart", {"service": "web"}))]}])
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "restart it")
        await world.until_posts("ops", thread)
        await press(world, thread)
        answers = await world.answers("ops", thread, count=2)
        assert answers[1].startswith("Stopped by")

        async def withdrawn():
            return "Withdrawn: the turn was stopped" in (await world.answers("ops", thread))[0]

        await until(withdrawn)
        assert await rows(services, "select status from approvals") == [("void",)]
        await ask(world, "and now?", thread_ts=thread)
        await world.answers("ops", thread, count=3)
        assert not LOG


async def test_stop_in_another_process_and_of_questions_that_wait_is_said_once(world, people):
    await world.client.script([GO_ON, {"match": "slow", "steps": [{"text": "late", "delay": 30}]}])
    everything = settings(world, people)
    async with (
        world.ratchet("worker", settings=everything),
        world.ratchet("slack", settings=everything) as services,
    ):
        thread = await ask(world, "slow one")
        await until_model(world, 1)
        await ask(world, "slow two", user="oncall-b", thread_ts=thread)

        async def queued():
            return len(await rows(services, "select 1 from turns")) == 2

        await until(queued)
        await press(world, thread, user="oncall-b")
        (note,) = await world.answers("ops", thread)
        assert note.startswith(f"Stopped by <@{people['oncall-b']}>")
        assert await rows(services, "select distinct status from turns") == [("stopped",)]
        await ask(world, "and now?", thread_ts=thread)
        assert len(await world.answers("ops", thread, count=2)) == 2
        assert len(await world.client.model_calls()) == 2


async def test_a_turn_whose_worker_died_is_stopped_by_the_next_one_without_a_call(world, people):
    await world.client.script([{"match": "slow", "steps": [{"text": "late"}]}])
    async with world.ratchet("slack", settings=settings(world, people)) as services:
        thread = await ask(world, "slow")

        async def stored():
            return await rows(services, "update turns set status = 'running' returning 1")

        await until(stored)
        await press(world, thread)

        async def stopped():
            return await rows(services, "select 1 from turns where stopped_by is not null")

        await until(stopped)
    async with world.ratchet("worker", settings=settings(world, people)):
        (note,) = await world.answers("ops", thread)
        assert note.startswith("Stopped by") and not await world.client.model_calls()


async def test_guests_stop_only_what_they_asked_for(world, people):
    await world.client.script([{"match": "slow", "steps": [{"text": "late", "delay": 3}]}])
    await world.client.create_user("guest", is_restricted=True)
    await world.client.join("ops", "guest")
    async with world.ratchet(settings=settings(world, people)) as services:
        thread = await ask(world, "slow")
        await until_model(world, 1)
        users = "update users set is_guest = true where name = 'guest' returning 1"
        if not await rows(services, users):
            await rows(
                services,
                "insert into users (team_id, user_id, name, is_guest) select team_id, "
                f"'{next(u.id for u in world.sandbox.workspace.users.values() if u.name == 'guest')}', 'guest', true "
                "from channels limit 1 returning 1",
            )
        await by_mention(world, thread, user="guest")

        told, answer = await world.answers("ops", thread, count=2)
        assert "asked for by others" in told and answer == "late"
        own = await ask(world, "slow", user="guest")
        await until_model(world, 2)
        await press(world, own, user="guest")
        assert (await world.answers("ops", own))[0].startswith("Stopped by")


async def test_stop_without_a_thread_ends_what_that_person_asked_for_there(world, people):
    await world.client.script([{"match": "slow", "steps": [{"text": "late", "delay": 4}]}])
    async with world.ratchet(settings=settings(world, people)) as services:
        mine, theirs = await ask(world, "slow"), await ask(world, "slow", user="oncall-b")
        await until_model(world, 2)
        await world.client.command("/ratchet", "stop", user="oncall-a", channel="ops")
        assert (await world.answers("ops", mine))[0].startswith("Stopped by")
        assert await world.answers("ops", theirs) == ["late"]
        dm = await world.client.dm("oncall-a")
        asked = await ask(world, "slow", channel=dm)
        await until_model(world, 3)
        await ask(world, "stop", channel=dm)
        assert (await world.answers(dm, asked))[0].startswith("Stopped by")
        again = await ask(world, "stop", channel=dm)
        assert await world.answers(dm, again) == ["Nothing is running in this thread."]
        assert await rows(services, "select count(*) from turns where status = 'merged'") == [(1,)]


async def test_an_old_stop_does_not_end_a_later_question(world, people):
    await world.client.script([{"match": "slow", "steps": [{"text": "in time", "delay": 1}]}])
    async with world.ratchet(settings=settings(world, people)):
        thread = await ask(world, "slow")
        await until_model(world, 1)
        event = {"type": "agent_session_stopped", "thread_ts": thread, "user": people["oncall-a"]}
        channel = next(c.id for c in world.sandbox.workspace.channels.values() if c.name == "ops")
        await world.client.event({**event, "channel": channel, "event_ts": f"{float(thread) - 5:.6f}"})
        assert await world.answers("ops", thread) == ["in time"]


async def test_in_the_demos_terminal_control_c_presses_stop(world, people):
    await world.client.script([{"match": "slow", "steps": [{"text": "late", "delay": 30}]}])
    before, console = signal.getsignal(signal.SIGINT), Console(file=io.StringIO(), width=100)
    async with world.ratchet(settings=settings(world, people)):
        terminal = Terminal(world.client, world.sandbox.workspace, console, user="oncall-a", channel="ops")
        asking = asyncio.create_task(terminal.ask_once("something slow"))
        await until_model(world, 1)
        signal.raise_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await asking
    assert "Stopped by @oncall-a" in console.file.getvalue()
    assert signal.getsignal(signal.SIGINT) is before
