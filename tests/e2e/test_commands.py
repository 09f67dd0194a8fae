"""Commands in DMs, by mention and by slash: real Bolt, queue, Postgres; no model call."""

import asyncio

import pytest

from ratchet.command_texts import NOT_YOURS
from ratchet.sections import BudgetSettings, Policy, PolicySettings

RESET = "Session reset! Starting fresh conversation."


@pytest.fixture
async def vendor(world):
    """A guest in #ops."""
    await world.client.create_user("vendor", is_restricted=True)
    await world.client.join("ops", "vendor")
    return "vendor"


def with_policies(world, **policies):
    return world.settings().model_copy(update={"policies": PolicySettings(**policies)})


async def whispers(world, count=1):
    """What only one person sees, once there is so much of it; then a moment more, to see doubles."""
    async with asyncio.timeout(20):
        while len(await world.client.ephemerals()) < count:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    return [(message["user"], message["text"]) for message in await world.client.ephemerals()]


async def rows(services, statement, *params):
    async with services.database.connection() as conn:
        return await (await conn.execute(statement, params)).fetchall()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("help", "which alerts fired most in #ops-alerts"),
        ("/tools", "`search_messages`"),
        ("why update_doc?", "`policies.default.tools`"),
        ("session", "model: gpt-4.1-mini"),
        ("stop", "Nothing is running in this thread."),
        ("reset", RESET),
    ],
)
async def test_each_command_is_answered_once_and_without_the_model_wherever_it_is_given(world, words, told):
    bot, plain = f"<@{world.sandbox.bot_user_id}>", words.lstrip("/")
    async with world.ratchet() as services:
        dm = await world.client.dm("oncall-a")
        direct = await world.client.say(dm, words, user="oncall-a")
        mention = await world.client.say("ops", f"{bot} {words}", user="oncall-a")
        (in_dm,), (by_mention,) = await world.answers(dm, direct), await world.answers("ops", mention)
        asked = await world.client.say("ops", f"{bot} hello", user="oncall-a")
        await world.answers("ops", asked)
        calls = len(await rows(services, "select 1 from model_usage"))
        await world.client.command("/ratchet", plain, user="oncall-a", channel="ops")
        ((user, whispered),) = await whispers(world)
        await world.client.command("/sre", plain, user="oncall-a", channel="ops")
        assert len(await whispers(world, 2)) == 2
        assert len(await rows(services, "select 1 from model_usage")) == calls == 1
        assert await rows(services, "select 1 from procrastinate_jobs where status = 'failed'") == []
    assert told in in_dm and told in by_mention
    assert told.replace("`", "") in whispered.replace("`", "")
    assert user == world.sandbox.workspace.user_named("oncall-a").id


async def test_a_restricted_guest_resets_only_what_they_began(world, vendor):
    bot = f"<@{world.sandbox.bot_user_id}>"
    async with world.ratchet() as services:
        theirs = await world.client.say("ops", f"{bot} hello", user="oncall-a")
        own = await world.client.say("ops", f"{bot} hello", user=vendor)
        told = []
        for root in (theirs, own):
            await world.answers("ops", root)
            await world.client.say("ops", f"{bot} reset", user=vendor, thread_ts=root)
            told.append((await world.answers("ops", root, count=2))[-1])
        await world.client.say("ops", f"{bot} reset", user="oncall-b", thread_ts=theirs)
        told.append((await world.answers("ops", theirs, count=3))[-1])
        audited = await rows(services, "select details->>'thread_ts' from audit_logs where action = 'session_reset'")
    assert told == [NOT_YOURS, RESET, RESET] and audited == [(own,), (theirs,)]


async def test_while_slack_does_not_tell_a_channels_name_no_other_policy_applies(world):
    bot = f"<@{world.sandbox.bot_user_id}>"
    settings = with_policies(world, channels={"ops": Policy(tools=[])})
    async with world.ratchet(settings=settings) as services:
        async with asyncio.timeout(20):
            while not await rows(
                services, "select 1 from channels where name = 'ops' and onboarding_status = 'finished'"
            ):
                await asyncio.sleep(0.05)
        await world.client.fault("conversations.info", "error", error="internal_error", times=1)
        await rows(services, "update channels set name = '' where name = 'ops' returning 1")
        asked = await world.client.say("ops", f"{bot} tools", user="oncall-a")
        (told,) = await world.answers("ops", asked)
    assert "I can use no tools for you in #ops" in told


async def test_after_a_reset_the_model_sees_nothing_of_what_was_before(world):
    bot = f"<@{world.sandbox.bot_user_id}>"
    await world.client.script([{"match": ".*", "steps": [{"text": "{history} before"}]}])
    async with world.ratchet() as services:
        root = await world.client.say("ops", "the canary sings", user="oncall-b")
        for number, words in enumerate(("alpha", "bravo", "reset", "charlie", "delta"), 1):
            await world.client.say("ops", f"{bot} {words}", user="oncall-a", thread_ts=root)
            answers = await world.answers("ops", root, count=number)
        kept = await rows(services, "select count(*) from conversation_messages")
        audited = await rows(services, "select action, details->>'thread_ts' from audit_logs")
    assert answers == ["0 before", "1 before", RESET, "0 before", "1 before"]
    assert kept == [(8,)] and audited == [("session_reset", root)]
    sent = [str(call) for call in await world.client.model_calls()]
    shown = [[word for word in ("canary", "alpha", "bravo", "charlie", "delta") if word in call] for call in sent]
    assert shown == [["canary", "alpha"], ["canary", "alpha", "bravo"], ["charlie"], ["charlie", "delta"]]


async def test_help_does_not_wait_for_the_answer_that_is_being_worked_on_and_reset_does(world):
    bot = f"<@{world.sandbox.bot_user_id}>"
    await world.client.script([{"match": "slow", "steps": [{"text": "Done", "delay": 6}]}])
    async with world.ratchet():
        root = await world.client.say("ops", f"{bot} slow", user="oncall-a")
        await asyncio.sleep(0.5)
        await world.client.say("ops", f"{bot} reset", user="oncall-a", thread_ts=root)
        await world.client.say("ops", f"{bot} help", user="oncall-b", thread_ts=root)
        answers = await world.answers("ops", root, count=3)
    assert "which alerts fired" in answers[0]
    assert answers[1:] == ["Done", RESET]


async def test_a_slash_command_is_answered_although_the_process_that_took_it_is_gone(world):
    async with world.ratchet("slack"):
        await world.client.command("/ratchet", "tools", user="oncall-a", channel="ops")
    assert await world.client.ephemerals() == []
    async with world.ratchet("worker") as services:
        ((_, told),) = await whispers(world)
        assert await rows(services, "select status, answer <> '' from turns") == [("answered", True)]
    assert "search_messages" in told


async def test_where_its_response_url_is_spent_a_slash_command_is_answered_in_the_channel_or_in_a_dm(world):
    await world.client.create_channel("elsewhere", members=["oncall-a"])
    async with world.ratchet("slack"):
        for channel in ("ops", "elsewhere"):
            await world.client.command("/ratchet", "help", user="oncall-a", channel=channel)
        world.sandbox.slack.response_urls.clear()
    async with world.ratchet("worker"):
        dm = await world.client.dm("oncall-a")
        (by_dm,) = await world.until_posts(dm)
        ((_, whispered),) = await whispers(world)
    assert "help you with" in whispered and "help you with" in by_dm["text"]


async def test_a_slash_reset_and_session_are_about_the_persons_last_conversation_in_the_channel(world):
    bot = f"<@{world.sandbox.bot_user_id}>"
    await world.client.script([{"match": ".*", "steps": [{"text": "{history} before"}]}])
    async with world.ratchet():
        await world.client.command("/ratchet", "session", user="oncall-a", channel="ops")
        await whispers(world)
        root = await world.client.say("ops", f"{bot} one", user="oncall-a")
        other = await world.client.say("ops", f"{bot} mine", user="oncall-b")
        await world.answers("ops", root)
        await world.client.command("/ratchet", "session", user="oncall-a", channel="ops")
        await whispers(world, 2)
        await world.client.command("/ratchet", "reset", user="oncall-a", channel="ops")
        told = [text for _, text in await whispers(world, 3)]
        await world.client.say("ops", f"{bot} two", user="oncall-a", thread_ts=root)
        await world.client.say("ops", f"{bot} two", user="oncall-b", thread_ts=other)
        mine, others = await world.answers("ops", root, count=2), await world.answers("ops", other, count=2)
    assert "no conversation" in told[0]
    assert root.replace(".", "") in told[1] and "1 question" in told[1] and "2 messages" in told[1]
    assert told[2].startswith(RESET) and root.replace(".", "") in told[2]
    assert mine[1] == "0 before" and others[1] == "1 before"


async def test_a_guest_is_told_that_no_tool_may_be_used_and_which_rule_says_so(world, vendor):
    bot = f"<@{world.sandbox.bot_user_id}>"
    closed = with_policies(world, channels={"lounge": Policy(allow_guests=True)})
    await world.client.create_channel("lounge", members=["vendor", world.sandbox.bot_user_id])
    async with world.ratchet(settings=closed):
        told = {}
        for channel in ("ops", "lounge"):
            for words in ("help", "tools", "why search_messages"):
                ts = await world.client.say(channel, f"{bot} {words}", user=vendor)
                (told[channel, words],) = await world.answers(channel, ts)
    for words in ("help", "tools"):
        assert "`policies.default.allow_guests`" in told["ops", words] and "search_messages" not in told["ops", words]
    assert "I cannot use `search_messages`" in told["ops", "why search_messages"]
    assert "allow_guests: true" in told["ops", "why search_messages"]
    assert "which alerts fired" in told["lounge", "help"] and "`search_messages`" in told["lounge", "tools"]
    assert "I can use `search_messages`" in told["lounge", "why search_messages"]


async def test_why_names_the_policy_the_approvers_and_the_budget(world):
    bot = f"<@{world.sandbox.bot_user_id}>"
    changes = Policy(tools=["@read", "@change"])
    spent = Policy(tools=["@read"], budget=BudgetSettings(daily_tokens=1, contact="#platform"))
    settings = with_policies(world, channels={"ops": changes, "secrets": spent})
    async with world.ratchet(settings=settings) as services:
        await rows(
            services,
            """insert into model_usage (team_id, channel_id, module, model, input_chars, output_chars, prompt_tokens,
                                        output_tokens, cost, latency_ms)
               values (%s, %s, 'agent', 'm', 0, 0, 5, 5, 0, 0) returning 1""",
            world.sandbox.team_id,
            world.sandbox.workspace.channel_named("secrets").id,
        )
        told = []
        for channel, words in (
            ("ops", "why can't you update the docs here?"),
            ("ops", "why can't you restart pods?"),
            ("secrets", "why search_messages"),
        ):
            ts = await world.client.say(channel, f"{bot} {words}", user="oncall-a")
            told += await world.answers(channel, ts)
    assert "I cannot use `update_doc`" in told[0] and "`policies.channels.ops.approvers`" in told[0]
    assert "None of my tools seems to do that: “restart pods”" in told[1]
    assert "0 of 1 tokens a day" in told[2] and "Ask #platform" in told[2]


async def test_a_question_that_begins_like_a_command_goes_to_the_model(world):
    bot = f"<@{world.sandbox.bot_user_id}>"
    await world.client.script([{"match": ".*", "steps": [{"text": "Asked: {human}"}]}])
    async with world.ratchet():
        for words in ("help me with the api", "why is the api slow?", "reset my password", "why?"):
            ts = await world.client.say("ops", f"{bot} {words}", user="oncall-a")
            assert await world.answers("ops", ts) == [f"Asked: {words}"]
