"""What stands between a tool call and its execution."""

import asyncio

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.errors import NodeCancelledError

from agent.evidence import EVIDENCE
from agent.question import Limits
from agent.redaction import Redactor
from tests.agent.conftest import Quiet, call, this_turn


async def test_an_effect_cut_off_is_not_run_again(arrange, database):
    runs, cut = [], True

    @tool(extras={"effect": "post"})
    async def page(who: str) -> str:
        """Page someone."""
        runs.append(who)
        if cut:
            raise asyncio.CancelledError
        return "paged"

    def answer(messages):
        new = this_turn(messages)
        return AIMessage(new[-1].text) if new else call("page", who="dba")

    runner, _, question = arrange(answer, extra=(page,))
    asked, reply = await question("page the dba"), Quiet()
    with pytest.raises(NodeCancelledError):
        await runner.answer(asked, reply, reply)
    cut = False
    assert "may or may not have happened" in await runner.answer(asked, reply, reply)
    assert runs == ["dba"]


async def test_calls_of_one_answer_beyond_the_limit_do_not_run(arrange):
    runs = []

    @tool(extras={"effect": "read"})
    async def count(number: int) -> str:
        """Count."""
        runs.append(number)
        return "ok"

    def answer(messages):
        new = this_turn(messages)
        if new:
            return AIMessage("done")
        calls = [{"name": "count", "args": {"number": i}, "id": f"c{i}", "type": "tool_call"} for i in range(10)]
        return AIMessage("", tool_calls=calls)

    runner, _, question = arrange(answer, extra=(count,), limits=Limits(tool_calls=4))
    asked, reply = await question("count"), Quiet()
    await runner.answer(asked, reply, reply)
    assert sorted(runs) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda: call("no_such_tool"), "There is no tool"),
        (lambda: call("lookup", wrong=1), "word"),
        (
            lambda: AIMessage(
                "",
                invalid_tool_calls=[
                    {"name": "lookup", "args": "{oops", "id": "c1", "error": None, "type": "invalid_tool_call"}
                ],
            ),
            "not valid JSON",
        ),
        (
            lambda: AIMessage(
                "",
                tool_calls=[{"name": "lookup", "args": {"word": w}, "id": "same", "type": "tool_call"} for w in "ab"],
            ),
            "b is known",
        ),
    ],
)
async def test_what_a_model_gets_wrong_comes_back_to_it_as_a_result(arrange, broken, says):
    def answer(messages):
        new = this_turn(messages)
        results = [message for message in new if isinstance(message, ToolMessage)]
        return AIMessage(" / ".join(message.text for message in results)) if results else broken()

    runner, _, question = arrange(answer)
    asked, reply = await question("try"), Quiet()
    assert says in await runner.answer(asked, reply, reply)
    again = await question("and again")
    assert await runner.answer(again, reply, reply)


async def test_a_tools_exception_shows_the_model_its_type_only(arrange):
    @tool(extras={"effect": "read"})
    async def broken() -> str:
        """Break."""
        raise RuntimeError("password is hunter22")

    def answer(messages):
        new = this_turn(messages)
        return AIMessage(new[-1].text) if new else call("broken")

    runner, _, question = arrange(answer, extra=(broken,))
    asked, reply = await question("break"), Quiet()
    text = await runner.answer(asked, reply, reply)
    assert "RuntimeError" in text and "hunter22" not in text


async def test_the_gate_denies_what_no_policy_lists_and_hides_it_from_the_model(arrange, database):
    def answer(messages):
        new = this_turn(messages)
        return AIMessage(new[-1].text) if new else call("lookup", word="x")

    runner, model, question = arrange(answer, allowed=["list_channels"])
    asked, reply = await question("look"), Quiet()
    assert "policy" in await runner.answer(asked, reply, reply)
    assert model.tools == ["list_channels"]
    async with database.connection() as conn:
        assert await (await conn.execute("select action from audit_logs")).fetchall() == [("tool_denied",)]


async def test_guests_may_use_no_tools(arrange):
    def answer(messages):
        new = this_turn(messages)
        return AIMessage(new[-1].text) if new else call("lookup", word="x")

    runner, _, question = arrange(answer)
    asked, reply = await question("look", restricted=True), Quiet()
    assert "guests" in await runner.answer(asked, reply, reply)


async def test_a_change_does_not_run_without_approval(arrange):
    runs = []

    @tool(extras={"effect": "change"})
    async def drop_table(table: str) -> str:
        """Drop a table."""
        runs.append(table)
        return "dropped"

    def answer(messages):
        new = this_turn(messages)
        return AIMessage(new[-1].text) if new else call("drop_table", table="users")

    runner, _, question = arrange(answer, extra=(drop_table,))
    asked, reply = await question("drop it"), Quiet()
    assert "approval" in await runner.answer(asked, reply, reply) and not runs


async def test_secrets_reach_neither_the_model_nor_the_answer(arrange, database):
    token = "xoxb-" + "1234567890-abcdefghij"

    @tool(extras={"effect": "read"})
    async def leak() -> str:
        """Leak."""
        return f"token {token} and my-configured-secret"

    def answer(messages):
        new = this_turn(messages)
        return AIMessage(new[-1].text + " my-configured-secret") if new else call("leak")

    runner, model, question = arrange(answer, extra=(leak,), redactor=Redactor(["my-configured-secret"]))
    asked, reply = await question("leak"), Quiet()
    text = await runner.answer(asked, reply, reply)
    assert token not in text and "my-configured-secret" not in text
    assert token not in str(model.seen)


async def test_a_huge_result_is_cut_for_the_model(arrange):
    @tool(extras={"effect": "read"})
    async def dump() -> str:
        """Dump."""
        return "é" * 50_000

    def answer(messages):
        new = this_turn(messages)
        return AIMessage(str(len(new[-1].text.encode()))) if new else call("dump")

    runner, _, question = arrange(answer, extra=(dump,), limits=Limits(result_bytes=2000))
    asked, reply = await question("dump"), Quiet()
    assert int(await runner.answer(asked, reply, reply)) < 2200


async def test_secrets_in_arguments_are_not_shown(arrange):
    @tool(extras={"effect": "read"})
    async def look(url: str, limit: int, headers: list[str]) -> str:
        """Look somewhere."""
        return "nothing"

    def answer(messages):
        wanted = call("look", url="https://u:my-configured-secret@host/", limit=5, headers=["my-configured-secret"])
        return AIMessage("done") if this_turn(messages) else wanted

    runner, _, question = arrange(answer, extra=(look,), redactor=Redactor(["my-configured-secret"]))
    asked, reply = await question("go"), Quiet()
    await runner.answer(asked, reply, reply)
    assert reply.shown[0]["limit"] == 5
    assert "my-configured-secret" not in str(reply.shown)


async def test_the_evidence_names_a_call_as_it_was_shown_while_it_ran(arrange):
    @tool(extras={"effect": "read"})
    async def look(url: str) -> str:
        """Look somewhere."""
        return "nothing"

    dsn = f"postgres://ratchet-readonly:{'hunter22' * 10}@db.internal/ratchet"  # cut, its end is no secret any more

    def answer(messages):
        return AIMessage("It is so [e1].") if this_turn(messages) else call("look", url=dsn)

    runner, _, question = arrange(answer, extra=(look,))
    asked, reply = await question("go"), Quiet()
    text = await runner.answer(asked, reply, reply)
    assert text == f"It is so [1].\n\n{EVIDENCE}\n- [1] {reply.titles[0]}"
    assert "redacted" in text and "hunter22" not in text
