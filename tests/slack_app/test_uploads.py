"""Sharing a picture exactly once, on Slack's bad days."""

from uuid import uuid4

import pytest

from slack_app.outbox import PostUnsettled
from slack_app.uploads import Uploads
from storage import leases, reports, turns
from storage.leases import LeaseLost

PNG = b"\x89PNG\r\n\x1a\n" + bytes(2000)


@pytest.fixture
def uploads(slack, database):
    return Uploads(slack, database, patience=0.2)


@pytest.fixture
def share(uploads, database, sandbox, channel, people):
    """Shares a picture of one turn in a thread of #ops; again and again if asked."""
    turn_id = uuid4()
    state = {}

    async def do(*, lease=None, slack=uploads):
        if not state:
            state["ts"] = await people.say("ops", "a report", user="oncall-a")
            async with database.connection() as conn:
                new = turns.NewTurn(turn_id, sandbox.team_id, channel["ops"], state["ts"], None, "U1", "mention", "?")
                await turns.insert(conn, new)
                state["lease"] = await leases.take(conn, "thread")
        where = {"channel_id": channel["ops"], "thread_ts": state["ts"]}
        return await slack.share(turn_id, lease or state["lease"], **where, name="r.png", title="Report", content=PNG)

    do.turn_id = turn_id
    do.state = state
    return do


@pytest.fixture
def shared(people, sandbox, share):
    """The files that stand in the thread."""

    async def fetch():
        found = await people.messages("ops", share.state["ts"])
        return [file for message in found for file in message.get("files") or ()]

    return fetch


async def test_a_picture_is_shared_in_its_thread_once(share, shared, uploads, sandbox, slack):
    assert not await uploads.settled(share.turn_id)
    assert await share() and await share()
    [file] = await shared()
    assert (file["name"], file["title"], file["size"], file["mimetype"]) == ("r.png", "Report", len(PNG), "image/png")
    assert await uploads.settled(share.turn_id)
    headers = {"Authorization": f"Bearer {sandbox.bot_token}"}
    async with slack.session.get(file["url_private"], headers=headers) as response:
        assert await response.read() == PNG


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("files.getUploadURLExternal", "drop_before_accept"),
        ("files.getUploadURLExternal", "drop_after_accept"),
        ("files.completeUploadExternal", "drop_before_accept"),
        ("files.completeUploadExternal", "drop_after_accept"),
        ("files.completeUploadExternal", "http"),
    ],
)
async def test_whatever_is_lost_on_the_way_it_is_shared_once(share, shared, people, method, kind):
    await people.fault(method, kind)
    with pytest.raises(PostUnsettled):
        await share()
    assert await share() and await share()
    assert len(await shared()) == 1


async def test_a_search_that_fails_after_a_lost_response_shares_nothing_twice(share, shared, people):
    await people.fault("files.completeUploadExternal", "drop_after_accept")
    await people.fault("conversations.replies", "http")
    for _ in range(2):
        with pytest.raises(PostUnsettled):
            await share()
    assert await share()
    assert len(await shared()) == 1


async def test_a_refusal_is_recorded_and_not_tried_again(share, shared, people, database, uploads):
    await people.fault("files.getUploadURLExternal", "error", error="missing_scope")
    assert not await share()
    assert not await share() and await shared() == [] and await uploads.settled(share.turn_id)
    async with database.connection() as conn:
        known = await reports.get_picture(conn, share.turn_id)
    assert known.state == "refused"


async def test_who_lost_the_lease_shares_nothing(share, shared, database):
    old = await stale(database)
    with pytest.raises(LeaseLost):
        await share(lease=old)
    assert await shared() == []


async def stale(database):
    async with database.connection() as conn:
        old = await leases.take(conn, "other")
        await leases.take(conn, "other")
    return old


async def test_in_dev_mode_no_picture_leaves_the_house(share, shared, slack, database):
    assert not await share(slack=Uploads(slack, database, dev=True))
    assert await shared() == []
