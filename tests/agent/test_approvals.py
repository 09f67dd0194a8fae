"""A change waits for people's decision, and whatever dies in between, it runs once or not at all."""

import asyncio
from dataclasses import replace
from typing import Annotated

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.errors import NodeCancelledError
from pydantic import AfterValidator

from agent.approvals import describe_problem
from agent.runner import Waiting
from storage import approvals, effects, leases, turns
from tests.agent.conftest import Quiet, call, stored, this_turn
from tools.context import Preview


class People:
    """Implements ``Approving``: notes what it is asked, and fails where it is told to."""

    minutes = 15
    self_approval = False

    def __init__(self, *names, fails=0):
        self.names = names or ("U2",)
        self.fails = fails
        self.asked = []
        self.told = []

    async def approvers(self):
        return self.names

    def permalink(self, channel_id, ts, thread_ts):
        return f"https://x.slack.com/archives/{channel_id}/p{ts}"

    def show(self, text):
        return text

    async def ask(self, conn, approval):
        if self.fails:
            self.fails -= 1
            raise ConnectionError("away")
        self.asked.append(approval)

    async def tell(self, conn, approval):
        self.told.append(approval)


@pytest.fixture
def change(arrange, database):
    """A tool ``drop`` of effect change, and a way to bring its turn forward as the jobs do."""

    class Change:
        def __init__(self):
            self.runs = []
            self.previews = 0
            self.dies = set()
            self.people = People()

        async def begin(self, *, idempotent=False, answer=None):
            change = self

            async def preview(args, context):
                change.previews += 1
                change.die("preview")
                return Preview(f"drop {args['table']}", bound={"version": "1"})

            @tool(extras={"effect": "change", "preview": preview, "idempotent": idempotent})
            async def drop(table: str) -> str:
                """Drop a table."""
                change.runs.append(table)
                change.die("tool")
                return f"dropped {table}"

            def simple(messages):
                new = this_turn(messages)
                return AIMessage(new[-1].text) if new else call("drop", "c1", table="users")

            self.runner, self.model, self.ask = arrange(answer or simple, extra=(drop,))
            self.question = replace(await self.ask("drop it"), approving=self.people)
            return await self.go_on()

        def die(self, where):
            if where in self.dies:
                self.dies.remove(where)
                raise asyncio.CancelledError

        async def go_on(self):
            """Another worker takes the turn; returns the answer, or None while it waits."""
            turn = self.question.turn
            async with database.connection() as conn, conn.transaction():
                lease = await leases.take(conn, turn.thread_key)
                turn = await turns.resume(conn, lease, turn.turn_id) or await turns.begin(conn, turn.turn_id)
            self.question = replace(self.question, turn=turn, lease=lease)
            reply = Quiet()
            try:
                return await self.runner.answer(self.question, reply, reply)
            except Waiting:
                assert (await stored(database, turn.turn_id)).status == "waiting"
                return None

        async def decide(self, status="approved", *, user="U2", number=-1, **said):
            found = self.people.asked[number]
            async with database.connection() as conn:
                return await approvals.decide(conn, found.approval_id, found.digest, user, status, **said)

    return Change()


async def test_a_change_waits_and_runs_once_approved(change, database):
    assert await change.begin() is None and not change.runs
    assert await change.go_on() is None, "nobody has decided"
    assert change.previews == 1 and len({approval.approval_id for approval in change.people.asked}) == 1
    assert await change.decide()
    assert await change.go_on() == "dropped users"
    assert change.runs == ["users"]
    assert await change.go_on() == "dropped users" and change.runs == ["users"]


async def test_a_turn_that_fails_takes_its_requests_back(change, database):
    await change.begin()
    await change.runner.fail(change.question, Quiet(), notice="Sorry.", error="away")
    assert [(told.status, told.reason) for told in change.people.told] == []
    await change.decide()
    async with database.connection() as conn, conn.transaction():
        assert await turns.resume(conn, change.question.lease, change.question.turn.turn_id)
    await change.runner.fail(change.question, Quiet(), notice="Sorry.", error="away")
    assert [(told.status, told.reason) for told in change.people.told] == [("void", "the turn failed")]
    assert not change.runs


async def test_killed_before_the_request_is_stored_it_is_made_by_the_next_run(change):
    change.dies = {"preview"}
    with pytest.raises((asyncio.CancelledError, NodeCancelledError)):
        await change.begin()
    assert not change.people.asked
    assert await change.go_on() is None and len(change.people.asked) == 1


async def test_killed_between_the_request_and_its_post_it_is_posted_by_the_next_run(change, database):
    change.people.fails = 1
    with pytest.raises(ConnectionError):
        await change.begin()
    assert (await stored(database, change.question.turn.turn_id)).status == "running"
    assert await change.go_on() is None and change.previews == 1
    async with database.connection() as conn:
        assert await (await conn.execute("select count(*) from approvals")).fetchall() == [(1,)]


async def test_killed_in_the_change_it_is_not_run_again(change):
    await change.begin()
    await change.decide()
    change.dies = {"tool"}
    with pytest.raises((asyncio.CancelledError, NodeCancelledError)):
        await change.go_on()
    assert "may or may not have happened" in await change.go_on()
    assert change.runs == ["users"]


async def test_killed_in_a_change_that_can_be_repeated_it_is_run_again_with_the_same_approval(change):
    await change.begin(idempotent=True)
    await change.decide()
    change.dies = {"tool"}
    with pytest.raises((asyncio.CancelledError, NodeCancelledError)):
        await change.go_on()
    assert await change.go_on() == "dropped users"
    assert change.runs == ["users", "users"] and len(change.people.asked) == 1


async def test_an_approval_counts_once(change, database):
    await change.begin()
    await change.decide()
    turn = change.question.turn
    async with database.connection() as conn:
        await approvals.use(conn, change.people.asked[0].approval_id)  # and nothing became of it
        assert await effects.find(conn, turn.turn_id, "c1") is None
        await conn.execute("update approvals set used_at = null")
        await conn.execute("update turns set status = 'running'")
        await conn.execute("update approvals set used_at = now()")
    assert "used already" in await change.go_on()
    assert not change.runs
    (told,) = change.people.told  # its message in Slack no longer says that it was approved, and nothing more
    assert told.status == "void" and told.reason == (
        "its approval was used already, by an attempt that ended without doing anything."
    )


async def test_after_a_rejection_the_model_may_propose_something_else(change, database):
    def answer(messages):
        results = [m for m in this_turn(messages) if isinstance(m, ToolMessage)]
        if len(results) < 2:
            return call("drop", f"c{len(results)}", table=["users", "sessions"][len(results)])
        return AIMessage(" / ".join(result.text for result in results))

    assert await change.begin(answer=answer) is None
    assert await change.decide("rejected", reason="too much")
    assert await change.go_on() is None
    assert change.people.asked[-1].arguments == {"table": "sessions"}
    assert await change.decide()
    text = await change.go_on()
    assert "too much" in text and "dropped sessions" in text and change.runs == ["sessions"]


async def test_what_is_found_while_a_turn_waits_has_other_references_than_what_that_turn_found(change, database):
    def answer(messages):
        if this_turn(messages):
            return AIMessage("I have looked.")
        if messages[-1].text == "meanwhile":
            return call("list_channels", "c1")
        both = [call("list_channels", "c1"), call("drop", "c2", table="users")]
        return AIMessage("", tool_calls=[each.tool_calls[0] for each in both])

    def shown():
        results = [m for m in change.model.seen[-1] if isinstance(m, ToolMessage) and m.status != "error"]
        return [m.text.split("\n")[0] for m in results]

    assert await change.begin(answer=answer) is None
    asked, reply = await change.ask("meanwhile"), Quiet()
    await change.runner.answer(asked, reply, reply)
    assert shown() == ["[e2]"]
    assert await change.decide()
    assert await change.go_on()
    assert change.runs == ["users"] and shown() == ["[e2]", "[e1]", "[e4]"]


async def test_only_one_of_two_decisions_counts(change):
    change.people.names = ("U2", "U3")
    await change.begin()
    both = await asyncio.gather(change.decide(), change.decide("rejected", user="U3"))
    assert sum(decision is not None for decision in both) == 1


@pytest.mark.parametrize(
    ("statement", "user"),
    [
        ("select 1", "U1"),
        ("select 1", "U9"),
        ("update approvals set expires_at = now()", "U2"),
        ("update approvals set digest = 'x'", "U2"),
        ("update turns set status = 'failed'", "U2"),
        ("insert into users (team_id, user_id, name, is_bot) values ('T1', 'U2', 'robot', true)", "U2"),
    ],
    ids=["requester", "not named", "expired", "changed", "turn is over", "bot"],
)
async def test_who_and_what_does_not_count(change, database, statement, user):
    change.people.names = ("U1", "U2")
    await change.begin()
    async with database.connection() as conn:
        await conn.execute(statement)
    assert await change.decide(user=user) is None


async def test_a_policy_that_changed_since_counts(change):
    await change.begin()
    await change.decide()
    change.question = replace(change.question, allowed_tools=frozenset({"lookup"}))
    assert "policy" in await change.go_on()
    assert not change.runs


async def test_while_a_turn_waits_its_time_stands_still_and_its_thread_goes_on(change, database):
    await change.begin()
    turn = change.question.turn
    async with database.connection() as conn:
        await conn.execute("update turns set started_at = now() - interval '1 hour', attempts = 4")
        assert await turns.oldest_unsettled(conn, turn) is None
    await change.decide()
    async with database.connection() as conn:
        assert await turns.oldest_unsettled(conn, turn) == turn.turn_id
    assert await change.go_on() == "dropped users"
    assert (await stored(database, turn.turn_id)).attempts == 1


async def test_arguments_are_checked_against_the_tool():
    @tool
    async def scale(service: str, count: int = 1) -> str:
        """Scale."""
        return ""

    assert describe_problem(scale, {"service": "api", "count": 2}) is None
    assert "count" in describe_problem(scale, {"service": "api", "count": "many"})
    assert "service" in describe_problem(scale, {})
    assert "replicas" in describe_problem(scale, {"service": "api", "replicas": 2})
    scale.args_schema = {
        "type": "object",
        "properties": {"service": {"type": "string"}},
        "required": ["service"],
        "additionalProperties": False,
    }
    assert describe_problem(scale, {"service": "api"}) is None
    assert describe_problem(scale, {"service": 1}).startswith("service: 1 is not of type 'string'")


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({"$ref": "http://169.254.169.254/latest"}, "outside of itself"),
        ({"$ref": "#/$defs/none"}, "cannot be resolved"),
        ({"type": "strin"}, "strin"),
        ({"$ref": "#"}, "is not of type 'object'"),
        ({"$ref": "#/properties/service"}, "nested too deeply"),
        ({"pattern": "^(a+)+$"}, None),
        ({"pattern": r"\p{L}"}, None),
    ],
)
async def test_no_schema_of_a_stranger_breaks_or_holds_up_the_check_of_arguments(service, words):
    @tool
    async def scale(service: str) -> str:
        """Scale."""
        return ""

    scale.args_schema = {"type": "object", "properties": {"service": service}}
    problem = describe_problem(scale, {"service": "a" * 40 + "!"})
    assert problem is None if words is None else words in problem


async def test_a_check_of_arguments_that_raises_is_a_problem_in_words():
    def fails(value):
        raise KeyError(value)

    @tool
    async def scale(service: Annotated[str, AfterValidator(fails)]) -> str:
        """Scale."""
        return ""

    assert describe_problem(scale, {"service": "api"}) == "its arguments could not be checked (KeyError)."
