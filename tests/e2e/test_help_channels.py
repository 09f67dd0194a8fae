"""A help channel: answers out of the documentation, nudges, and proposals to write down what people found out."""

import asyncio
from datetime import timedelta

import pytest

from ratchet.help_channels import answering, sweep
from ratchet.sections import ModelSettings, Policy, PolicySettings
from storage import documents
from storage.documents import NewDocument
from tests.e2e.test_runbooks import rows, until
from tools.docs.chunks import split

URL = "https://docs.example/keys.md"
PAGE = """# API keys

Every service has an API key. Keys are valid for 90 days.

## Rotation

Rotate an API key with `ratchet keys rotate --service NAME` before it expires.
"""
KNOWN = "How do I rotate the API key of a service before it expires?"
UNKNOWN = "Where can I park my bicycle in the Lisbon office?"
ROTATE = "Rotate an API key with `ratchet keys rotate --service NAME` before it expires."
LINE = PAGE.split("\n").index(ROTATE) + 1
OWNED = {"auto": ["docs", "unanswered"], "owner": "@oncall-b"}


def drafted(text=ROTATE, line=LINE, source="d1"):
    return {"sentences": [{"text": text, "source": source, "first_line": line, "last_line": line, "code": None}]}


def scripted(draft):
    return [{"match": '"question"', "structured": draft}, {"match": ".*", "steps": [{"text": "About {human}"}]}]


@pytest.fixture
def helping(world):
    """Starts a Ratchet for which every channel is a help channel, with one page of documentation."""

    async def start(services):
        found = split(PAGE, "keys.md")
        page = NewDocument("handbook", "keys.md", URL, found.title, "b" * 40, PAGE)
        async with services.database.connection() as conn:
            await documents.put(conn, page, found.chunks)
        await world.client.script(scripted(drafted()))

    def configured(*, tries=4, **policy):
        policies = PolicySettings(default=Policy(**{**OWNED, **policy}))
        changed = {"policies": policies, "model": ModelSettings(tries=tries)}
        return world.ratchet(settings=world.settings().model_copy(update=changed))

    return configured, start


@pytest.fixture
async def running(helping):
    configured, start = helping
    async with configured() as services:
        await start(services)
        yield services


async def settled(services, ts):
    return await until(
        services,
        "select state, error from message_steps where ts = %s and step = 'docs_answer' and state <> 'failed'",
        ts,
    )


async def asked(world, services, text=KNOWN, user="oncall-a"):
    """Ask in #ops and wait until the step has passed."""
    ts = await world.client.say("ops", text, user=user)
    await settled(services, ts)
    return ts


async def replied(world, services, ts, text, user):
    told = await world.client.say("ops", text, user=user, thread_ts=ts)
    await until(services, "select 1 from messages where ts = %s", told)
    return told


async def test_a_guest_is_answered_only_where_the_policy_allows_guests(world, helping):
    configured, start = helping
    await world.client.create_user("visitor", is_restricted=True)
    await world.client.join("ops", "visitor")
    async with configured() as services:
        await start(services)
        barred = await asked(world, services, user="visitor")
        assert await rows(services, "select 1 from model_usage") == []
    async with configured(allow_guests=True) as services:
        welcome = await asked(world, services, user="visitor")
        assert len(await world.until_posts("ops", welcome)) == 1
    assert await world.posts("ops", barred) == []


async def again(services):
    """Have the step's job run again now, once it waits for that."""
    now = (
        "update procrastinate_jobs set scheduled_at = now() where task_name = 'process' and status = 'todo' returning 1"
    )
    await until(services, now)


def later(services, monkeypatch, **delta):
    """Move the sweep's clock."""
    monkeypatch.setattr(services.help_channels, "clock", lambda: sweep.utc_now() + timedelta(**delta))


async def test_a_question_that_the_documentation_knows_is_answered_once_with_the_lines(world, running):
    await world.client.delivery(copies=4, shuffle=True)
    ts = await asked(world, running)
    (text,) = await world.answers("ops", ts)
    assert ROTATE.split("`")[1] in text and f"]({URL}#L{LINE})" in text and "by myself" in text
    ((confidence, answered),) = await rows(running, "select confidence, answered_at is not null from help_questions")
    assert confidence >= 0.7 and answered
    assert await rows(running, "select module, team_id is not null from model_usage") == [("docs_answer", True)]
    assert await rows(running, "select module, ts is not null from posts") == [("docs_answer", True)]
    (post,) = await world.posts("ops", ts)
    assert [block["type"] for block in post["blocks"]] == ["markdown", "section", "actions"]


@pytest.mark.parametrize(
    "text",
    [
        UNKNOWN,
        "@oncall-b how do I rotate the API key of a service?",
        "Good morning everyone, how are you?",
        "I will rotate the API key of the service before it expires.",
    ],
)
async def test_what_it_does_not_know_or_nobody_asked_everybody_is_left_to_people(world, running, text):
    people = {user["name"]: user["id"] for user in (await world.client.info())["users"]}
    text = text.replace("@oncall-b", f"<@{people['oncall-b']}>")
    ts = await world.client.say("ops", text, user="oncall-a")
    done = await asked(world, running)
    await world.until_posts("ops", done)
    assert await world.posts("ops", ts) == []
    assert len(await rows(running, "select 1 from model_usage")) == 1


async def test_bots_threads_and_what_is_asked_of_ratchet_get_no_such_answer(world, running):
    bot = await world.client.say("ops", KNOWN, bot_username="helper")
    other = await world.client.say("ops", "deployed", user="oncall-a")
    await world.client.say("ops", KNOWN, user="oncall-a", thread_ts=other)
    mine = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> {KNOWN}", user="oncall-a")
    await world.until_posts("ops", mine)
    done = await asked(world, running)
    await world.until_posts("ops", done)
    assert await world.posts("ops", bot) == [] == await world.posts("ops", other)
    assert await rows(running, "select ts from help_questions") == [(done,)]


@pytest.mark.parametrize(
    "draft",
    [
        {"sentences": []},
        drafted(source="d9"),
        drafted(line=400),
        drafted("Rotate an API key with `curl evil.example` before it expires."),
        drafted("Keys never expire."),
    ],
)
async def test_an_answer_that_keeps_to_nothing_found_is_not_posted(world, running, draft):
    await world.client.script(scripted(draft))
    ts = await asked(world, running)
    await asyncio.sleep(0.3)
    assert await world.posts("ops", ts) == []
    assert await rows(running, "select confidence, answered_at from help_questions") == [(0.0, None)]


async def test_a_model_that_refuses_or_babbles_is_followed_by_silence(world, running):
    refusing = {"match": ".*", "steps": [{"error": 400, "times": 99, "message": "no"}, {"text": "x"}]}
    for rule, outcome in ((refusing, "given_up"), ({"match": ".*", "structured": {"sentences": "none"}}, "given_up")):
        await world.client.script([rule])
        ts = await world.client.say("ops", KNOWN, user="oncall-a")
        ((state, error),) = await settled(running, ts)
        assert state == outcome and error
        assert await world.posts("ops", ts) == []


async def test_a_model_that_is_away_is_asked_again(world, helping):
    configured, start = helping
    async with configured(tries=1) as services:
        await start(services)
        away = {"error": 503, "times": 99, "message": "away"}
        await world.client.script([{"match": ".*", "steps": [away, {"text": "x"}]}])
        ts = await world.client.say("ops", KNOWN, user="oncall-a")
        ((error,),) = await until(services, "select error from message_steps where ts = %s and state = 'failed'", ts)
        assert error.startswith("ModelUnavailable")
        await world.client.script(scripted(drafted()))
        await again(services)
        await settled(services, ts)
        assert len(await world.until_posts("ops", ts)) == 1


async def test_a_spent_budget_is_followed_by_silence(world, helping):
    configured, start = helping
    async with configured(budget={"daily_tokens": 1}) as services:
        await start(services)
        ts = await world.client.say("ops", KNOWN, user="oncall-a")
        ((state, error),) = await settled(services, ts)
        assert state == "given_up" and "budget" in error and await world.posts("ops", ts) == []
        assert await rows(services, "select 1 from model_usage") == []


async def test_when_a_person_is_faster_than_the_model_nothing_is_posted(world, running, monkeypatch):
    original = answering.answer

    async def slow(question, passages, ask, *, redactor):
        found = await original(question, passages, ask, redactor=redactor)
        (ts,) = (await rows(running, "select ts from help_questions"))[0]
        await replied(world, running, ts, "Run the rotate command.", "oncall-b")
        return found

    monkeypatch.setattr(answering, "answer", slow)
    ts = await asked(world, running)
    await asyncio.sleep(0.3)
    assert await world.posts("ops", ts) == []
    assert await rows(running, "select answered_at from help_questions") == [(None,)]


@pytest.mark.parametrize("place", ["before", "behind"])
async def test_cut_off_before_or_behind_its_post_the_answer_comes_once_with_its_first_words(
    world, running, monkeypatch, place
):
    cut, asks = [], []
    mark, insert = answering.help_channels.mark, answering.Poster.reply
    original = answering.answer

    async def counted(*args, **options):
        asks.append(1)
        return await original(*args, **options)

    async def cut_mark(conn, key, event):
        if not cut:
            cut.append(1)
            raise RuntimeError("cut off")
        await mark(conn, key, event)

    async def cut_reply(self, *args, **options):
        if not cut:
            cut.append(1)
            raise RuntimeError("cut off")
        return await insert(self, *args, **options)

    monkeypatch.setattr(answering, "answer", counted)
    if place == "behind":
        monkeypatch.setattr(answering.help_channels, "mark", cut_mark)
    else:
        monkeypatch.setattr(answering.Poster, "reply", cut_reply)
    ts = await world.client.say("ops", KNOWN, user="oncall-a")
    await until(running, "select 1 from message_steps where ts = %s and state = 'failed'", ts)
    await again(running)
    await settled(running, ts)
    assert len(await world.until_posts("ops", ts)) == 1 and len(asks) == (1 if place == "behind" else 2)
    assert await rows(running, "select answered_at is not null from help_questions") == [(True,)]


async def test_a_response_of_slack_that_is_lost_makes_no_second_answer(world, running):
    await world.client.fault("chat.postMessage", "drop_after_accept")
    ts = await asked(world, running)
    assert len(await world.until_posts("ops", ts)) == 1


async def test_a_vote_counts_once_a_person_and_a_helpful_answer_needs_no_nudge(world, running, monkeypatch):
    ts = await asked(world, running)
    (post,) = await world.until_posts("ops", ts)
    for user, action in (("oncall-b", "helpful"), ("oncall-a", "unhelpful"), ("oncall-a", "helpful")):
        assert await world.client.click("ops", post["ts"], f"docs_{action}", user=user)
    assert await rows(running, "select helpful, count(*) from help_votes group by helpful") == [(True, 2)]
    async with asyncio.timeout(10):
        while len(shown := await world.client.ephemerals()) < 3:
            await asyncio.sleep(0.05)
    assert "helped" in shown[0]["text"] and shown[0]["thread_ts"] == ts
    later(running, monkeypatch, hours=5)
    assert (await running.help_channels.run()).nudged == 0
    assert len(await world.posts("ops", ts)) == 1


async def test_a_channel_that_did_not_turn_it_on_is_left_alone(world, helping):
    configured, start = helping
    async with configured(auto=["runbook"]) as services:
        await start(services)
        ts = await world.client.say("ops", KNOWN, user="oncall-a")
        await until(services, "select 1 from messages where ts = %s", ts)
        await asyncio.sleep(0.5)
        assert await world.posts("ops", ts) == [] and await rows(services, "select 1 from help_questions") == []


async def test_a_question_that_nobody_answers_is_brought_to_the_owner_once_also_after_a_restart(
    world, helping, monkeypatch
):
    configured, start = helping
    async with configured(auto=["unanswered"]) as services:
        await start(services)
        ts = await asked(world, services, UNKNOWN)
        answered = await asked(world, services)
        await replied(world, services, answered, "Like this.", "oncall-b")
        changed = await asked(world, services, "How can I reach the printer on floor two?")
        await world.client.edit("ops", changed, "Found the printer.", user="oncall-a")
        await until(services, "select 1 from messages where ts = %s and text = 'Found the printer.'", changed)
        gone = await asked(world, services, "Where is the coffee machine of floor two?")
        await world.client.delete("ops", gone)
        await until(services, "select 1 from messages where ts = %s and deleted_at is not null", gone)
        assert await rows(services, "select 1 from model_usage") == []
        later(services, monkeypatch, hours=3)
        assert (await services.help_channels.run()).nudged == 0
        later(services, monkeypatch, hours=5)
        for nudged in (1, 0):
            assert (await services.help_channels.run()).nudged == nudged
    async with configured(auto=["unanswered"]) as services:
        later(services, monkeypatch, hours=6)
        assert (await services.help_channels.run()).nudged == 0
        await rows(services, "update help_questions set nudged_at = null where nudged_at is not null returning 1")
        await services.help_channels.run()  # as if it had been cut off behind the post
    (text,) = await world.answers("ops", ts)
    assert "nobody has answered this question in 4 hours" in text
    for other in (answered, changed, gone):
        assert await world.posts("ops", other) == []


async def test_two_replicas_that_sweep_at_once_nudge_once(world, running, monkeypatch):
    ts = await asked(world, running, UNKNOWN)
    later(running, monkeypatch, hours=5)
    await asyncio.gather(running.help_channels.run(), running.help_channels.run())
    await running.help_channels.run()
    assert len(await world.until_posts("ops", ts)) == 1


async def test_where_ratchet_left_nobody_is_nudged_and_it_is_tried_once(world, running, monkeypatch):
    ts = await asked(world, running, UNKNOWN)
    await world.client.leave("ops", world.sandbox.bot_user_id)
    later(running, monkeypatch, hours=5)
    assert (await running.help_channels.run()).nudged == 0
    assert await world.posts("ops", ts) == []
    assert await rows(running, "select nudged_at is not null from help_questions") == [(True,)]
    assert await rows(running, "select state from posts where module = 'unanswered'") == [("rejected",)]


@pytest.mark.parametrize("owner", ["@oncall-b", "U", "S0614TZR7", "@somebody-else"])
async def test_the_owner_is_a_person_by_name_or_id_or_a_group(world, helping, monkeypatch, owner):
    configured, start = helping
    async with configured(owner="@oncall-b") as services:
        await start(services)
        first = await asked(world, services, "Where do I find the badge office in Lisbon?", user="oncall-b")
        ((user_id,),) = await rows(services, "select user_id from messages where ts = %s", first)
    async with configured(owner=user_id if owner == "U" else owner) as services:
        ts = await asked(world, services, UNKNOWN)
        later(services, monkeypatch, hours=5)
        await services.help_channels.run()
        (post,) = await world.until_posts("ops", ts)
    shown = str(post["blocks"])
    wanted = {"S0614TZR7": "<!subteam^S0614TZR7>", "@somebody-else": "@somebody-else, nobody"}.get(
        owner, f"<@{user_id}>"
    )
    assert wanted in shown


async def test_what_a_person_answered_is_proposed_for_the_documentation_and_the_button_starts_one_turn(
    world, helping, monkeypatch
):
    monkeypatch.setattr(sweep, "UPDATE_TOOL", "read_thread")
    configured, start = helping
    async with configured(auto=["docs"]) as services:
        await start(services)
        ts = await asked(world, services, UNKNOWN)
        told = await replied(world, services, ts, "Behind the building, gate B.", "oncall-b")
        assert (await services.help_channels.run()).proposed == 0
        await world.client.react("ops", told, "oncall-a", "white_check_mark")
        await until(services, "select 1 from messages where ts = %s and attrs ? 'reactions'", told)
        for proposed in (1, 0):
            assert (await services.help_channels.run()).proposed == proposed
        (post,) = await world.until_posts("ops", ts)
        await world.client.change_user("oncall-b", is_restricted=True)
        await until(services, "select 1 from users where is_guest")
        assert await world.client.click("ops", post["ts"], "docs_draft_update", user="oncall-b")
        assert await rows(services, "select 1 from turns where source <> 'step'") == []
        for _ in range(3):
            assert await world.client.click("ops", post["ts"], "docs_draft_update", user="oncall-a")
        texts = await world.answers("ops", ts, count=2)
        assert len(texts) == 2 and "update_doc" in texts[1] and "smallest change" in texts[1]
        turns = await rows(services, "select requester_id, thread_ts, status from turns where source = 'mention'")
        asker = await rows(services, "select user_id from messages where ts = %s", ts)
        assert turns == [(asker[0][0], ts, "answered")]


async def test_nothing_is_proposed_where_no_policy_allows_the_update(world, running):
    ts = await asked(world, running, UNKNOWN)
    told = await replied(world, running, ts, "Behind the building, gate B.", "oncall-b")
    await world.client.react("ops", told, "oncall-a", "white_check_mark")
    await until(running, "select 1 from messages where ts = %s and attrs ? 'reactions'", told)
    assert (await running.help_channels.run()).proposed == 0
    assert await world.posts("ops", ts) == []
