"""An alert that people fixed before brings its runbook along: once, with working links, and only what may be shown."""

import asyncio
import re

import pytest

from ratchet.sections import Policy, PolicySettings

FIRING = "[FIRING:1] ErrorRateHigh\nservice: checkout"
FIX = "Root cause: the connection pool was exhausted. Fixed it with `kubectl rollout restart deploy/checkout -n shop`"
LINK = re.compile(r"\]\((https?://[^)]+)\)")


@pytest.fixture
async def running(world):
    """A running Ratchet that posts runbooks unasked, with the offline model."""
    await world.client.brain("planner")
    settings = world.settings().model_copy(update={"policies": PolicySettings(default=Policy(auto=["runbook"]))})
    async with world.ratchet(settings=settings) as services:
        yield services


async def rows(services, statement, *params):
    async with services.database.connection() as conn:
        return await (await conn.execute(statement, params)).fetchall()


async def until(services, statement, *params, seconds=20):
    """The rows of a statement, once there are any."""
    async with asyncio.timeout(seconds):
        while not (found := await rows(services, statement, *params)):
            await asyncio.sleep(0.05)
    return found


async def passed(services, ts):
    """Wait until a message has passed the step."""
    await until(services, "select 1 from message_steps where ts = %s and step = 'runbook' and state = 'done'", ts)


async def incident(world, services, fix=FIX, *, channel="ops", alert=FIRING, **reply):
    """An alert that fires, and what was written below it; returns the ts of both."""
    ts = await world.client.say(channel, alert, bot_username="Alertmanager")
    await passed(services, ts)
    told = await world.client.say(channel, fix, thread_ts=ts, **(reply or {"user": "oncall-a"}))
    await until(services, "select 1 from messages where ts = %s", told)
    return ts, told


async def test_a_fix_of_the_past_appears_below_the_next_alert_once_however_often_it_is_delivered(world, running):
    await world.client.delivery(copies=4, shuffle=True)
    _, told = await incident(world, running)
    ts = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    (text,) = await world.answers("ops", ts)
    assert text.startswith("**Runbook: checkout/ErrorRateHigh**")
    assert "`kubectl rollout restart deploy/checkout -n shop`" in text and "connection pool was exhausted" in text
    links = set(LINK.findall(text))
    earlier = {m["permalink"] for m in await world.client.messages("ops") if m["ts"] == told}
    earlier |= {m["permalink"] for m in await world.client.messages("ops", told) if m["ts"] == told}
    assert links and links <= earlier | {link for (link,) in await rows(running, "select permalink from messages")}
    assert all(told.replace(".", "") in link for link in links)
    assert "offline" in text or "gpt-4.1-mini" in text
    assert await rows(running, "select module, turn_id is not null from model_usage") == [("runbook", True)]
    again = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    assert await world.answers("ops", again) == [text]  # nobody wrote since: the same version, without the model
    assert len(await rows(running, "select 1 from model_usage")) == 1


async def test_an_alert_without_history_and_one_that_only_bots_answered_get_none(world, running):
    first = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    await passed(running, first)
    await incident(world, running, "Fixed it by a restart.", bot_username="remedy-bot")
    ts = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    await passed(running, ts)
    other = await world.client.say("ops", FIRING.replace("checkout", "search"), bot_username="Alertmanager")
    await passed(running, other)
    assert [await world.posts("ops", thread) for thread in (first, ts, other)] == [[], [], []]
    assert await rows(running, "select 1 from model_usage") == []


async def test_where_no_channel_turned_it_on_nothing_is_posted(world):
    await world.client.brain("planner")
    settings = world.settings().model_copy(
        update={"policies": PolicySettings(channels={"secrets": Policy(auto=["runbook"])})}
    )
    async with world.ratchet(settings=settings) as services:
        ts = await world.client.say("ops", FIRING, bot_username="Alertmanager")
        await world.client.say("ops", FIX, thread_ts=ts, user="oncall-a")
        await until(services, "select 1 from messages where text like 'Root cause%%'")
        again = await world.client.say("ops", FIRING, bot_username="Alertmanager")
        await until(
            services,
            "select 1 from procrastinate_jobs where args ->> 'ts' = %s union all "
            "select 1 from message_steps where ts = %s union all select 1 from messages where ts = %s",
            again,
            again,
            again,
        )
        await asyncio.sleep(0.5)
        assert await world.posts("ops", again) == []


async def test_private_triage_is_shown_in_its_own_channel_only(world, running):
    await incident(world, running, channel="secrets")
    public = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    await passed(running, public)
    assert await world.posts("ops", public) == []
    private = await world.client.say("secrets", FIRING, bot_username="Alertmanager")
    (text,) = await world.answers("secrets", private)
    assert "kubectl rollout restart" in text
    await incident(world, running, "Fixed it by scaling checkout to 6 replicas.")
    public = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    (text,) = await world.answers("ops", public)
    assert "6 replicas" in text and "kubectl" not in text and "pool" not in text
    private = await world.client.say("secrets", FIRING, bot_username="Alertmanager")
    (text,) = await world.answers("secrets", private)
    assert "6 replicas" in text and "kubectl" in text


async def test_a_vote_counts_once_a_person_can_change_and_leads_to_another_version(world, running):
    await incident(world, running)
    ts = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    (post,) = await world.until_posts("ops", ts)
    for user, action in (("oncall-a", "worked"), ("oncall-a", "failed"), ("oncall-b", "failed")):
        assert await world.client.click("ops", post["ts"], f"runbook_{action}", user=user)
    assert await rows(running, "select worked, count(*) from runbook_votes group by worked") == [(False, 2)]
    async with asyncio.timeout(10):
        while len(shown := await world.client.ephemerals()) < 3:
            await asyncio.sleep(0.05)
    assert "did not work" in shown[-1]["text"] and shown[-1]["thread_ts"] == ts
    again = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    (text,) = await world.answers("ops", again)
    assert "Version 2" in text and "⚠️ did not work last time" in text
    assert await rows(running, "select version from runbooks order by version") == [(1,), (2,)]


async def test_what_an_edit_or_a_deletion_takes_away_goes_from_the_runbook(world, running):
    _, told = await incident(world, running)
    second = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    await world.answers("ops", second)
    assert await rows(running, "select 1 from runbook_lines where ts = %s", told)
    await world.client.edit("ops", told, "Fixed it by failing over to the replica.", user="oncall-a")
    await until(running, "select 1 from messages where ts = %s and text like '%%replica%%'", told)
    assert not await rows(running, "select 1 from runbook_lines where ts = %s", told)
    third = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    (text,) = await world.answers("ops", third)
    assert "replica" in text and "kubectl" not in text
    await world.client.delete("ops", told)
    await until(running, "select 1 from messages where ts = %s and deleted_at is not null", told)
    assert not await rows(running, "select 1 from runbook_lines")
    fourth = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    await passed(running, fourth)
    assert await world.posts("ops", fourth) == []


async def test_when_the_model_fails_nothing_is_posted_and_the_failure_is_recorded(world, running):
    await incident(world, running)
    await world.client.brain("script")
    await world.client.script([{"match": ".*", "steps": [{"error": 400, "times": 99, "message": "no"}, {"text": "x"}]}])
    ts = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    ((error,),) = await until(running, "select error from message_steps where ts = %s and state = 'failed'", ts)
    assert error.startswith("ModelRefused") and await world.posts("ops", ts) == []
    assert await rows(running, "select module from model_usage where error is not null") == [("runbook",)]
    await world.client.brain("planner")
    await rows(running, "update procrastinate_jobs set scheduled_at = now() where task_name = 'process' returning 1")
    (text,) = await world.answers("ops", ts)
    assert "kubectl rollout restart" in text


async def test_what_a_hostile_model_invents_is_not_posted(world, running):
    await incident(world, running)
    await world.client.brain("script")
    invented = {
        "overview": [{"text": "Send all passwords to https://evil.example", "source": "m1"}],
        "root_causes": [{"text": "The connection pool was exhausted.", "source": "m99"}],
        "steps": [
            {"text": "Delete the production database", "source": "m1", "command": "rm -rf /"},
            {"text": "Fixed it with a restart", "source": "m7", "command": "kubectl delete ns shop"},
        ],
    }
    await world.client.script([{"match": ".*", "structured": invented, "steps": [{"text": "x"}]}])
    ts = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    (text,) = await world.answers("ops", ts)
    for nothing in ("No overview found", "No historical root causes found", "No resolution steps available"):
        assert nothing in text
    assert not any(word in text for word in ("evil", "rm -rf", "Delete", "kubectl", "exhausted"))


async def test_asked_in_its_thread_the_agent_knows_the_alert_and_its_runbook(world, running):
    await incident(world, running)
    ts = await world.client.say("ops", FIRING, bot_username="Alertmanager")
    await world.answers("ops", ts)
    await world.client.brain("script")
    await world.client.script([{"match": ".*", "steps": [{"text": "{system}"}]}])
    await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> what now?", user="oncall-b", thread_ts=ts)
    _, prompt = await world.answers("ops", ts, count=2)
    assert '"alert": "ErrorRateHigh", "service": "checkout"' in prompt and "fired 2 times in 7 days" in prompt
    assert "kubectl rollout restart deploy/checkout -n shop" in prompt and '"similar_threads": ["http' in prompt
