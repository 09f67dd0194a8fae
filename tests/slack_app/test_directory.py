"""People, channels and memberships as Slack tells them."""

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from slack_app import directory as module
from slack_app.directory import kind_of
from storage import channels


async def test_people_guests_and_strangers_are_told_apart(directory, sandbox, people):
    team = sandbox.team_id
    ids = {
        "person": await people.create_user("person"),
        "guest": await people.create_user("guest", is_restricted=True),
        "single": await people.create_user("single", is_ultra_restricted=True),
        "stranger": await people.create_user("stranger", team_id="T0OTHER"),
    }
    found = {name: await directory.user(team, user_id) for name, user_id in ids.items()}
    assert {name: (user.is_guest, user.is_stranger) for name, user in found.items()} == {
        "person": (False, False),
        "guest": (True, False),
        "single": (True, False),
        "stranger": (False, True),
    }
    assert found["person"].name == "person" and (await directory.user(team, sandbox.bot_user_id)).is_bot


async def test_a_user_is_asked_for_once_an_hour(directory, sandbox, people, user, rows, database):
    for _ in range(3):
        await directory.user(sandbox.team_id, user["oncall-a"])
    assert len([c for c in (await people.ledger())["calls"] if c["method"] == "users.info"]) == 1
    async with database.connection() as conn:
        await conn.execute("update users set refreshed_at = now() - interval '61 minutes'")
    await directory.user(sandbox.team_id, user["oncall-a"])
    assert len([c for c in (await people.ledger())["calls"] if c["method"] == "users.info"]) == 2


@pytest.mark.parametrize("fault", [{"kind": "http"}, {"kind": "drop_before_accept"}])
async def test_while_slack_is_away_nobody_is_taken_for_a_stranger(directory, sandbox, people, user, rows, fault):
    await people.fault("users.info", times=5, **fault)
    with pytest.raises((SlackApiError, aiohttp.ClientError)):
        await directory.user(sandbox.team_id, user["oncall-a"])
    assert await rows("select count(*) from users") == [(0,)]


async def test_someone_whom_slack_does_not_describe_counts_as_a_stranger(directory, sandbox, people, user, rows):
    await people.fault("users.info", "error", times=5, error="user_not_found")
    assert (await directory.user(sandbox.team_id, user["oncall-a"])).is_stranger
    assert await rows("select count(*) from users") == [(0,)]
    await people.clear_faults()
    assert not (await directory.user(sandbox.team_id, user["oncall-a"])).is_stranger


async def test_everybody_is_loaded_page_by_page(directory, people, rows):
    for number in range(205):
        await people.create_user(f"sre-{number}")
    count = await directory.load_users()
    assert await rows("select count(*) from users") == [(count,)] and count >= 207


async def test_channels_are_stored_with_name_kind_and_topic(directory, channel, people, user, rows):
    im = await people.dm("oncall-a")
    found = await directory.load_own_channels()
    assert set(found) == {channel["ops"], channel["secrets"], im}
    assert set(await rows("select name, kind, user_id, topic from channels")) == {
        ("ops", "public", None, "on call"),
        ("secrets", "private", None, ""),
        ("", "im", user["oncall-a"], ""),
    }


@pytest.mark.parametrize("kind", ["http", "error"])
async def test_a_name_that_much_depends_on_is_told_or_the_failure_is(directory, sandbox, people, channel, kind):
    more = {"error": "missing_scope"} if kind == "error" else {}
    await people.fault("conversations.info", kind, times=100, **more)
    assert await directory.channel(sandbox.team_id, channel["ops"]) is None
    with pytest.raises(SlackApiError):
        await directory.channel(sandbox.team_id, channel["ops"], named=True)
    await people.clear_faults()
    assert (await directory.channel(sandbox.team_id, channel["ops"], named=True)).name == "ops"
    assert await directory.channel(sandbox.team_id, "C0NOTOURS", named=True) is None


async def test_own_channels_are_asked_for_now_and_then_and_not_invented(directory, channel, people, sandbox):
    await people.fault("users.conversations", "http", times=1)
    assert await directory.own_channels() is None
    await people.create_channel("elsewhere", members=["oncall-a"])
    assert set(await directory.own_channels()) == {channel["ops"], channel["secrets"]}
    await people.leave("ops", sandbox.bot_user_id)
    assert len(await directory.own_channels()) == 2
    directory._own = (directory._own[0] - module.OWN_SECONDS, directory._own[1])
    assert await directory.own_channels() == [channel["secrets"]]


async def test_admins_owners_and_creators_are_known(directory, people, rows):
    await people.create_user("boss", is_admin=True)
    await people.create_channel("made", members=["oncall-a", "ratchet"], creator="boss")
    await directory.load_users()
    await directory.load_own_channels()
    assert await rows("select name from users where is_admin") == [("boss",)]
    found = await rows("select c.name from channels c join users u on u.user_id = c.creator_id where u.name = 'boss'")
    assert found == [("made",)]


@pytest.mark.parametrize(
    ("described", "kind"),
    [
        ({"is_channel": True, "is_private": False}, "public"),
        ({"is_channel": True, "is_private": True}, "private"),
        ({"is_channel": True}, "private"),
        ({"is_group": True, "is_private": True}, "private"),
        ({"is_im": True}, "im"),
        ({"is_mpim": True, "is_private": True, "is_channel": False}, "mpim"),
        ({}, "private"),
    ],
)
def test_what_is_not_plainly_public_counts_as_private(described, kind):
    assert kind_of(described) == kind


MEMBERS = "select user_id, channel_id from memberships"


async def test_memberships_are_those_that_the_user_shares_with_ratchet(directory, sandbox, people, channel, user, rows):
    await people.create_channel("theirs", is_private=True, members=["oncall-a"])
    for name in ("oncall-a", "oncall-b"):
        await directory.refresh(sandbox.team_id, user[name])
    assert await rows(MEMBERS) == [(user["oncall-a"], channel["secrets"])]


async def test_memberships_are_asked_for_at_most_every_25_seconds(
    directory, sandbox, people, channel, user, rows, monkeypatch
):
    await directory.refresh(sandbox.team_id, user["oncall-a"])
    await people.leave("secrets", "oncall-a")
    await directory.refresh(sandbox.team_id, user["oncall-a"])
    assert len(await rows(MEMBERS)) == 1
    monkeypatch.setattr(module, "MEMBERSHIP_SECONDS", 0.0)
    await directory.refresh(sandbox.team_id, user["oncall-a"])
    assert await rows(MEMBERS) == []


async def test_memberships_are_refreshed_well_before_they_expire():
    from storage.access import FRESH_SECONDS

    assert module.MEMBERSHIP_SECONDS * 2 <= FRESH_SECONDS


@pytest.mark.parametrize("kind", ["http", "drop_before_accept", "error"])
async def test_while_slack_is_away_no_membership_is_made_fresh(
    slack, directory, sandbox, people, channel, user, rows, database, kind
):
    await people.fault("users.conversations", kind, times=100)
    assert not await directory.refresh(sandbox.team_id, user["oncall-a"])
    assert await rows(MEMBERS) == []
    async with database.connection() as conn:
        await channels.replace_memberships(conn, sandbox.team_id, user["oncall-a"], [channel["secrets"]])
        await conn.execute("update memberships set seen_at = now() - interval '59 seconds'")
    await directory.refresh(sandbox.team_id, user["oncall-a"])
    assert await rows("select seen_at < now() - interval '58 seconds' from memberships") == [(True,)]
    await people.clear_faults()
    assert await directory.refresh(sandbox.team_id, user["oncall-a"])
    assert await directory.refresh(sandbox.team_id, user["oncall-a"]), "a moment later they still are"
    assert await rows("select seen_at > now() - interval '58 seconds' from memberships") == [(True,)]
