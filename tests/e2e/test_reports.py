"""The weekly report by a fake clock and two workers, the picture below an answer, and usage against the ledger."""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.rows import dict_row

from ratchet.jobs import onboarding
from ratchet.reports import chart, weekly
from ratchet.sections import BudgetSettings, ModelPrice, ModelSettings, Policy, PolicySettings
from sandbox.client import SandboxClient
from sandbox.demo_data import load_demo
from sandbox.importer import load_folder
from sandbox.server import SandboxConfig, open_sandbox
from sandbox.workspace import Workspace
from storage import alerts, messages
from storage.access import Viewer
from storage.messages import NewAlert, NewMessage
from tests.e2e.conftest import World, text_of
from tests.tools.test_report_channel import RECOUNT, check
from tools.channel_report import SHOWN_NAMES
from tools.context import ToolContext
from tools.report_channel import report_channel
from tools.report_usage import read_usage

BERLIN = "Europe/Berlin"


def with_policy(world, **policy):
    return world.settings().model_copy(
        update={
            "policies": PolicySettings(default=Policy(), channels={"ops": Policy(auto=["report"], **policy)}),
            "model": ModelSettings(prices={"gpt-4.1-mini": ModelPrice(input=1, output=2)}),
        }
    )


async def rows(services, statement, *values):
    async with services.database.connection() as conn:
        return await (await conn.execute(statement, values)).fetchall()


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


async def idle(services):
    """Whether the channels are read and no report waits or is made."""

    async def check_():
        async with services.database.connection() as conn:
            busy = await (
                await conn.execute(
                    "select 1 from procrastinate_jobs where task_name in ('reports', 'report', 'onboard', 'sync') "
                    "and status in ('todo', 'doing')"
                )
            ).fetchall()
        return not busy

    await until(check_)


@pytest.mark.parametrize(
    ("first", "second"),
    [("2024-03-25T08:00", "2024-04-01T07:00"), ("2024-10-21T07:00", "2024-10-28T08:00")],
    ids=["spring", "autumn"],
)
async def test_the_weekly_report_comes_once_over_a_change_of_clocks_with_two_workers(world, first, second):
    settings = with_policy(world, timezone=BERLIN)
    clock = SimpleNamespace(now=None)
    async with world.ratchet(settings=settings) as one, world.ratchet("worker", settings=settings) as other:
        await idle(one)
        for services in (one, other):
            services.weekly.clock = lambda: clock.now

        async def tick(moment):
            """Both processes look at the clock, each more than once, as the queue has them do."""
            clock.now = moment
            await asyncio.gather(*(services.weekly.enqueue_due() for services in (one, other) * 3))
            await one.queue.configure_task("reports").defer_async(timestamp=int(moment.timestamp()))
            await idle(one)
            return [text_of(post).split("\n")[0] for post in await world.posts("ops") if not post.get("files")]

        one_due, two_due = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (first, second))
        minute = timedelta(minutes=1)
        clock.now = one_due - timedelta(days=3)
        assert await tick(one_due - minute) == []
        assert len(await tick(one_due)) == 1
        for later in (minute, timedelta(hours=1), timedelta(days=3)):
            assert len(await tick(one_due + later)) == 1
        assert len(await tick(two_due - minute)) == 1
        heads = await tick(two_due + minute)
        assert len(heads) == 2 and len(await tick(two_due + timedelta(hours=23))) == 2
        days = [datetime.fromisoformat(text).strftime("%Y-%m-%d") for text in (first, second)]
        assert any(f"{days[0]} 09:00 to {days[1]} 09:00 (Europe/Berlin)" in head for head in heads)
        assert await rows(one, "select count(*), count(posted_at) from report_runs") == [(2, 2)]
        assert await rows(one, "select state, count(*) from report_pictures group by state") == [("shared", 2)]


async def test_a_report_that_was_missed_is_made_up_for_within_a_day_only(world):
    due = datetime(2024, 5, 13, 9, tzinfo=UTC)
    async with world.ratchet(settings=with_policy(world)) as services:
        await idle(services)
        services.weekly.clock = lambda: due + timedelta(days=1)
        assert await services.weekly.enqueue_due() == 0
        services.weekly.clock = lambda: due + timedelta(hours=23)
        assert await services.weekly.enqueue_due() == 1
        await world.until_posts("ops")
        [(made,)] = await rows(services, "select due_at from report_runs")
        assert made == due


async def test_a_report_whose_job_gave_up_is_made_up_for_within_its_day(world, monkeypatch):
    due = datetime(2024, 5, 13, 9, tzinfo=UTC)

    async def away(*_):
        raise RuntimeError("Slack is away")

    async with world.ratchet(settings=with_policy(world)) as services:
        await idle(services)
        services.weekly.clock = lambda: due + timedelta(hours=1)
        with monkeypatch.context() as patched:
            patched.setattr(services.weekly, "post", away)
            assert await services.weekly.enqueue_due() == 1

            async def gave_up():
                return await rows(
                    services,
                    "update procrastinate_jobs set status = 'failed' "
                    "where task_name = 'report' and status = 'todo' and attempts > 0 returning 1",
                )

            await rows(services, "update report_runs set claimed_at = now() - interval '1 hour' returning 1")
            assert await services.weekly.enqueue_due() == 0  # its job waits or runs
            await until(gave_up)
        services.weekly.clock = lambda: due + timedelta(days=1)
        assert await services.weekly.enqueue_due() == 0
        services.weekly.clock = lambda: due + timedelta(hours=23)
        assert sum(await asyncio.gather(*(services.weekly.enqueue_due() for _ in range(4)))) == 1
        assert len(await world.until_posts("ops")) == 1
        await idle(services)
        await rows(services, "update report_runs set claimed_at = now() - interval '1 hour' returning 1")
        assert await services.weekly.enqueue_due() == 0
        assert await rows(services, "select count(*), count(posted_at) from report_runs") == [(1, 1)]


async def test_a_report_is_not_repeated_after_a_crash_at_any_step(world, monkeypatch):
    due = datetime.now(UTC).replace(microsecond=0)
    async with world.ratchet(settings=with_policy(world)) as services:
        await idle(services)
        [(channel_id,)] = await rows(services, "select channel_id from channels where name = 'ops'")
        for method, kind in (
            ("chat.postMessage", "drop_after_accept"),
            ("files.completeUploadExternal", "drop_after_accept"),
        ):
            await world.client.fault(method, kind)
        monkeypatch.setattr(services.weekly._uploads, "_patience", 0.1)
        for _ in range(3):
            try:
                await services.weekly.post(channel_id, due)
            except Exception:
                continue
        posts = await world.until_posts("ops")
        assert len(posts) == 1 and "Report for #ops" in text_of(posts[0])
        thread = await world.client.messages("ops", posts[0]["ts"])
        assert [file["name"] for message in thread for file in message.get("files") or ()] == ["report.png"]


async def test_without_matplotlib_the_report_comes_without_picture_and_says_so(world, monkeypatch):
    monkeypatch.setattr(chart, "can_draw", lambda: False)
    async with world.ratchet(settings=with_policy(world)) as services:
        await idle(services)
        services.weekly.clock = lambda: datetime(2024, 5, 13, 9, tzinfo=UTC)
        assert await services.weekly.enqueue_due() == 1
        [post] = await world.until_posts("ops")
        assert "matplotlib is not installed" in text_of(post)
        assert await world.posts("ops", post["ts"]) == []


async def test_a_private_channel_gets_its_own_report_and_nobody_else(world):
    settings = with_policy(world)
    private = PolicySettings(default=Policy(), channels={"secrets": Policy(auto=["report"])})
    async with world.ratchet(settings=settings.model_copy(update={"policies": private})) as services:
        await idle(services)
        [(team, channel_id)] = await rows(services, "select team_id, channel_id from channels where name = 'secrets'")
        moment = datetime.now(UTC) - timedelta(hours=2)
        said = NewMessage(
            team_id=team, channel_id=channel_id, ts=f"{moment.timestamp():.6f}", thread_ts=None, user_id=None,
            bot_id="B9", author="monitor", is_bot=True, text="down", alert_action="open_incident",
            alerts=(NewAlert("f", "open_incident", "Canary", None, None, None, "test", 1.0),),
        )  # fmt: skip
        async with services.database.connection() as conn:
            await alerts.insert_all(conn, [said], await messages.insert_new(conn, [said]))
        await services.weekly.post(channel_id, datetime.now(UTC))
        [post] = await world.until_posts("secrets")
        assert "`Canary`: once" in text_of(post) and await world.posts("ops") == []


@asynccontextmanager
async def reading(workspace, database_url):
    """A workspace that Ratchet has read, with the offline model; yields its world and services."""
    async with AsyncExitStack() as stack:
        config = SandboxConfig(rate_limits=False, brain="planner")
        sandbox = await stack.enter_async_context(open_sandbox(config, workspace))
        client = await stack.enter_async_context(SandboxClient(sandbox.url))
        world = World(sandbox, client, database_url)
        services = await stack.enter_async_context(world.ratchet())
        async with asyncio.timeout(60):
            while True:
                async with services.database.connection() as conn:
                    if await onboarding.is_idle(conn):
                        break
                await asyncio.sleep(0.1)
        yield world, services


@pytest.fixture
async def demo(database_url):
    workspace = Workspace()
    load_demo(workspace, datetime.now(UTC))
    async with reading(workspace, database_url) as read:
        yield read


def context_of(services, asked_in="terminal", requester="local", now=None):
    return ToolContext(
        turn_id=uuid4(),
        viewer=Viewer(services.slack.identity.team_id, requester, asked_in, audience="workspace"),
        thread_ts=None,
        database=services.database,
        now=now or datetime.now(UTC),
        workspace_url="",
        rules=services.policies,
    )


async def compare(services, database_url, days):
    """The report on #ops-alerts, after a comparison with the recount."""
    now = datetime.now(UTC)
    report = await report_channel.coroutine(
        runtime=SimpleNamespace(context=context_of(services, now=now)), channel="#ops-alerts", days=days
    )
    with psycopg.connect(database_url, row_factory=dict_row) as conn:
        values = {"channel": report["channel_id"], "since": now - timedelta(days=days), "until": now}
        counted = conn.execute(RECOUNT, values).fetchone()
    assert sum(counted["counts"].values()) > 30
    if len(counted["counts"]) <= SHOWN_NAMES:
        check(report, counted)
    else:
        assert report["totals"]["fired"] == sum(counted["counts"].values())
    return report


async def test_the_demo_s_report_says_what_a_recount_says(demo, database_url):
    report = await compare(demo[1], database_url, 7)
    assert len(report["proposals"]) >= 3 and all(p["permalinks"] for p in report["proposals"])
    assert report["totals"]["human_minutes"] > 60


async def test_the_report_on_real_alerts_says_what_a_recount_says(database_url, shared_data):
    workspace = Workspace()
    load_folder(workspace, shared_data, datetime.now(UTC))
    async with reading(workspace, database_url) as (_, services):
        await compare(services, database_url, 7)
        report = await compare(services, database_url, 90)
        assert len(json.dumps(report)) < 65_536
        assert chart.draw(report).startswith(b"\x89PNG")


async def test_the_picture_follows_the_answer_in_its_thread(demo):
    world, services = demo
    ts = await world.client.say(
        "ops-alerts", f"<@{world.sandbox.bot_user_id}> report on #ops-alerts please", user="oncall-a"
    )

    async def files():
        thread = await world.client.messages("ops-alerts", ts)
        return [file["name"] for message in thread for file in message.get("files") or ()]

    async def there():
        return bool(await files())

    await until(there, 40)
    await asyncio.sleep(0.5)
    assert await files() == ["report.png"]
    posts = [post for post in await world.posts("ops-alerts", ts) if not post.get("files")]
    assert len(posts) == 1 and "\nProposals:" in text_of(posts[0])
    [(turn_id,)] = await rows(services, "select turn_id from turns where message_ts = %s", ts)
    await services.answering.answer(turn_id)  # a second job of the same turn
    assert await files() == ["report.png"]


async def test_usage_of_a_scripted_day_is_what_the_sandbox_saw(world):
    async with world.ratchet(settings=with_policy(world)) as services:
        await idle(services)
        bot = world.sandbox.bot_user_id
        answered = []
        for number, user in enumerate(["oncall-a", "oncall-b", "oncall-a"]):
            ts = await world.client.say("ops", f"<@{bot}> question {number}", user=user)
            [post] = await world.until_posts("ops", ts)
            answered.append(post["ts"])
        await world.client.say("ops", "just talk", user="oncall-b")
        for ts, user, name in [
            (answered[0], "oncall-a", "+1"), (answered[0], "oncall-b", "+1::skin-tone-3"), (answered[1], "oncall-b", "-1"),
            (answered[1], "oncall-a", "eyes"),
        ]:  # fmt: skip
            await world.client.react("ops", ts, user, name)
        await world.client.react("ops", answered[2], "oncall-a", "+1")
        await world.client.react("ops", answered[2], "oncall-a", "+1", remove=True)
        seen = await world.client.model_calls()

        async def settled():
            usage = await read_usage(context_of(services), 1)
            return usage["summary"]["total_thumbs_down"] == 1 and usage["summary"]["total_thumbs_up"] == 2

        await until(settled)
        usage = await read_usage(context_of(services), 1)
        chats = [call for call in seen if call["kind"] == "chat"]
        assert usage["summary"]["total_llm_requests"] == len(chats) == 3
        [model] = usage["llm_usage"]
        assert model["prompt_tokens"] == sum(call["prompt_tokens"] for call in chats) > 100
        assert model["output_tokens"] == sum(call["output_tokens"] for call in chats) > 0
        assert model["cost"] == pytest.approx((model["prompt_tokens"] + 2 * model["output_tokens"]) / 1e6)
        [ops] = [row for row in usage["channels"] if row["name"] == "#ops"]
        assert (ops["messages"], ops["answers"], ops["thumbs_up"], ops["thumbs_down"]) == (7, 3, 2, 1)
        given = [
            reaction
            for said in await world.client.messages("ops")  # replies among them
            if said["ts"] in answered
            for reaction in said.get("reactions") or ()
        ]
        seen_up = sum(reaction["count"] for reaction in given if reaction["name"].split("::")[0] == "+1")
        assert ops["thumbs_up"] == seen_up
        assert usage["modules"] == [{"module": "agent", "requests": 3, "posts": 3}]
        assert usage.keys() == {
            "start_date", "end_date", "channel_count", "summary", "channels", "modules", "llm_usage"
        }  # fmt: skip


async def test_a_channel_whose_budget_is_spent_says_so_and_others_go_on(world):
    settings = with_policy(world, budget=BudgetSettings(daily_tokens=9000, contact="#platform"), timezone=BERLIN)
    async with world.ratchet(settings=settings) as services:
        await idle(services)
        bot = world.sandbox.bot_user_id
        ts = await world.client.say("ops", f"<@{bot}> one", user="oncall-a")
        [answer] = await world.answers("ops", ts)
        assert "budget" not in answer
        async with services.database.connection() as conn:
            await conn.execute("update model_usage set prompt_tokens = 8900")
        ts = await world.client.say("ops", f"<@{bot}> two", user="oncall-a")
        [told] = await world.answers("ops", ts)
        assert "9,000 tokens a day" in told and "Ask #platform" in told and BERLIN in told
        dm = await world.client.dm("oncall-a")
        ts = await world.client.say(dm, "three", user="oncall-a")
        [elsewhere] = await world.answers(dm, ts)
        assert "budget" not in elsewhere
        usage = await read_usage(context_of(services), 1)
        [ops] = [row for row in usage["channels"] if row["name"] == "#ops"]
        [left] = ops["budget"]
        assert (left["unit"], left["period"], left["limit"]) == ("tokens", "day", 9000) and left["remaining"] < 100
        midnight = datetime.fromisoformat(left["renews_at"]).astimezone(ZoneInfo(BERLIN))
        assert (midnight.hour, midnight.minute) == (0, 0)
        assert json.dumps(usage)


def test_the_clock_of_the_weekly_report_is_the_real_one():
    assert abs(weekly.utc_now() - datetime.now(UTC)) < timedelta(seconds=5)
