"""The home tab and the suggestions in direct messages: each person sees theirs, and nothing that is not."""

import asyncio
from types import SimpleNamespace

import pytest
from langchain_core.tools import tool

from ratchet.sections import Policy, PolicySettings
from sandbox.home_pages import home_lines
from slack_app.home import PAGE, SWITCH
from storage import channel_switches

SWITCHES = {"auto": ["report"], "switches": ["report", "runbook"]}


@tool(extras={"effect": "change"})
async def restart(service: str) -> str:
    """Restart a service.

    Args:
        service: its name.
    """
    return f"restarted {service}"


@pytest.fixture
async def house(world):
    return House(world)


class House:
    def __init__(self, world):
        self.world = world
        self.client = world.client
        self.users = {user.name: user.id for user in world.sandbox.workspace.users.values()}

    def channel(self, name):
        return self.world.sandbox.workspace.channel_named(name).id

    def settings(self, **policy):
        return self.world.settings().model_copy(update={"policies": PolicySettings(default=Policy(**policy))})

    async def known(self, services, *names):
        """Wait until Ratchet has learned of these channels and read them."""
        async with asyncio.timeout(20):
            while True:
                found = await rows(
                    services,
                    "select name from channels where onboarding_status = 'finished' and name = any(%s)",
                    [*names],
                )
                if len(found) == len(names):
                    return
                await asyncio.sleep(0.05)

    async def count_calls(self, method):
        """How often Slack was asked for this."""
        return sum(call["method"] == method for call in (await self.client.ledger())["calls"])

    async def open(self, user):
        """Open the home tab; its lines once it was published."""
        before = await self.client.home_view(user)
        await self.client.home(user)
        return await self.changed(user, before)

    async def changed(self, user, before):
        async with asyncio.timeout(20):
            while True:
                view = await self.client.home_view(user)
                if view and (before is None or view["hash"] != before["hash"]):
                    return "\n".join(home_lines(self.world.sandbox.workspace, view))
                await asyncio.sleep(0.05)

    async def click(self, user, action_id, value=None):
        before = await self.client.home_view(user)
        assert await self.client.click_home(user, action_id, value)
        return await self.changed(user, before)


async def rows(services, statement, *params):
    async with services.database.connection() as conn:
        cur = await conn.execute(statement, params)
        return await cur.fetchall() if cur.description else None


async def test_a_home_shows_the_channels_that_its_person_can_read_and_no_others(house, world):
    async with world.ratchet() as services:
        await house.known(services, "ops", "secrets")
        mine, yours = await house.open("oncall-a"), await house.open("oncall-b")
    assert "#ops" in mine and "#secrets" in mine
    assert "#ops" in yours and "secrets" not in str(await house.client.home_view("oncall-b"))
    assert house.channel("secrets") not in str(await house.client.home_view("oncall-b"))
    assert "nothing; I answer when I am mentioned" in mine and "[" not in mine


async def test_who_leaves_a_private_channel_does_not_see_it_in_their_home_any_more(house, world):
    async with world.ratchet() as services:
        await house.known(services, "secrets")
        assert "#secrets" in await house.open("oncall-a")
        await house.client.leave("secrets", "oncall-a")
        async with asyncio.timeout(20):
            while await rows(services, "select 1 from memberships"):
                await asyncio.sleep(0.05)
        await house.open("oncall-a")
    assert house.channel("secrets") not in str(await house.client.home_view("oncall-a"))


async def test_a_channel_that_ratchet_left_is_not_watched_any_more(house, world):
    async with world.ratchet() as services:
        await house.known(services, "ops", "secrets")
        await house.client.leave("ops", world.sandbox.bot_user_id)
        page = await house.open("oncall-a")
        assert "#secrets" in page and "#ops" not in page


async def test_a_home_lists_own_questions_with_their_links(house, world):
    await world.client.script([{"match": "disk", "steps": [{"text": "It is full."}]}])
    bot = world.sandbox.bot_user_id
    async with world.ratchet():
        asked = await world.client.say(
            "ops", f"<@{bot}> why is the <https://x.example|disk> full & slow?", user="oncall-a"
        )
        secret = await world.client.say("secrets", f"<@{bot}> and the disk here?", user="oncall-a")
        await world.until_posts("ops", asked)
        await world.until_posts("secrets", secret)
        mine, yours = await house.open("oncall-a"), await house.open("oncall-b")
    link = f"{world.sandbox.url}/archives/{house.channel('ops')}/p{asked.replace('.', '')}"
    assert f"why is the disk full & slow? ({link}" in mine and "and the disk here?" in mine
    assert "disk" not in yours


async def test_a_request_for_approval_stands_in_the_homes_of_who_decides_and_who_asked(house, world, monkeypatch):
    offered = SimpleNamespace(name="test", value="tests", load=lambda: [restart])
    monkeypatch.setattr("tools.registry.entry_points", lambda group: [offered])
    await world.client.create_user("lead")
    steps = [{"tool_calls": [{"name": "restart", "args": {"service": "api"}}]}, {"text": "{tool[-1]}"}]
    await world.client.script([{"match": "please", "steps": steps}])
    async with world.ratchet(settings=house.settings(tools=["restart"], approvers=[house.users["oncall-b"]])):
        asked = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> please", user="oncall-a")
        (post,) = await world.until_posts("ops", asked)
        link = f"/archives/{house.channel('ops')}/p{post['ts'].replace('.', '')}?thread_ts={asked}"
        decides, asks, other = [await house.open(user) for user in ("oncall-b", "oncall-a", "lead")]
        assert "WAITING FOR YOUR DECISION\n• `restart` for @oncall-a in #ops" in decides and link in decides
        assert "YOU ASKED FOR THESE, OTHERS DECIDE\n• `restart` in #ops" in asks and link in asks
        assert "restart" not in other
        await world.client.click("ops", post["ts"], "approval_approve", user="oncall-b")
        await world.until_posts("ops", asked, count=2)
        assert "restart" not in await house.open("oncall-b")


async def test_a_question_that_is_deleted_leaves_its_askers_home_at_once(house, world):
    async with world.ratchet():
        asked = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> a slip of the pen", user="oncall-a")
        await world.until_posts("ops", asked)
        assert "a slip of the pen" in await house.open("oncall-a")
        before = await house.client.home_view("oncall-a")
        await world.client.delete("ops", asked)
        assert "a slip of the pen" not in await house.changed("oncall-a", before)


async def test_guests_and_strangers_see_a_short_page(house, world):
    await world.client.create_user("guest", is_restricted=True)
    await world.client.create_user("stranger", team_id="T0OTHER")
    async with world.ratchet() as services:
        await house.known(services, "ops")
        for name in ("guest", "stranger"):
            page = await house.open(name)
            assert "You are a guest here" in page and "#ops" not in page and "CHANNELS" not in page


async def test_channel_managers_switch_what_the_policy_leaves_to_them(house, world):
    await world.client.create_channel("made", members=["oncall-b", world.sandbox.bot_user_id], creator="oncall-b")
    await world.client.create_user("boss", is_admin=True)
    async with world.ratchet(settings=house.settings(**SWITCHES)) as services:
        await house.known(services, "ops", "made")
        made, policies = house.channel("made"), services.policies
        page = await house.open("oncall-b")
        assert page.count("[Turn off weekly reports] [Turn on runbooks below alerts]") == 1, "their own channel's only"
        assert "[Turn" not in await house.open("oncall-a")
        assert (await house.open("boss")).count("[Turn off weekly reports]") == 2
        assert "secrets" not in str(await house.client.home_view("boss"))
        page = await house.click("oncall-b", SWITCH + "report", f"{made}:report:off:0")
        assert "[Turn on weekly reports]" in page
        assert not policies.does_unasked("report", made, "made")
        assert policies.does_unasked("report", house.channel("ops"), "ops")
        page = await house.click("oncall-b", SWITCH + "runbook")
        assert "Unasked: runbooks below alerts." in page
        assert policies.does_unasked("runbook", made, "made")
        found = await rows(services, "select who, action, details from audit_logs order by audit_id")
        assert found == [
            (house.users["oncall-b"], "channel_switched", {"channel_id": made, "feature": "report", "is_on": False}),
            (house.users["oncall-b"], "channel_switched", {"channel_id": made, "feature": "runbook", "is_on": True}),
        ]


async def test_a_switch_reaches_every_process_and_outlives_them(house, world):
    settings = house.settings(**SWITCHES)
    workspace = world.sandbox.workspace
    workspace.user_named("oncall-a").is_admin = True
    async with world.ratchet(settings=settings) as services, world.ratchet("worker", settings=settings) as other:
        await house.known(services, "ops")
        ops = house.channel("ops")
        await house.open("oncall-a")
        await house.click("oncall-a", SWITCH + "report", f"{ops}:report:off:0")
        async with asyncio.timeout(8):
            while any(s.policies.does_unasked("report", ops, "ops") for s in (services, other)):
                await asyncio.sleep(0.05)
    async with world.ratchet(settings=settings) as services:
        assert not services.policies.does_unasked("report", ops, "ops")


@pytest.mark.parametrize(
    ("user", "channel", "feature"),
    [
        ("oncall-a", "ops", "report"),  # manages nothing
        ("boss", "secrets", "report"),  # cannot read it
        ("boss", "ops", "docs"),  # not left to managers
        ("guest", "ops", "report"),
    ],
)
async def test_a_click_that_nobody_was_offered_changes_nothing(house, world, user, channel, feature):
    await world.client.create_user("boss", is_admin=True)
    await world.client.create_user("guest", is_admin=True, is_restricted=True)
    workspace = world.sandbox.workspace
    async with world.ratchet(settings=house.settings(**SWITCHES)) as services:
        await house.known(services, "ops", "secrets")
        await house.open(user)
        person, value = workspace.user_named(user).id, f"{house.channel(channel)}:{feature}:off:0"
        before = await house.client.home_view(user)
        action = {"action_id": SWITCH + feature, "value": value, "action_ts": "1.2", "type": "button"}
        body = {"type": "block_actions", "team": {"id": workspace.team_id}, "user": {"id": person}, "actions": [action]}
        await services.slack.inbox.record(body | {"trigger_id": "1.2.3", "view": {"id": "V1"}})
        await house.changed(user, before)
        assert await rows(services, "select * from channel_switches") == []
        assert await rows(services, "select * from audit_logs") == []


async def test_a_private_channels_switch_waits_until_slack_confirms_the_membership(house, world):
    world.sandbox.workspace.user_named("oncall-a").is_admin = True
    async with world.ratchet(settings=house.settings(**SWITCHES)) as services:
        await house.known(services, "secrets")
        await house.open("oncall-a")
        await rows(services, "update memberships set seen_at = now() - interval '2 minutes'")
        services.slack.directory._refreshed.clear()
        value = f"{house.channel('secrets')}:report:off:0"
        page = await house.click("oncall-a", SWITCH + "report", value)
        assert "[Turn on weekly reports]" in page
        async with services.database.connection() as conn:
            states = await channel_switches.load(conn, world.sandbox.team_id)
        assert states == {(house.channel("secrets"), "report"): False}


async def test_many_channels_come_in_pages(house, world):
    for number in range(20):
        await world.client.create_channel(f"team-{number:02}", members=["oncall-a", world.sandbox.bot_user_id])
    async with world.ratchet() as services:
        await house.known(services, *(f"team-{number:02}" for number in range(20)))
        first = await house.open("oncall-a")
        second = await house.click("oncall-a", PAGE + "next")
        assert "#team-05" in first and "#team-19" not in first and "[More channels]" in first
        assert "#team-19" in second and "#team-05" not in second and "[Channels before]" in second
        assert await house.click("oncall-a", PAGE + "previous") == first


async def test_a_home_that_is_opened_many_times_is_published_few_times_and_ends_as_it_is_now(house, world):
    async with world.ratchet("slack") as services:
        for _ in range(20):
            await house.client.home("oncall-a")
        async with asyncio.timeout(20):
            while await rows(services, "select count(*) from procrastinate_jobs where task_name = 'home'") != [(20,)]:
                await asyncio.sleep(0.05)
    async with world.ratchet("worker") as services:
        async with asyncio.timeout(20):
            while await rows(services, "select 1 from procrastinate_jobs where task_name = 'home'"):
                await asyncio.sleep(0.05)
    assert await house.count_calls("views.publish") == 1


async def test_a_guest_is_suggested_nothing_of_channels_that_they_are_not_in(house, world):
    await world.client.create_user("vendor", is_restricted=True)
    async with world.ratchet(settings=house.settings(allow_guests=True)) as services:
        await world.client.say("ops", "[FIRING:1] DiskFull (node-1 critical)", bot_username="Alertmanager")
        async with asyncio.timeout(20):
            while not await rows(services, "select 1 from alerts"):
                await asyncio.sleep(0.05)
        async with services.database.connection() as conn:
            await conn.execute(
                "insert into documents (source, path, url, title, blob, text) values ('s', 'p', 'u', 't', 'b', 'x')"
            )
        shown = {}
        for user in ("vendor", "oncall-a"):
            await world.client.dm(user)
            async with asyncio.timeout(20):
                while not (prompts := await world.client.prompts(user)):
                    await asyncio.sleep(0.05)
            shown[user] = str(prompts)
    assert "#ops" in shown["oncall-a"] and "#ops" not in shown["vendor"]
    assert "documentation" in shown["oncall-a"] and "documentation" not in shown["vendor"]


async def test_direct_messages_begin_with_suggestions_that_fit(house, world):
    alert = "[FIRING:1] DiskFull (node-1 critical)"
    async with world.ratchet() as services:
        await world.client.say("secrets", alert, bot_username="Alertmanager")
        await house.known(services, "ops", "secrets")
        async with asyncio.timeout(20):
            while not await rows(services, "select 1 from alerts"):
                await asyncio.sleep(0.05)
        shown = {}
        for user in ("oncall-a", "oncall-b"):
            await world.client.dm(user)
            async with asyncio.timeout(20):
                while not (prompts := await world.client.prompts(user)):
                    await asyncio.sleep(0.05)
            shown[user] = prompts
        titles = {user: [prompt["title"] for prompt in prompts] for user, prompts in shown.items()}
        assert titles["oncall-a"] == ["This week in #secrets", "Hand over #secrets", "Right now", "What you can see"]
        assert titles["oncall-b"] == ["Right now", "What you can see", "What you can do"]
        await world.client.fault("assistant.threads.setSuggestedPrompts", "error", error="internal_error", times=5)
        before = await house.count_calls("assistant.threads.setSuggestedPrompts")
        dm = await world.client.dm("oncall-a")
        async with asyncio.timeout(20):
            while await house.count_calls("assistant.threads.setSuggestedPrompts") == before:
                await asyncio.sleep(0.05)
            while await rows(services, "select 1 from procrastinate_jobs where status in ('todo', 'doing')"):
                await asyncio.sleep(0.05)
        assert await world.posts(dm) == []
        assert await rows(services, "select 1 from procrastinate_jobs where status = 'failed'") == []
