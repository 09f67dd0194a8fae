"""Who may decide a request, where it can be asked, and that none of them is left hanging."""

import asyncio

import pytest

from ratchet.answering import Answering
from tests.e2e.conftest import text_of
from tests.e2e.test_approvals import RUNS, buttons, desk, rows

__all__ = ["desk"]
BOTH = (("drop_table", {"table": "users"}), ("restart", {"service": "db"}))


async def both(desk):
    """Two requests of one answer: its thread, the one about the table, the other."""
    thread = await desk.ask(*BOTH, then="{tools}")
    found = await desk.requests(thread, 2)
    first, second = sorted(found, key=lambda post: "drop_table" not in text_of(post))
    return thread, first, second


async def edit(desk, post, text, user="oncall-b"):
    await desk.click(post, "edit", user=user)
    view = await desk.view()
    values = {"input": {"input": {"type": "plain_text_input", "value": text}}}
    return (await desk.world.client.submit(view["id"], user=user, values=values))["body"] or {}


async def other_question(desk, thread):
    text = f"<@{desk.world.sandbox.bot_user_id}> something else"
    await desk.world.client.say("ops", text, user="oncall-a", thread_ts=thread)
    assert await desk.until(thread, "All quiet.")


@pytest.fixture
def settles(monkeypatch):
    """The turns that were settled, one entry each time."""
    found = []
    settle = Answering._settle

    async def counted(self, turn_id):
        found.append(turn_id)
        return await settle(self, turn_id)

    monkeypatch.setattr(Answering, "_settle", counted)
    return found


async def test_an_edit_that_is_refused_holds_up_nothing_while_another_request_waits(desk, world, settles):
    async with world.ratchet(settings=desk.settings(approvers=["@oncall-b", "@lead"])) as services:
        thread, first, second = await both(desk)
        assert not await edit(desk, first, "table: audit")
        told = await desk.until(thread, "but not run: The table audit cannot be dropped")
        assert f"Edited by <@{desk.users['oncall-b']}>" in told and "takes its place" not in told
        assert await rows(services, "select status, used_at is not null from approvals order by revision, tool") == [
            ("void", True),
            ("pending", False),
        ]
        settles.clear()
        await other_question(desk, thread)
        assert len(settles) < 10
        await desk.click(second)
        await desk.until(thread, "restarted db")
        assert RUNS == [("db",)]


async def test_what_a_changed_policy_refuses_holds_up_nothing_while_another_request_waits(desk, world, settles):
    async with world.ratchet(settings=desk.settings()):
        thread, first, second = await both(desk)
    async with world.ratchet(settings=desk.settings(tools=["@read", "restart"])) as services:
        await desk.click(first)
        assert await desk.until(thread, "but not run: the policy of this channel does not allow drop")
        assert await rows(services, "select status from approvals where used_at is not null") == [("void",)]
        settles.clear()
        await other_question(desk, thread)
        assert len(settles) < 10
        await desk.click(second)
        await desk.until(thread, "restarted db")
        assert RUNS == [("db",)]


async def test_a_request_that_a_changed_policy_refuses_before_anybody_decided_is_withdrawn(desk, world):
    async with world.ratchet(settings=desk.settings()):
        thread, _, second = await both(desk)
    async with world.ratchet(settings=desk.settings(tools=["@read", "restart"])):
        await desk.click(second)
        assert "`drop_table`" in await desk.until(thread, "Withdrawn: the policy of this channel")
        await desk.until(thread, "restarted db")
        assert not [post for post in await world.posts("ops", thread) if buttons(post)]
        assert RUNS == [("db",)]


async def test_a_turn_that_gets_no_further_does_not_hold_up_its_thread(desk, world, settles):
    async with world.ratchet(settings=desk.settings()) as services:
        thread, first, _ = await both(desk)
        await desk.click(first)
        async with asyncio.timeout(20):
            while not RUNS:
                await asyncio.sleep(0.05)
        # As if it were not noted that the decision reached its call, which is done and does not run again.
        await rows(services, "update approvals set used_at = null where status = 'approved'")
        settles.clear()
        await other_question(desk, thread)
        assert len(settles) < 10


@pytest.mark.parametrize(
    ("kind", "says"),
    [({"is_restricted": True}, "Guests"), ({"team_id": "T9"}, "Guests"), ({"is_bot": True}, "Bots")],
    ids=["guest", "stranger", "bot"],
)
async def test_only_full_members_decide(desk, world, kind, says):
    other = await world.client.create_user("other", **kind)
    world.sandbox.slack.usergroups["S0000001"] = ("sre", [other])
    async with world.ratchet(settings=desk.settings(approvers=[other, "@other", "@sre", "@oncall-b"])) as services:
        await world.client.join("ops", "other")
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        assert await rows(services, "select approvers from approvals") == [([desk.users["oncall-b"]],)]
        await desk.click(post, user="other")
        await desk.whispers(says)
        assert not RUNS
    async with world.ratchet(settings=desk.settings(approvers=[other, "@sre"])):
        thread = await desk.ask()
        await desk.until(thread, "knows none of the approvers")


async def test_whoever_became_a_guest_since_does_not_decide(desk, world):
    async with world.ratchet(settings=desk.settings()) as services:
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        await rows(services, "update users set is_guest = true where user_id = %s", desk.users["oncall-b"])
        await desk.click(post)
        await desk.whispers("Guests")
        assert not RUNS and await rows(services, "select status from approvals") == [("pending",)]


@pytest.mark.parametrize("where", ["dm", "secrets"])
async def test_nothing_is_asked_where_no_approver_can_read_it(desk, world, where):
    async with world.ratchet(settings=desk.settings()) as services:
        await desk.requests(await desk.ask())
        channel = await world.client.dm("oncall-a") if where == "dm" else where
        text = "please" if where == "dm" else f"<@{world.sandbox.bot_user_id}> please"
        thread = await world.client.say(channel, text, user="oncall-a")
        async with asyncio.timeout(20):
            while not any("a channel that they share" in text_of(m) for m in await world.posts(channel, thread)):
                await asyncio.sleep(0.05)
        assert await rows(services, "select count(*) from approvals") == [(1,)]


async def test_in_a_private_channel_its_members_among_the_approvers_are_asked(desk, world):
    await world.client.join("secrets", "lead")
    async with world.ratchet(settings=desk.settings(approvers=["@oncall-b", "@lead"])) as services:
        await desk.requests(await desk.ask())
        thread = await world.client.say("secrets", f"<@{world.sandbox.bot_user_id}> please", user="oncall-a")
        async with asyncio.timeout(20):
            while not any(buttons(post) for post in await world.posts("secrets", thread)):
                await asyncio.sleep(0.05)
        found = await rows(services, "select approvers from approvals order by created_at")
        assert found == [([desk.users["oncall-b"], desk.users["lead"]],), ([desk.users["lead"]],)]


async def test_a_sole_approver_cannot_edit_and_is_told(desk, world):
    async with world.ratchet(settings=desk.settings(approvers=["@oncall-a", "@oncall-b"])):
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        said = await edit(desk, post, "table: sessions")
        assert "Nobody else could approve your edit" in said["errors"]["input"]
        assert await desk.requests(thread)


async def test_with_self_approval_an_editor_may_approve(desk, world):
    async with world.ratchet(settings=desk.settings(self_approval=True)):
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        assert not await edit(desk, post, "table: sessions")
        async with asyncio.timeout(20):
            while (new := (await desk.requests(thread))[-1])["ts"] == post["ts"]:
                await asyncio.sleep(0.05)
        await desk.click(new)
        await desk.until(thread, "dropped sessions")


async def test_what_is_long_only_once_it_can_be_seen_goes_into_the_file(desk, world):
    async with world.ratchet(settings=desk.settings()):
        thread = await desk.ask(("restart", {"service": "\u200d" * 2500}))
        (post,) = await desk.requests(thread)
        assert "approval_approve" in buttons(post) and "the whole request is in the file" in text_of(post)
        (file,) = [file for reply in await world.posts("ops", thread) for file in reply.get("files") or ()]
        assert world.sandbox.slack.files[file["id"]].content.decode().count("⟨U+200D⟩") == 2500


async def test_a_request_whose_buttons_slack_does_not_take_is_withdrawn_and_its_turn_ends(desk, world):
    async with world.ratchet(settings=desk.settings()) as services:
        await world.client.fault("chat.postMessage", "error", error="invalid_blocks", times=1)
        thread = await desk.ask(("restart", {"service": "api"}))
        assert await desk.until(thread, "Slack did not take the message")
        assert await rows(services, "select t.status, a.status from turns t join approvals a using (turn_id)") == [
            ("answered", "void")
        ]
        assert not RUNS


@pytest.mark.parametrize(
    ("policy", "call", "says"),
    [
        ({"approvers": []}, ("drop_table", {"table": "users"}), "has no approvers"),
        ({}, ("drop_table", {"table": "audit"}), "The table audit cannot be dropped"),
        ({}, ("drop_table", {"tabel": "users"}), "tabel"),
        ({}, ("restart", {"service": "xoxb-" + "1234567890-abcdefghij"}), "looks like a secret"),
        ({"approvers": ["@nobody-knows"]}, ("restart", {"service": "api"}), "knows none of the approvers"),
    ],
)
async def test_what_cannot_be_approved_is_refused_without_asking_anybody(desk, world, policy, call, says):
    async with world.ratchet(settings=desk.settings(**policy)) as services:
        thread = await desk.ask(call)
        assert await desk.until(thread, says)
        assert await rows(services, "select 1 from approvals") == [] and not RUNS


async def test_with_self_approval_the_requester_may_approve(desk, world):
    async with world.ratchet(settings=desk.settings(approvers=["@oncall-a"], self_approval=True)):
        thread = await desk.ask(("restart", {"service": "`api` ```"}))
        (post,) = await desk.requests(thread)
        assert "````json" in text_of(post)
        await desk.click(post, user="oncall-a")
        await desk.until(thread, "restarted")


async def test_a_user_group_names_approvers(desk, world):
    world.sandbox.slack.usergroups["S0000001"] = ("sre", [desk.users["lead"]])
    for name in ("S0000001", "@sre"):
        async with world.ratchet(settings=desk.settings(approvers=[name])):
            thread = await desk.ask(("restart", {"service": name}))
            (post,) = await desk.requests(thread)
            await desk.click(post, user="lead")
            await desk.until(thread, f"restarted {name}")


async def test_a_bot_cannot_approve(desk, world):
    bot = await world.client.create_user("robot", is_bot=True)
    await world.client.join("ops", "robot")
    async with world.ratchet(settings=desk.settings(approvers=[bot, desk.users["oncall-b"]])) as services:
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        async with asyncio.timeout(20):
            while not await rows(services, "select 1 from users where user_id = %s and is_bot", bot):
                await asyncio.sleep(0.05)
        await desk.click(post, user="robot")
        await desk.whispers("Bots cannot")
        assert not RUNS and await rows(services, "select status from approvals") == [("pending",)]
