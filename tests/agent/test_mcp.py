"""A turn with MCP tools: whatever their server does, the turn goes on, and what it says stays data."""

from langchain_core.messages import AIMessage, ToolMessage

from tests.agent.conftest import Quiet, call, this_turn
from tests.tools.mcp.conftest import desk
from tools.mcp.servers import open_servers


def once(name, **arguments):
    """A model that makes one call and repeats the beginning of what it gets."""

    def answer(messages):
        new = this_turn(messages)
        return AIMessage(f"It said: {new[-1].text[:200]}") if new else call(name, **arguments)

    return answer


async def test_the_turn_goes_on_when_a_server_dies_or_hangs(arrange, database):
    effects = {"die": "read", "rest": "read", "add": "read"}
    async with open_servers([desk(effects=effects, timeout_seconds=0.5)], database) as servers:
        for name, arguments, said in (
            ("desk__die", {}, "cut off (it ended)"),
            ("desk__rest", {"seconds": 60}, "no answer within 0.5 s"),
            ("desk__add", {"a": 1, "b": 2}, "It said: 3"),
        ):
            runner, _, question = arrange(once(name, **arguments), extra=[tool for _, tool in servers.tools()])
            asked, reply = await question("go"), Quiet()
            assert said in await runner.answer(asked, reply, reply)


async def test_a_post_that_was_cut_off_is_not_repeated(arrange, database, tmp_path):
    spec = desk(effects={"die": "post"}, NOTES=str(tmp_path / "notes"))
    async with open_servers([spec], database) as servers:
        runner, _, question = arrange(once("desk__die"), extra=[tool for _, tool in servers.tools()])
        asked, reply = await question("go"), Quiet()
        assert "whether it had an effect is unknown" in await runner.answer(asked, reply, reply)
    assert (tmp_path / "notes").read_text() == "died "
    async with database.connection() as conn:
        cur = await conn.execute("select state from effects")
        assert [state for (state,) in await cur.fetchall()] == ["intent"]  # not withdrawn: it may have happened


async def test_what_nobody_vouched_for_does_not_run_without_approval(arrange, database, tmp_path):
    spec = desk(NOTES=str(tmp_path / "notes"))
    async with open_servers([spec], database) as servers:
        runner, _, question = arrange(once("desk__die"), extra=[tool for _, tool in servers.tools()])
        asked, reply = await question("go"), Quiet()
        assert "approv" in await runner.answer(asked, reply, reply)
    assert not (tmp_path / "notes").exists()


async def test_ten_megabytes_reach_the_model_cut(arrange, database):
    async with open_servers([desk(effects={"large": "read"})], database) as servers:
        runner, model, question = arrange(
            once("desk__large", size=10_000_000), extra=[tool for _, tool in servers.tools()]
        )
        asked, reply = await question("go"), Quiet()
        assert "It said: xxx" in await runner.answer(asked, reply, reply)
        result = next(message for message in model.seen[-1] if isinstance(message, ToolMessage))
        assert len(result.text.encode()) < 66_000 and "cut: the result had 10,000,000" in result.text


async def test_a_servers_instructions_are_quoted_in_the_prompt(arrange, database):
    async with open_servers([desk(effects={"add": "read"})], database) as servers:
        for allowed, there in (({"desk__add"}, True), ({"search_messages"}, False)):
            runner, model, question = arrange(
                lambda _: AIMessage("done"), extra=[tool for _, tool in servers.tools()], allowed=allowed
            )
            runner._tool_notes = servers.instructions
            asked, reply = await question("hello"), Quiet()
            await runner.answer(asked, reply, reply)
            assert ("desk:\n> Ask count before add." in model.seen[0][0].text) is there
