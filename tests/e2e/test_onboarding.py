"""A channel's past is read whole and once, whatever happens; what is missed while Ratchet is away is not lost."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ratchet.outages import Outages
from slack_app.sockets import open_sockets
from storage import backfills

RULES = [{"match": ".*", "steps": [{"text": "About {human}"}]}]


@pytest.fixture
def fill(world):
    """Gives #ops a past: so many messages, the newest of them with so many threads of two replies."""

    def past(messages, threads):
        workspace = world.sandbox.workspace
        ops, begin = workspace.channel_named("ops").id, int(time.time()) - 10_000
        one, two = workspace.user_named("oncall-a").id, workspace.user_named("oncall-b").id
        for number in range(messages):
            ts = f"{begin + number}.000100"
            workspace.add_message(ops, f"message {number}", user=one, ts=ts)
            if number >= messages - threads:
                for reply in (200, 300):
                    text = f"reply {reply} to {number}"
                    workspace.add_message(ops, text, user=two, ts=f"{begin + number}.000{reply}", thread_ts=ts)
        return ops

    return past


@pytest.fixture
def environment(world):
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DATABASE_URL": world.url,
        "SLACK_API_URL": world.sandbox.slack_api_url,
        "RATCHET_SLACK_BOT_TOKEN": world.sandbox.bot_token,
        "RATCHET_SLACK_APP_TOKEN": world.sandbox.app_token,
        "RATCHET_OPENAI_URL": world.sandbox.openai_url,
        "RATCHET_OPENAI_API_KEY": "key",
        "RATCHET_HTTP_ADDR": "127.0.0.1:0",
    }


@pytest.fixture
def process(environment, tmp_path):
    """Starts a command as an operator does; at the end of the block it is gone."""

    @asynccontextmanager
    async def start(*arguments):
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ratchet.cli", *arguments,
            cwd=tmp_path, env={**environment, "HOME": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield started
        finally:
            if started.returncode is None:
                started.kill()
            await started.communicate()

    return start


@pytest.fixture
def command(process):
    """Runs a command to its end; returns (exit code, standard output, standard error)."""

    async def run(*arguments):
        async with process(*arguments) as started:
            out, err = await asyncio.wait_for(started.communicate(), 60)
            return started.returncode, out.decode(), err.decode()

    return run


@pytest.fixture
def answered(world):
    """How often Slack answered each call for a page of #ops."""

    async def count():
        ops = world.sandbox.workspace.channel_named("ops").id
        return Counter(
            tuple(call["args"].get(name) for name in ("ts", "latest", "cursor"))
            for call in (await world.client.ledger())["calls"]
            if call["method"] in ("conversations.history", "conversations.replies")
            and call["ok"]
            and call["args"]["channel"] == ops
        )

    return count


async def until(condition, seconds=30):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


async def rows(database, statement, *params):
    async with database.connection() as conn:
        return await (await conn.execute(statement, params)).fetchall()


STORED = """select count(*) filter (where thread_ts is null), count(*) filter (where thread_ts is not null)
            from messages m join channels c using (team_id, channel_id) where c.name = 'ops'"""


async def test_a_large_channel_is_read_whole_and_once_although_slack_slows_down_and_the_process_is_killed(
    world, fill, process, command, answered, database
):
    fill(1000, 200)
    await world.client.fault("conversations.history", "ratelimited", retry_after=1)
    await world.client.fault("conversations.replies", "ratelimited", retry_after=1, times=2)
    async with process("serve", "--only", "slack", "--only", "worker") as serving:

        async def in_the_middle():
            return (await answered()).total() >= 60

        await until(in_the_middle, seconds=60)
        serving.send_signal(signal.SIGKILL)
    before = await answered()
    assert before.total() < 205
    async with database.connection() as conn:
        ops = world.sandbox.workspace.channel_named("ops").id
        half = await backfills.progress(conn, world.sandbox.team_id, ops)
    assert half.read == 1000 and 0 < half.threads_done < 200 and not half.is_over

    await world.client.fault("conversations.replies", "ratelimited", retry_after=1)
    code, out, err = await command("onboard", "#ops")
    assert code == 0 and "#ops: 1,000 messages and 200 threads read, 1,400 messages stored" in out, out + err
    assert await rows(database, STORED) == [(1000, 400)]
    pages = await answered()
    assert len(pages) == 205
    assert sum(times - 1 for times in pages.values()) <= 1  # the page that was in flight


async def test_the_command_and_a_running_ratchet_share_the_work(world, fill, command, answered, database):
    fill(300, 60)
    await world.client.fault("conversations.replies", "delay", seconds=0.03, times=1000)
    async with world.ratchet():
        code, out, err = await command("onboard", "ops", "--messages", "300")
    assert code == 0 and "#ops: 300 messages and 60 threads read, 420 messages stored" in out, out + err
    assert set((await answered()).values()) == {1}
    assert await rows(database, STORED) == [(300, 120)]


async def test_the_command_stops_when_it_is_told_to_and_goes_on_later(world, fill, process, command, answered):
    fill(300, 60)
    await world.client.fault("conversations.replies", "delay", seconds=0.1, times=1000)
    async with process("onboard", "#ops", "-n", "200") as reading:

        async def in_the_middle():
            return (await answered()).total() >= 5

        await until(in_the_middle, seconds=60)
        reading.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(reading.communicate(), 20)
    assert reading.returncode == 130 and b"Stopped in #ops. What was read is kept" in out, out + err
    assert b"Traceback" not in out + err
    await world.client.clear_faults()
    code, out, _ = await command("onboard", "--all")
    assert code == 0 and "#ops: 300 messages and 60 threads read" in out and "#secrets: 0 messages" in out
    assert sum(times - 1 for times in (await answered()).values()) <= 1


@pytest.mark.parametrize("name", ["#nowhere", "C0SBX999999"])
async def test_a_channel_that_ratchet_is_not_in_is_told_in_one_line(command, name):
    code, out, err = await command("onboard", name)
    assert code == 1 and out == ""
    [line] = [line for line in err.splitlines() if line.startswith("error:")]
    assert f"Ratchet is in no channel {name}" in line and "/invite @Ratchet" in line


async def test_people_are_answered_while_a_past_is_read(world, fill):
    fill(300, 200)
    await world.client.script(RULES)
    await world.client.fault("conversations.replies", "delay", seconds=0.2, times=1000)
    other = await world.client.create_channel("quiet", members=["oncall-a", world.sandbox.bot_user_id])
    async with world.ratchet() as services:
        ask = f"<@{world.sandbox.bot_user_id}> why?"
        for _ in range(3):
            ts = await world.client.say(other, ask, user="oncall-a")
            assert await world.answers(other, ts, seconds=10) == ["About why?"]
        left = "select count(*) from backfills where status = 'pending' and kind = 'thread'"
        [(threads,)] = await rows(services.database, left)
        assert threads > 100
        finished = "select count(*) from channels where name in ('quiet', 'secrets') and onboarding_status = 'finished'"
        assert await rows(services.database, finished) == [(2,)]  # other channels had their turn


async def test_what_was_asked_while_ratchet_was_away_is_answered_once_and_nothing_older(world, fill):
    fill(20, 2)
    await world.client.script(RULES)
    bot = world.sandbox.bot_user_id
    await world.client.say("ops", f"<@{bot}> before the first start", user="oncall-a", silent=True)

    async def read(services):
        async def done():
            work = "select count(*) from backfills where status = 'pending'"
            begun = "select count(*) from backfills where kind = 'onboard'"
            return await rows(services.database, f"select ({work}), ({begun}) > 0") == [(0, True)]

        await until(done)

    async with world.ratchet() as services:
        await read(services)
    ts = await world.client.say("ops", f"<@{bot}> anyone?", user="oncall-a", silent=True)
    reply = await world.client.say("ops", "in its thread", user="oncall-b", thread_ts=ts, silent=True)
    for _ in range(2):
        async with world.ratchet() as services:
            await read(services)
            assert await world.answers("ops", ts) == ["About anyone?"]
            found = await rows(services.database, "select text from messages where ts = %s", reply)
            assert found == [("in its thread",)]
    assert await world.posts("ops") == []
    async with world.ratchet("worker") as services:
        assert await rows(services.database, "select question from turns") == [("anyone?",)]


async def test_what_is_missed_while_the_sockets_are_down_is_read(world, fill):
    fill(5, 0)
    async with (
        world.ratchet() as services,
        open_sockets(services.slack.app, world.sandbox.app_token, count=1) as sockets,
    ):
        outages = Outages(services.database, world.sandbox.team_id, services.enqueue, away_seconds=0.5)
        watch = asyncio.create_task(outages.watch(sockets, check_seconds=0.1))

        async def read():
            return await rows(services.database, STORED) == [(5, 0)]

        await until(read)
        await sockets.handlers[0].client.disconnect()
        await asyncio.sleep(1)
        await world.client.say("ops", "missed", user="oncall-a", silent=True)
        await sockets.handlers[0].client.connect_to_new_endpoint(force=True)

        async def missed():
            return await rows(services.database, "select text from messages where text = 'missed'") == [("missed",)]

        await until(missed)
        watch.cancel()


async def test_what_happens_to_channels_and_people_is_known_at_once(world):
    async with world.ratchet() as services:
        workspace = world.sandbox.workspace
        ops, team_id = workspace.channel_named("ops").id, world.sandbox.team_id

        async def known(statement, expected):
            async def is_so():
                return await rows(services.database, statement) == expected

            await until(is_so)

        channel = f"select name, kind, coalesce(attrs ->> 'state', '') from channels where channel_id = '{ops}'"
        await known(f"{channel} and onboarding_status = 'finished'", [("ops", "public", "")])
        await world.client.change_channel("ops", name="operations", archived=True)
        await known(channel, [("operations", "public", "archived")])
        await world.client.change_channel("operations", archived=False, private=True)
        await known(channel, [("operations", "private", "")])
        await world.client.change_channel("operations", private=False)
        await known(channel, [("operations", "public", "")])  # Slack was asked
        await world.client.change_user("oncall-b", name="night-shift", is_restricted=True)
        await known("select is_guest, team_id from users where name = 'night-shift'", [(True, team_id)])


async def test_the_beginning_of_a_text_file_can_be_searched(world):
    async with world.ratchet() as services:
        runbook = b"# Restart\nkubectl rollout restart deploy/api\n"
        await world.client.say("ops", "see the runbook", user="oncall-a", files=[("restart.md", runbook)])
        found = "select text from messages where search @@ plainto_tsquery('english', 'kubectl rollout')"

        async def is_found():
            return await rows(services.database, found)

        await until(is_found)
        assert await is_found() == [
            ("see the runbook\n[file: restart.md (text/markdown)]\n# Restart\nkubectl rollout restart deploy/api",)
        ]
