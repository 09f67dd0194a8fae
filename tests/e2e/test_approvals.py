"""What changes something runs after a named person pressed the button for exactly that, and once."""

import asyncio
from types import SimpleNamespace

import pytest
from langchain_core.tools import ToolException, tool

from agent.runner import Runner
from ratchet.sections import ApprovalSettings, Policy, PolicySettings
from tests.e2e.conftest import text_of
from tools.context import Preview, Runtime

RUNS = []


async def preview(args, context):
    if args["table"] == "audit":
        raise ToolException("The table audit cannot be dropped.")
    return Preview(
        f"Drop the table `{args['table']}`", ("plan.diff", f"- {args['table']}\n+ \u202enothing\n"), {"rows": "7"}
    )


@tool(extras={"effect": "change", "preview": preview})
async def drop_table(table: str, runtime: Runtime) -> str:
    """Drop a table.

    Args:
        table: its name.
    """
    approval = runtime.context.approval
    RUNS.append((table, approval.approver_id, dict(approval.bound), approval.permalink))
    return f"dropped {table}"


@tool(extras={"effect": "change"})
async def restart(service: str) -> str:
    """Restart a service.

    Args:
        service: its name.
    """
    RUNS.append((service,))
    return f"restarted {service}"


@pytest.fixture
async def desk(world, monkeypatch):
    """Asks for changes in #ops; oncall-b approves them."""
    RUNS.clear()
    offered = SimpleNamespace(name="test", value="tests", load=lambda: [drop_table, restart])
    monkeypatch.setattr("tools.registry.entry_points", lambda group: [offered])
    await world.client.create_user("lead")
    await world.client.join("ops", "lead")
    return Desk(world)


class Desk:
    def __init__(self, world):
        self.world = world
        self.users = {user.name: user.id for user in world.sandbox.workspace.users.values()}

    def settings(self, *, minutes=15, **policy):
        policy = {"tools": ["@read", "drop_table", "restart"], "approvers": [self.users["oncall-b"]]} | policy
        changed = {
            "policies": PolicySettings(default=Policy(**policy)),
            "approvals": ApprovalSettings(minutes=minutes),
        }
        return self.world.settings().model_copy(update=changed)

    async def ask(self, *calls, then="{tool[-1]}", question="please"):
        """Has the model make these calls; returns the thread."""
        calls = calls or [("drop_table", {"table": "users"})]
        steps = [
            {"tool_calls": [{"name": name, "args": args} for name, args in calls]},
            {"text": then},
        ]
        rules = [
            {"match": "something else|and more", "steps": [{"text": "All quiet."}]},
            {"match": question, "steps": steps},
        ]
        await self.world.client.script(rules)
        text = f"<@{self.world.sandbox.bot_user_id}> {question}"
        return await self.world.client.say("ops", text, user="oncall-a")

    async def requests(self, thread, count=1):
        """The messages with buttons."""
        async with asyncio.timeout(20):
            while True:
                found = [post for post in await self.world.posts("ops", thread) if buttons(post)]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.05)

    async def click(self, post, action="approve", user="oncall-b"):
        return await self.world.client.click("ops", post["ts"], f"approval_{action}", user=user)

    async def until(self, thread, words):
        """The text of the first message of the thread that says this, once there is one."""
        async with asyncio.timeout(20):
            while True:
                for post in await self.world.posts("ops", thread):
                    if words in text_of(post):
                        return text_of(post)
                await asyncio.sleep(0.05)

    async def whispers(self, words):
        async with asyncio.timeout(20):
            while not (found := [w for w in await self.world.client.ephemerals() if words in w["text"]]):
                await asyncio.sleep(0.05)
        return found

    async def view(self):
        async with asyncio.timeout(20):
            while not (views := (await self.world.client.info())["views"]):
                await asyncio.sleep(0.05)
        return views[-1]


def buttons(post):
    ids = [e["action_id"] for b in post.get("blocks") or [] if b["type"] == "actions" for e in b["elements"]]
    return [action_id for action_id in ids if action_id.startswith("approval_")]


async def rows(services, statement, *params):
    async with services.database.connection() as conn:
        cur = await conn.execute(statement, params)
        return await cur.fetchall() if cur.description else None


async def test_what_a_named_approver_approves_runs_once_and_everyone_sees_who_did(desk, world):
    async with world.ratchet(settings=desk.settings()) as services:
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        assert buttons(post) == ["approval_approve", "approval_reject", "approval_edit"]
        text = text_of(post)
        assert (
            "`drop_table`" in text and f"<@{desk.users['oncall-a']}>" in text and f"<@{desk.users['oncall-b']}>" in text
        )
        replies = await world.posts("ops", thread)
        (file,) = [file for reply in replies for file in reply.get("files") or ()]
        assert file["name"] == "plan.diff"
        assert replies.index(post) == 1, "the file stands above the buttons"
        content = world.sandbox.slack.files[file["id"]].content.decode()
        assert content == "- users\n+ ⟨U+202E⟩nothing\n"
        assert not RUNS
        assert await desk.click(post)
        assert await desk.until(thread, "dropped users")
        decided = await desk.until(thread, "Approved by")
        assert decided.startswith(text) and f"<@{desk.users['oncall-b']}>" in decided.removeprefix(text)
        ((table, approver, bound, link),) = RUNS
        assert (table, approver, bound) == ("users", desk.users["oncall-b"], {"rows": "7"})
        assert f"/p{post['ts'].replace('.', '')}?thread_ts={thread}" in link
        assert not [reply for reply in await world.posts("ops", thread) if buttons(reply)]
        actions = [a for (a,) in await rows(services, "select action from audit_logs order by audit_id")]
        assert actions == ["approval_asked", "approval_given", "tool_run"]


@pytest.mark.parametrize(
    ("user", "says"), [("lead", "not among the approvers"), ("oncall-a", "asked for this yourself")]
)
async def test_nobody_else_can_approve(desk, world, user, says):
    names = [desk.users["oncall-a"], desk.users["oncall-b"]]
    async with world.ratchet(settings=desk.settings(approvers=names)) as services:
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        await desk.click(post, user=user)
        (told,) = await desk.whispers(says)
        assert told["user"] == desk.users[user]
        await world.client.say("ops", "approved", user="oncall-b", thread_ts=thread)
        await asyncio.sleep(0.5)
        assert not RUNS and await desk.requests(thread)
        assert await rows(services, "select status from approvals") == [("pending",)]


async def test_a_second_click_says_who_was_first_and_nothing_runs_twice(desk, world):
    names = [desk.users["lead"], desk.users["oncall-b"]]
    async with world.ratchet(settings=desk.settings(approvers=names)):
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        await asyncio.gather(desk.click(post), desk.click(post, user="lead"), desk.click(post))
        await desk.until(thread, "dropped users")
        told = await desk.whispers("decided already")
        assert all("Approved by" in whisper["text"] for whisper in told)
        assert len(RUNS) == 1


async def test_a_rejection_goes_back_to_the_model_with_its_reason(desk, world):
    async with world.ratchet(settings=desk.settings()) as services:
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        await desk.click(post, "reject")
        view = await desk.view()
        values = {"input": {"input": {"type": "plain_text_input", "value": "not on a Friday"}}}
        assert (await world.client.submit(view["id"], user="oncall-b", values=values))["ok"]
        assert "not on a Friday" in await desk.until(thread, "rejected it")
        assert "not on a Friday" in await desk.until(thread, "Rejected by")
        assert not RUNS
        actions = [a for (a,) in await rows(services, "select action from audit_logs order by audit_id")]
        assert actions == ["approval_asked", "approval_rejected", "tool_rejected"]


async def test_a_turn_that_is_given_up_takes_its_requests_back(desk, world, monkeypatch):
    settings = desk.settings()
    settings = settings.model_copy(update={"jobs": settings.jobs.model_copy(update={"attempts": 1})})
    async with world.ratchet(settings=settings) as services:
        thread = await desk.ask(("drop_table", {"table": "users"}), ("restart", {"service": "api"}))
        first, _ = await desk.requests(thread, 2)

        async def broken(*args):
            raise RuntimeError("no way")

        monkeypatch.setattr(Runner, "answer", broken)
        await desk.click(first)
        await desk.until(thread, "I stopped working on this")
        async with asyncio.timeout(20):
            while [post for post in await world.posts("ops", thread) if buttons(post)]:
                await asyncio.sleep(0.05)
        assert not RUNS and await rows(services, "select distinct status from approvals") == [("void",)]


async def test_nobody_who_may_not_decide_gets_a_modal(desk, world):
    async with world.ratchet(settings=desk.settings()):
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        for action in ("reject", "edit"):
            await desk.click(post, action, user="lead")
        async with asyncio.timeout(20):
            while len(await desk.whispers("not among the approvers")) < 2:
                await asyncio.sleep(0.05)
        assert (await world.client.info())["views"] == []


async def test_a_request_expires_and_its_turn_ends(desk, world):
    async with world.ratchet(settings=desk.settings(minutes=0.03)) as services:
        thread = await desk.ask()
        assert "counts as no" in await desk.until(thread, "nobody approved it in time")
        assert await desk.until(thread, "Expired")
        (post,) = [reply for reply in await world.posts("ops", thread) if "Approval needed" in text_of(reply)]
        assert not buttons(post) and not RUNS
        assert await rows(services, "select t.status, a.status from turns t join approvals a using (turn_id)") == [
            ("answered", "expired")
        ]


async def test_a_click_after_the_end_does_not_count_even_before_the_clock_noticed(desk, world):
    async with world.ratchet(settings=desk.settings()) as services:
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        await rows(services, "update approvals set expires_at = now() - interval '1 second'")
        await desk.click(post)
        await desk.whispers("expired")
        assert not RUNS


async def test_edited_arguments_are_asked_for_anew_and_are_what_runs(desk, world):
    async with world.ratchet(settings=desk.settings(approvers=["@oncall-b", "@lead"])) as services:
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        await desk.click(post, "edit")
        view = await desk.view()

        async def submit(text):
            values = {"input": {"input": {"type": "plain_text_input", "value": text}}}
            return (await world.client.submit(view["id"], user="oncall-b", values=values))["body"] or {}

        assert view["blocks"][0]["element"]["initial_value"] == "table: users\n"
        for wrong, says in (
            ("table: [", "no YAML"),
            ("tabel: users", "tabel"),
            ("table: [1]", "string"),
            ("table: users", "Nothing is changed"),
            ("a: &a [x]\ntable: *a", "aliases"),
            ("table: 2024-01-01", "quotes"),
        ):
            assert says in (await submit(wrong))["errors"]["input"]
        assert not await submit("table: sessions")
        assert await desk.until(thread, "a new request takes its place")
        async with asyncio.timeout(20):
            while (new := (await desk.requests(thread))[-1])["ts"] == post["ts"]:
                await asyncio.sleep(0.05)
        assert "`sessions`" in text_of(new) and "edited by" in text_of(new)
        assert not RUNS
        await desk.click(new)
        await desk.whispers("edited this yourself")
        assert not RUNS
        await desk.click(new, user="lead")
        await desk.until(thread, "dropped sessions")
        assert [run[0] for run in RUNS] == ["sessions"]
        assert await rows(services, "select status from approvals order by revision") == [
            ("superseded",),
            ("approved",),
        ]


@pytest.mark.parametrize("what", ["row", "digest", "call"])
async def test_what_was_changed_after_the_request_does_not_run_and_everyone_is_told(desk, world, what):
    async with world.ratchet(settings=desk.settings()) as services:
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        statement = {
            "row": 'update approvals set arguments = \'{"table": "salaries"}\'',
            "digest": "update approvals set arguments = '{\"table\": \"salaries\"}', digest = 'another'",
            "call": "update approvals set call_digest = 'another'",
        }[what]
        await rows(services, statement)
        await desk.click(post)
        if what == "digest":
            await desk.whispers("changed since it was posted")
        else:
            assert await desk.until(thread, "but not run")
            assert await desk.until(thread, "the approval does not count" if what == "call" else "does not count")
            assert await rows(services, "select status from approvals") == [("void",)]
        assert not RUNS


async def test_several_changes_of_one_answer_are_decided_one_by_one(desk, world):
    async with world.ratchet(settings=desk.settings()) as services:
        thread = await desk.ask(("restart", {"service": "api"}), ("restart", {"service": "db"}), then="{tools}")
        first, second = await desk.requests(thread, 2)
        await desk.click(second)
        async with asyncio.timeout(20):
            while not RUNS:
                await asyncio.sleep(0.05)
        assert len(await desk.requests(thread)) >= 1
        await desk.click(first)
        answer = await desk.until(thread, "restarted api")
        assert "restarted db" in answer and sorted(RUNS) == [("api",), ("db",)]
        assert await rows(services, "select count(*) from effects where state = 'done'") == [(2,)]


async def test_a_waiting_turn_survives_a_restart_and_does_not_hold_up_its_thread(desk, world):
    settings = desk.settings()
    async with world.ratchet(settings=settings):
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        await world.client.say(
            "ops", f"<@{world.sandbox.bot_user_id}> something else", user="oncall-a", thread_ts=thread
        )
        assert await desk.until(thread, "All quiet.")
    async with world.ratchet("slack", settings=settings) as services:
        await desk.click(post)
        async with asyncio.timeout(20):
            while await rows(services, "select status from approvals") != [("approved",)]:
                await asyncio.sleep(0.05)
        await rows(services, "delete from procrastinate_jobs where task_name = 'answer'")
        await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> and more", user="oncall-a", thread_ts=thread)
    async with world.ratchet(settings=settings):  # the job that the click made is gone: another one comes to it
        assert await desk.until(thread, "dropped users")
        assert len(RUNS) == 1


async def test_two_replicas_make_one_request_and_one_change(desk, world):
    settings = desk.settings()
    async with world.ratchet(settings=settings), world.ratchet(settings=settings) as services:
        await world.client.delivery(copies=3)
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        await asyncio.gather(*(desk.click(post) for _ in range(4)))
        await desk.until(thread, "dropped users")
        await asyncio.sleep(0.5)
        assert len(RUNS) == 1
        asked = [reply for reply in await world.posts("ops", thread) if "Approval needed" in text_of(reply)]
        assert len(asked) == 1
        assert await rows(services, "select count(*) from audit_logs where action = 'approval_given'") == [(1,)]


async def test_where_slack_takes_no_file_the_whole_of_it_is_written_out(desk, world):
    async with world.ratchet(settings=desk.settings()):
        await world.client.fault("files.getUploadURLExternal", "error", error="missing_scope", times=5)
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        replies = await world.posts("ops", thread)
        assert replies.index(post) == 1 and "- users\n+ ⟨U+202E⟩nothing" in text_of(replies[0])


async def test_a_question_that_is_deleted_takes_its_request_along(desk, world):
    async with world.ratchet(settings=desk.settings()) as services:
        thread = await desk.ask()
        (post,) = await desk.requests(thread)
        await world.client.delete("ops", thread)
        async with asyncio.timeout(20):
            while await rows(services, "select 1 from approvals"):
                await asyncio.sleep(0.05)
        await desk.click(post)
        await desk.whispers("not there any more")
        assert not RUNS
