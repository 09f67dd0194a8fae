"""What follows by itself from a new message: once, in order, and without one step stopping another."""

import asyncio
from datetime import UTC, datetime

import pytest
from procrastinate.jobs import Job

import ratchet.bootstrap
from agent.errors import BudgetSpent
from ratchet.jobs import steps as jobs
from ratchet.steps import Steps, StepsFailed, StepsUnsettled
from slack_app.outbox import PostUnsettled


class Echo:
    """Replies to bots' messages; fails the first ``failures`` times, before or after it has posted."""

    def __init__(self, poster, name="echo", *, failures=0, after_posting=False):
        self.poster = poster
        self.name = name
        self.failures = failures
        self.after_posting = after_posting
        self.runs = []

    def may_want(self, message):
        return message.is_bot

    def wants(self, arrival):
        return "alert" in arrival.text

    async def run(self, arrival, lease):
        self.runs.append(arrival.text)
        if len(self.runs) <= self.failures and not self.after_posting:
            raise RuntimeError("not today")
        await self.poster.reply(arrival, lease, self.name, f"{self.name} {len(self.runs)} of {arrival.text}")
        if len(self.runs) <= self.failures:
            raise RuntimeError("after posting")


@pytest.fixture
def with_steps(world, monkeypatch):
    """A running Ratchet with the given steps, and the steps themselves."""

    def start(*options):
        made = []

        def build(settings, *, poster, **_):
            made.extend(Echo(poster, **option) for option in options)
            return made

        monkeypatch.setattr(ratchet.bootstrap, "build_steps", build)
        return world.ratchet(), made

    return start


RECORDED = "select step, state, attempts from message_steps order by step"


async def rows(services, statement):
    async with services.database.connection() as conn:
        return await (await conn.execute(statement)).fetchall()


async def test_a_step_is_done_once_however_often_the_message_is_delivered(world, with_steps):
    await world.client.delivery(copies=3, shuffle=True)
    running, made = with_steps({})
    async with running as services:
        ts = await world.client.say("ops", "an alert", bot_username="monitor")
        assert await world.answers("ops", ts) == ["echo 1 of an alert"]
        await world.client.say("ops", "all is well", bot_username="monitor")
        await world.client.say("ops", "an alert, says a person", user="oncall-a")
        await asyncio.sleep(0.5)
        assert made[0].runs == ["an alert"]
        assert await rows(services, "select step, state, attempts from message_steps") == [("echo", "done", 1)]
        assert await rows(services, "select module from posts") == [("echo",)]


async def test_a_failing_step_is_recorded_tried_again_and_stops_no_other(world, with_steps):
    running, made = with_steps({"name": "first", "failures": 1}, {"name": "second"})
    async with running as services:
        await world.client.say("ops", "an alert", bot_username="monitor")
        async with asyncio.timeout(20):
            while len(made[1].runs) < 1 or len(made[0].runs) < 2:
                await asyncio.sleep(0.05)
            while ("first", "done", 2) not in (found := await rows(services, RECORDED)):
                await asyncio.sleep(0.05)
    assert found == [("first", "done", 2), ("second", "done", 1)]
    assert (len(made[0].runs), len(made[1].runs)) == (2, 1)


async def test_a_step_whose_budget_is_spent_gives_up_and_is_recorded(database, memory):
    ts = await memory.say("an alert", bot=True, at=datetime.now(UTC))

    class Poor(Echo):
        async def run(self, arrival, lease):
            raise BudgetSpent("spent")

    await Steps(database, [Poor(None)]).process("T1", "C1", ts)
    async with database.connection() as conn:
        found = await (await conn.execute("select step, state, error from message_steps")).fetchall()
    assert found == [("echo", "given_up", "spent")]


async def test_the_error_of_a_failed_step_is_kept(world, with_steps):
    running, _ = with_steps({"failures": 99})
    async with running as services:
        await world.client.say("ops", "an alert", bot_username="monitor")
        async with asyncio.timeout(20):
            while not (found := await rows(services, "select state, error from message_steps")):
                await asyncio.sleep(0.05)
    assert found == [("failed", "RuntimeError: not today")]


def decide(problem, attempts):
    job = Job(id=1, queue="steps", lock=None, queueing_lock=None, task_name="process", attempts=attempts)
    return jobs.process.get_retry_exception(problem, job)


async def test_a_post_that_slack_does_not_take_is_tried_for_an_hour_other_failures_for_minutes(database, memory):
    at = datetime.now(UTC)
    ts = await memory.say("an alert", bot=True, at=at)

    class Failing(Echo):
        async def run(self, arrival, lease):
            raise PostUnsettled("later") if self.name == "posting" else RuntimeError("not today")

    for names, kind, tries in ((["posting", "other"], StepsUnsettled, 60), (["other"], StepsFailed, 12)):
        with pytest.raises(StepsFailed) as raised:
            await Steps(database, [Failing(None, name) for name in names]).process("T1", "C1", ts)
        assert type(raised.value) is kind
        made = next(attempt for attempt in range(100) if decide(raised.value, attempt) is None)
        assert made == tries


async def test_what_a_step_has_posted_stands_when_it_is_run_again(world, with_steps):
    running, _ = with_steps({"failures": 1, "after_posting": True})
    async with running as services:
        ts = await world.client.say("ops", "an alert", bot_username="monitor")
        assert await world.answers("ops", ts) == ["echo 1 of an alert"]
        await rows(
            services, "update procrastinate_jobs set scheduled_at = now() where task_name = 'process' returning 1"
        )
        async with asyncio.timeout(10):
            while ("done",) not in await rows(services, "select state from message_steps"):
                await asyncio.sleep(0.05)
        assert await world.answers("ops", ts) == ["echo 1 of an alert"]


async def test_ratchets_own_posts_and_the_past_pass_no_steps(world, with_steps):
    await world.client.say("ops", "an alert of the past", bot_username="monitor", silent=True)
    await world.client.script([{"match": ".*", "steps": [{"text": "an alert, I say"}]}])
    running, made = with_steps({})
    async with running as services:
        async with asyncio.timeout(10):
            while ("finished",) not in await rows(
                services, "select onboarding_status from channels where name = 'ops'"
            ):
                await asyncio.sleep(0.05)
        ts = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> hello", user="oncall-a")
        await world.answers("ops", ts)
        assert made[0].runs == []
