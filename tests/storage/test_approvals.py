"""Requests for approval as rows: who sees them, and what goes with the words that they rest on."""

import pytest

from storage import approvals, leases, posts, purges, turns
from storage.access import Viewer
from storage.approvals import NewApproval
from storage.holdings import of_messages
from storage.purges import MessageKey
from tests.dumps import places

CANARY = "canary4wq7zk"


@pytest.fixture
def request_approval(database, turn):
    """Stores a turn that waits, and what it asks for; returns the request."""

    async def make(ts="100.000001", *, channel="C1", approvers=("U2",), posted="101.000001", words=CANARY, **options):
        turn_id = await turn(ts, channel=channel, over=False, **options)
        async with database.connection() as conn, conn.transaction():
            asked = await turns.get(conn, turn_id)
            lease = await leases.take(conn, asked.thread_key)
            new = NewApproval(
                approval_id=f"a-{ts}-{channel}",
                turn_id=turn_id,
                tool_call_id="c1",
                revision=0,
                team_id="T1",
                channel_id=channel,
                ts=ts,
                thread_ts=ts,
                tool="drop",
                arguments={"table": words},
                bound={"version": words},
                digest="d",
                call_digest="d",
                summary=words,
                attachment_name="plan",
                attachment=words,
                requester_id="U1",
                approvers=list(approvers),
                self_approval=False,
                edited_by=None,
            )
            await approvals.insert(conn, lease, new, minutes=15)
            await turns.wait(conn, lease, turn_id)
            made = await approvals.get(conn, new.approval_id)
            post = await posts.insert(
                conn,
                turn_id=turn_id,
                part=made.part,
                channel_id=channel,
                thread_ts=ts,
                text=words,
                module="approval",
            )
            if posted:
                await posts.set_posted(conn, post, posted)
        return made

    return make


async def test_what_waits_is_seen_where_its_channel_may_be_read(database, memory, request_approval):
    await memory.channel("C2", kind="private", name="secret")
    await memory.member("U1", "C2")
    await memory.member("U3", "C2", seconds_ago=120)
    await request_approval()
    await request_approval("200.000001", channel="C2", posted="201.000001")
    await request_approval("300.000001", posted=None)
    async with database.connection() as conn:

        async def seen(user, asked_in):
            found = await approvals.list_pending(conn, Viewer("T1", user, asked_in))
            return [row.channel_id for row in found]

        assert await seen("U1", "C2") == ["C1", "C2"]
        assert await seen("U1", "C1") == ["C1"], "the answer would stand in a wider place"
        assert await seen("U3", "C2") == ["C1"], "no longer known as a member"
        assert await seen("U9", "C1") == ["C1"]
        assert len(await approvals.list_all_pending(conn)) == 3


async def test_the_words_of_a_request_go_with_its_question(database, memory, request_approval):
    asked = await memory.say("please", ts="100.000001")
    await request_approval(asked)
    assert await places(database, CANARY)
    async with database.connection() as conn:
        assert "approvals" in {name.as_string(conn).strip('"') for name in await of_messages(conn)}
        await conn.execute("update messages set deleted_at = now(), text = '' where ts = %s", (asked,))
        await purges.ask(conn, [MessageKey("T1", "C1", asked)], "deleted")
    await purges.run(database)
    assert await places(database, CANARY) == {}
    async with database.connection() as conn:
        assert (await (await conn.execute("select status from turns")).fetchone()) == ("failed",)


async def test_the_words_of_a_request_go_with_a_message_that_its_turn_was_shown(database, memory, request_approval):
    shown = await memory.say(CANARY)
    made = await request_approval(shown=[("C1", shown)])
    async with database.connection() as conn:
        await conn.execute("update messages set deleted_at = now(), text = '' where ts = %s", (shown,))
        await purges.ask(conn, [MessageKey("T1", "C1", shown)], "deleted")
    assert (await purges.run(database)).left, "the turn waits, and is looked at again when it is over"
    async with database.connection() as conn, conn.transaction():
        lease = await leases.take(conn, "T1:C1:100.000001")
        await conn.execute("update approvals set status = 'expired'")
        assert await turns.resume(conn, lease, made.turn_id)
        await turns.finish(conn, lease, made.turn_id, answer=CANARY)
    await purges.run(database)
    assert await places(database, CANARY) == {}


@pytest.mark.parametrize("status", ["pending", "approved", "superseded", "rejected", "expired", "void"])
async def test_a_turn_whose_requests_were_ended_is_not_due_for_any(database, memory, request_approval, status):
    made = await request_approval()
    async with database.connection() as conn:
        await conn.execute("update approvals set status = %s", (status,))
        ended = await approvals.void_all(conn, made.turn_id, "over")
        assert [end.status for end in ended] == (["void"] if status in {"pending", "approved", "superseded"} else [])
        assert not await turns.is_unsettled(conn, made.turn_id)


async def test_an_approver_can_be_forgotten(database, memory, request_approval):
    from ratchet.forget import Target, forget

    made = await request_approval(approvers=("U2", "U777"), words="drop it")
    async with database.connection() as conn:
        decided = await approvals.decide(conn, made.approval_id, "d", "U777", "rejected", reason=CANARY)
        assert decided.decided_by == "U777"
        await conn.execute("update turns set status = 'answered', ended_at = now()")
    await forget(database, Target("user", "U777"), say=lambda line: None, confirm=lambda: True)
    for words in (CANARY, "u777"):
        assert await places(database, words) == {}, words
    async with database.connection() as conn:
        assert (await approvals.get(conn, made.approval_id)).approvers == ["U2"]


async def test_a_channel_with_a_waiting_request_can_be_forgotten(database, memory, request_approval):
    from ratchet.forget import Target, forget

    await memory.channel("CX77Z", name="doomed")
    await request_approval(channel="CX77Z")
    await forget(database, Target("channel", "CX77Z"), say=lambda line: None, confirm=lambda: True)
    for words in (CANARY, "CX77Z"):
        assert await places(database, words) == {}, words


async def test_requests_of_one_turn_have_posts_of_their_own(database, request_approval):
    first = await request_approval(words="one")
    async with database.connection() as conn, conn.transaction():
        lease = await leases.take(conn, "T1:C1:100.000001")
        fields = {name: getattr(first, name) for name in NewApproval.__dataclass_fields__}
        await approvals.insert(
            conn, lease, NewApproval(**fields | {"approval_id": "b", "tool_call_id": "c2"}), minutes=15
        )
        await approvals.insert(
            conn, lease, NewApproval(**fields | {"approval_id": "b", "tool_call_id": "c2"}), minutes=15
        )
        parts = [approval.part for approval in await approvals.list_open(conn, first.turn_id)]
    assert parts == [1099, 1199]


async def test_only_what_is_due_expires(database, request_approval):
    await request_approval()
    due = await request_approval("200.000001", posted="201.000001")
    async with database.connection() as conn, conn.transaction():
        await conn.execute("update approvals set expires_at = now() where approval_id = %s", (due.approval_id,))
        assert [row.approval_id for row in await approvals.expire(conn)] == [due.approval_id]
        assert await approvals.expire(conn) == []


async def test_the_tool_and_the_handoff_show_what_waits(database, memory, request_approval):
    from datetime import UTC, datetime
    from types import SimpleNamespace
    from uuid import uuid4

    from tools.context import ToolContext
    from tools.list_approvals import list_approvals
    from tools.shift_handoff import shift_handoff

    await request_approval(words="drop the table")
    context = ToolContext(
        uuid4(), Viewer("T1", "U1", "C1"), None, database, datetime.now(UTC), "https://acme.slack.com/"
    )
    runtime = SimpleNamespace(context=context)
    (row,) = (await list_approvals.coroutine(runtime=runtime))["approvals"]
    assert (row["tool"], row["summary"], row["channel"]) == ("drop", "drop the table", "#ops")
    assert row["permalink"] == "https://acme.slack.com/archives/C1/p101000001?thread_ts=100.000001&cid=C1"
    (left,) = (await shift_handoff.coroutine(runtime=runtime, channel="#ops"))["waiting_approvals"]
    assert (left["tool"], left["permalink"]) == ("drop", row["permalink"])
