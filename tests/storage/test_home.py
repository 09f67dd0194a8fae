"""What a home shows is what its person may read; a switch moves for a channel's managers only."""

from datetime import UTC, datetime, timedelta

import pytest

from ratchet.forget import Target, forget
from ratchet.jobs.queue import Enqueuer, open_queue
from slack_app.jobs import home_job
from storage import approvals, channel_switches, channels, home, leases, posts, turns
from storage.access import Viewer
from storage.approvals import NewApproval
from storage.channels import User
from tests.dumps import places

ANN, BOB = Viewer("T1", "UANN", "DANN"), Viewer("T1", "UBOB", "DBOB")
NOW = datetime.now(UTC)


def person(user_id, **flags):
    return User("T1", user_id, user_id.lower(), **{"is_bot": False, "is_guest": False, "is_stranger": False, **flags})


@pytest.fixture
async def place(memory, database):
    """#ops; #secrets (private, Ann's, created by her); their direct messages; Bob created #ops."""
    await memory.channel("C1", name="ops")
    await memory.channel("C2", "private", name="secrets")
    await memory.channel("DANN", "im", user_id="UANN")
    await memory.channel("DBOB", "im", user_id="UBOB")
    await memory.member("UANN", "C2")
    async with database.connection() as conn:
        await channels.upsert_users(conn, [person("UANN"), person("UBOB")])
        for channel_id, name, kind, creator in (("C1", "ops", "public", "UBOB"), ("C2", "secrets", "private", "UANN")):
            await channels.upsert(
                conn, "T1", channel_id, name=name, kind=kind, user_id=None, topic="", creator_id=creator
            )
        yield conn


async def test_only_channels_that_one_may_read_are_listed_those_first_that_one_manages(place, memory):
    await memory.say("old", channel="C1", at=NOW - timedelta(days=9))
    await memory.say("new", channel="C1")
    seen = await home.list_watched(place, ANN, limit=9)
    assert [(c.name, c.is_managed) for c in seen] == [("secrets", True), ("ops", False)]
    assert seen[0].since is None and NOW - seen[1].since > timedelta(days=8)
    assert [(c.name, c.is_managed) for c in await home.list_watched(place, BOB, limit=9)] == [("ops", True)]
    assert [c.name for c in await home.list_watched(place, ANN, limit=1, offset=1)] == ["ops"]
    assert [c.name for c in await home.list_watched(place, ANN, among=["C1", "C404"], limit=9)] == ["ops"]
    await channels.set_state(place, "T1", "C1", "archived")
    assert await home.list_watched(place, BOB, limit=9) == []


async def test_without_a_fresh_membership_a_private_channel_is_neither_listed_nor_switched(place):
    await place.execute("update memberships set seen_at = now() - interval '2 minutes'")
    assert [c.name for c in await home.list_watched(place, ANN, limit=9)] == ["ops"]
    assert not await channel_switches.set_state(place, ANN, "C2", "report", is_on=True)


async def test_nobody_sees_the_questions_of_others_or_of_places_they_may_not_read(place, turn):
    await turn("1.000001", channel="C1", user="UANN", question="in ops")
    await turn("2.000001", channel="C2", user="UANN", question="in secrets")
    await turn("3.000001", channel="C2", user="UBOB", question="before I left")
    await turn("4.000001", channel="DANN", user="UANN", question="between us", over=False)
    await turn("5.000001", channel="C1", user="UANN", question="by itself", source="step")
    asked = await home.list_asked(place, ANN, limit=9)
    assert [(a.question, a.status) for a in asked] == [
        ("between us", "running"),
        ("in secrets", "answered"),
        ("in ops", "answered"),
    ]
    assert await home.list_asked(place, BOB, limit=9) == []
    assert len(await home.list_asked(place, ANN, limit=1)) == 1


async def test_a_deleted_question_is_not_listed_from_that_moment_and_its_asker_is_known(place, memory, turn):
    ts = await memory.say("why?", user="UANN")
    await turn(ts, channel="C1", user="UANN")
    assert len(await home.list_asked(place, ANN, limit=9)) == 1
    await place.execute("update messages set text = '', deleted_at = now() where ts = %s", (ts,))
    assert await home.list_asked(place, ANN, limit=9) == []
    assert await home.find_asker(place, "T1", "C1", ts) == "UANN"
    assert await home.find_asker(place, "T1", "C1", "7.000001") is None


@pytest.fixture
def request_in(place, turn):
    async def ask(channel, requester, approvers, *, self_approval=False, minutes=15.0, shown=True):
        turn_id = await turn(
            f"{len(approvers)}{minutes:.0f}.00000{int(shown)}", channel=channel, user=requester, over=False
        )
        lease = await leases.take(place, (await turns.get(place, turn_id)).thread_key)
        new = NewApproval(
            str(turn_id), turn_id, "c1", 0, "T1", channel, "9.000001", "9.000001", "drop_table", {}, {}, "d", "c",
            "Drop it", None, None, requester, approvers, self_approval, None,
        )  # fmt: skip
        await approvals.insert(place, lease, new, minutes=minutes)
        stored = await approvals.get(place, str(turn_id))
        post = await posts.insert(
            place,
            turn_id=turn_id,
            part=stored.part,
            channel_id=channel,
            thread_ts="9.000001",
            text="?",
            module="approval",
        )
        if shown:
            await posts.set_posted(place, post, f"{len(approvers)}.000009")

    return ask


async def test_approvals_are_listed_for_who_decides_and_for_who_asked(place, request_in):
    await request_in("C1", "UANN", ["UBOB", "UX"])
    assert [a.may_decide for a in await home.list_open_approvals(place, BOB, limit=9)] == [True]
    assert [a.may_decide for a in await home.list_open_approvals(place, ANN, limit=9)] == [False]
    assert await home.list_open_approvals(place, Viewer("T1", "UY", "DY"), limit=9) == []


async def test_nobody_is_told_that_they_may_decide_what_they_asked_for_themselves(place, request_in):
    await request_in("C1", "UBOB", ["UBOB"])
    assert [a.may_decide for a in await home.list_open_approvals(place, BOB, limit=9)] == [False]
    await request_in("C1", "UBOB", ["UBOB", "UX"], self_approval=True)
    assert sorted(a.may_decide for a in await home.list_open_approvals(place, BOB, limit=9)) == [False, True]


@pytest.mark.parametrize("fields", [{"minutes": -1.0}, {"shown": False}])
async def test_what_is_over_or_not_shown_yet_is_not_listed(place, request_in, fields):
    await request_in("C1", "UANN", ["UBOB"], **fields)
    assert await home.list_open_approvals(place, BOB, limit=9) == []


async def test_a_request_in_a_channel_that_one_may_not_read_is_not_listed(place, request_in):
    await request_in("C2", "UANN", ["UBOB"])
    assert await home.list_open_approvals(place, BOB, limit=9) == []
    assert len(await home.list_open_approvals(place, ANN, limit=9)) == 1


async def test_the_busiest_channel_is_one_that_one_may_read(place, memory):
    for _ in range(2):
        await memory.say("down", channel="C2", bot=True, alert="Down", service="api")
    await memory.say("down", channel="C1", bot=True, alert="Down", service="api")
    await memory.say("down", channel="DANN", bot=True, alert="Down", service="api")
    assert await home.busiest_alert_channel(place, ANN) == "secrets"
    assert await home.busiest_alert_channel(place, BOB) == "ops"
    await place.execute("update alerts set at = now() - interval '8 days' where channel_id = 'C2'")
    assert await home.busiest_alert_channel(place, ANN) == "ops"


@pytest.mark.parametrize(
    ("flags", "channel", "moves"),
    [
        ({}, "C1", False),
        ({"is_admin": True}, "C1", True),
        ({"is_admin": True}, "C2", False),
        ({"is_admin": True, "is_guest": True}, "C1", False),
        ({"is_admin": True, "is_stranger": True}, "C1", False),
        ({"is_admin": True, "is_bot": True}, "C1", False),
        ({"is_admin": True}, "C404", False),
    ],
)
async def test_admins_switch_where_they_can_read(place, flags, channel, moves):
    await channels.upsert_users(place, [person("UX", **flags)])
    viewer = Viewer("T1", "UX", "DX", audience="workspace")
    assert await channel_switches.set_state(place, viewer, channel, "report", is_on=True) is moves
    assert await channel_switches.load(place, "T1") == ({(channel, "report"): True} if moves else {})


async def test_who_created_a_channel_switches_there_and_the_last_word_counts(place):
    for is_on in (True, False):
        assert await channel_switches.set_state(place, BOB, "C1", "report", is_on=is_on)
    assert not await channel_switches.set_state(place, BOB, "C2", "report", is_on=True)
    assert await channel_switches.set_state(place, ANN, "C2", "docs", is_on=True)
    assert await channel_switches.load(place, "T1") == {("C1", "report"): False, ("C2", "docs"): True}
    assert await channel_switches.load(place, "T2") == {}


async def test_what_slack_leaves_out_of_a_channel_does_not_take_its_creator_away(place):
    await channels.upsert(place, "T1", "C1", name="ops", kind="public", user_id=None, topic="new")
    assert await channel_switches.set_state(place, BOB, "C1", "report", is_on=True)


async def test_a_forgotten_creator_is_named_nowhere_and_does_not_come_back(place, database):
    assert await forget(database, Target("user", "UBOB"), say=lambda line: None, confirm=lambda: True)
    await channels.upsert(place, "T1", "C1", name="ops", kind="public", user_id=None, topic="", creator_id="UBOB")
    assert await places(database, "UBOB") == {}


async def test_what_waits_for_a_forgotten_person_goes(place, database):
    async with open_queue(database) as queue:
        await Enqueuer(queue)(place, [home_job("UBOB"), home_job("UANN")])
    assert await forget(database, Target("user", "UBOB"), say=lambda line: None, confirm=lambda: True)
    left = await (await place.execute("select args ->> 'user_id' from procrastinate_jobs")).fetchall()
    assert ("UANN",) in left and ("UBOB",) not in left


async def test_a_forgotten_channel_takes_its_switches_along(place, database):
    await channel_switches.set_state(place, BOB, "C1", "report", is_on=True)
    assert await forget(database, Target("channel", "C1"), say=lambda line: None, confirm=lambda: True)
    assert await channel_switches.load(place, "T1") == {}
