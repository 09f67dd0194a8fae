"""Forgetting a person or a channel: nothing of them is left, and nothing comes back."""

from uuid import uuid4

import pytest

from ratchet.forget import Target, forget
from ratchet.settings import SettingsError
from storage import audit, channels, forgetting, inbox, leases, messages, turns, usage
from storage.channels import NewChannel, User
from storage.inbox import NewEvent
from storage.messages import NewMessage
from storage.turns import NewTurn
from storage.usage import ModelCall
from tests.dumps import places

CANARY = "canary7f9cq"


@pytest.fixture
def remove(database):
    """Forgets without asking; the lines that were said."""

    async def run(kind, name, *, confirm=lambda: True, **options):
        said = []
        whole = await forget(database, Target(kind, name), say=said.append, confirm=confirm, **options)
        return whole, said

    return run


@pytest.fixture
async def person(database, memory, turn):
    """U777, called Jo Doe: wrote, asked, reacted and was spoken of in C1, C2 and a DM; answers rest on all of it."""
    await memory.channel("C2", kind="private", name="secret")
    await memory.channel("D777", kind="im", user_id="U777")
    await memory.member("U777", "C2")
    wrote = await memory.say(CANARY, user="U777")
    await memory.say(CANARY, channel="C2", user="U777")
    await memory.say("hello", channel="D777", user="U777")
    spoken = await memory.say("ask @Jo Doe, or @Jo Doering, or @U777", user="U1")
    await turn("100.000001", shown=[("C1", wrote)], answer=CANARY, posted="101.000001")
    await turn("200.000001", shown=[("C1", spoken)], answer="ask @Jo Doe", posted="201.000001")
    await turn("300.000001", user="U777", answer=CANARY, posted="301.000001")
    await turn("400.000001", channel="D777", user="U777", answer=CANARY, posted="401.000001")
    await turn("500.000001", question="what does <@U777> do?", answer="nothing to do with it")
    async with database.connection() as conn:
        await channels.upsert_users(conn, [User("T1", "U777", "Jo Doe", False, False, False)])
        for name, user in (("+1", "U777"), ("+1", "U1"), ("eyes", "U777")):
            await messages.add_reaction(conn, "T1", "C1", spoken, user_id=user, name=name, added=True)
        await usage.insert(conn, ModelCall(None, "T1", "C1", "U777", "agent", "m", 1, 1, 1, 1, 0, 1, None))
        await audit.record(conn, who="U777", action="tool_run", details={"tool": "search_messages"})
        payload = {"event": {"user": "U1", "text": "<@U777> knows"}}
        await inbox.insert(conn, [NewEvent("E1", "T1", "message", f"C1:{spoken}", payload)])
    return spoken


def message(ts, *, channel="C1", user="U777", text=CANARY):
    return NewMessage("T1", channel, ts, None, user, None, "Jo Doe", False, text)


async def test_nothing_of_a_person_is_left(database, person, remove):
    whole, said = await remove("user", "U777")
    assert whole
    for words in (CANARY, "u777", "Jo Doe "):
        assert await places(database, words) == {}, words
    assert {place.split(".")[1] for place in await places(database, "Jo Doe")} <= {"text", "search"}  # Jo Doering
    async with database.connection() as conn:
        text, attrs = await (await conn.execute("select text, attrs from messages where ts = %s", (person,))).fetchone()
        kept = await (await conn.execute("select who, (select count(*) from model_usage) from audit_logs")).fetchall()
        questions = await (await conn.execute("select question from turns order by created_at")).fetchall()
    assert text == "ask @someone, or @Jo Doering, or @someone"
    assert attrs == {"reactions": {"+1": ["U1"]}}
    assert kept == [(forgetting.NOBODY, 1)]
    assert questions == [("why?",), ("why?",), ("what does @someone do?",)]
    assert said[0].startswith("U777 (Jo Doe) of T1: 3 messages, 2 questions")
    assert any(line.startswith("removed from T1: 3 messages, 2 turns") for line in said)


async def test_old_messages_and_the_name_of_a_forgotten_person_do_not_come_back_but_new_ones_count(
    database, person, remove
):
    await remove("user", "U777")
    async with database.connection() as conn:
        assert not await messages.insert(conn, message("1700000000.000100"))
        assert not await messages.insert(conn, message("1700000000.000100", channel="D777", user="UBOT"))
        await channels.upsert_users(conn, [User("T1", "U777", "Jo Doe", False, False, False)])
        assert await channels.get_user(conn, "T1", "U777") is None
        late = NewEvent("E9", "T1", "message", "C1:1700000000.000100", {"text": CANARY}, "C1", "U777")
        assert await inbox.insert(conn, [late]) == set()
        assert await places(database, CANARY) == {}
        assert await messages.insert(conn, message("9900000000.000100"))
        assert await messages.insert(conn, message("9900000000.000100", channel="D777"))


@pytest.fixture
async def channel(database, memory, turn):
    """CX77Z, called #doomed, with messages, turns and a summary; answers elsewhere rest on it or name it."""
    await memory.channel("CX77Z", name="doomed", topic=CANARY)
    await memory.member("U1", "CX77Z")
    wrote = await memory.say(CANARY, channel="CX77Z")
    await turn("100.000001", channel="CX77Z", answer=CANARY, posted="101.000001")
    await turn("200.000001", shown=[("CX77Z", wrote)], answer=CANARY, posted="201.000001")
    await turn("300.000001", answer="there are #ops and #doomed.", posted="301.000001")
    await turn("400.000001", answer="lunch")
    async with database.connection() as conn:
        await leases.take(conn, "steps:T1:CX77Z:1.000001")
        await usage.insert(conn, ModelCall(None, "T1", "CX77Z", "U1", "agent", "m", 1, 1, 1, 1, 0, 1, None))
        await audit.record(conn, who="U1", action="tool_run", details={"tool": "x", "channel_id": "CX77Z"})
        await inbox.insert(conn, [NewEvent("E1", "T1", "message", f"CX77Z:{wrote}", {"text": CANARY})])
        other = {"event": {"channel": "CX77Z", "text": CANARY}}
        await inbox.insert(conn, [NewEvent("E2", "T1", "message", "CX77Z:1.000001", other)])


async def test_nothing_of_a_channel_is_left(database, channel, remove):
    whole, said = await remove("channel", "CX77Z")
    assert whole and "CX77Z (#doomed) of T1: 1 messages, 1 questions with their answers, 1 answers elsewhere" in said[0]
    for words in (CANARY, "CX77Z", "doomed"):
        assert await places(database, words) == {}, words
    assert await places(database, "lunch")


async def test_a_forgotten_channel_comes_back_only_by_an_invitation(database, channel, remove):
    await remove("channel", "CX77Z")
    later = "9900000000.000100"
    async with database.connection() as conn:

        async def arrive(event_id):
            place = NewEvent(event_id, "T1", "message", f"CX77Z:{later}", {"text": CANARY}, "CX77Z", "U1")
            turn = NewTurn(uuid4(), "T1", "CX77Z", later, later, "U1", "mention", CANARY)
            return (
                await inbox.insert(conn, [place]),
                await channels.insert_unknown(conn, [NewChannel("T1", "CX77Z", "public")]),
                await messages.insert(conn, message(later, channel="CX77Z", user="U1")),
                await turns.insert(conn, turn),
            )

        assert await arrive("E7") == (set(), set(), False, False)
        await channels.upsert(conn, "T1", "CX77Z", name="doomed", kind="public", user_id=None, topic="")
        assert await channels.get(conn, "T1", "CX77Z") is None
        assert await places(database, CANARY) == {}
        await forgetting.lift(conn, "T1", "CX77Z", "1700000000.000100")  # an invitation that was delivered late
        assert await arrive("E8") == (set(), set(), False, False)
        await forgetting.lift(conn, "T1", "CX77Z", later)
        assert await arrive("E9") == ({"E9"}, {"CX77Z"}, True, True)


async def test_a_rehearsal_and_a_no_remove_nothing(database, person, remove):
    for options in ({"dry_run": True}, {"confirm": lambda: False}):
        _, said = await remove("user", "U777", **options)
        assert said[-1] == "nothing was removed"
    assert await places(database, CANARY) and await places(database, "u777")
    async with database.connection() as conn:
        assert await (await conn.execute("select count(*) from forgotten")).fetchone() == (0,)


async def test_a_question_that_waits_is_not_answered_and_one_that_runs_is_waited_for(database, memory, turn, remove):
    running = await turn("100.000001", user="U777", over=False)
    async with database.connection() as conn:
        waiting = NewTurn(uuid4(), "T1", "C1", "200.000001", "200.000001", "U777", "mention", CANARY)
        await turns.insert(conn, waiting)
    whole, said = await remove("user", "U777", wait_seconds=0)
    assert not whole and "still run" in said[-1]
    assert await places(database, CANARY) == {}
    await turn.finish(running, CANARY, "101.000001")
    whole, said = await remove("user", "U777")
    assert whole and await places(database, CANARY) == {} and await places(database, "U777") == {}


async def test_forgetting_twice_finds_nothing_the_second_time(database, person, remove):
    await remove("user", "U777")
    _, said = await remove("user", "U777")
    assert "U777 of T1: 0 messages, 0 questions" in said[0]


async def test_an_empty_database_has_nothing_to_forget(remove):
    assert await remove("user", "U777") == (True, ["nothing is stored", "nothing was removed"])


@pytest.mark.parametrize("name", ["", "jo", "U1; drop table users", "#ops"])
def test_what_is_no_id_is_refused(name):
    with pytest.raises(SettingsError, match="is no Slack id"):
        Target("user", name)
