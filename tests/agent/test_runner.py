"""The runner against a real database; the model is scripted in process."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.errors import NodeCancelledError

from agent.context import Requester
from agent.redaction import Redactor
from agent.retries import ModelCaller
from agent.runner import Limits, Question, Runner
from storage import conversations, leases, turns
from storage.turns import Turn
from tools.registry import CatalogueEntry, build_catalogue, load_catalogue


class Scripted(BaseChatModel):
    """Answers by a function of the messages."""

    answer: Any
    seen: list[list[BaseMessage]] = []
    tools: list[str] = []

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools, **_):
        self.tools.clear()
        self.tools.extend(entry.name for entry in tools)
        return self

    def _generate(self, messages, stop=None, run_manager=None, **_):
        raise AssertionError("sync")

    async def _agenerate(self, messages, stop=None, run_manager=None, **_):
        self.seen.append(list(messages))
        answer = self.answer(messages)
        if isinstance(answer, Exception):
            raise answer
        return ChatResult(generations=[ChatGeneration(message=answer)])


class Quiet:
    """A reply that keeps what it was told."""

    def __init__(self):
        self.steps: list[str] = []
        self.posted: list[str] = []

    def started(self): ...

    def tool_started(self, call_id, name, args):
        self.steps.append(f"{name}…")

    def tool_finished(self, call_id, name, *, ok, note):
        self.steps.append(f"{name} {'ok' if ok else 'failed'}")

    async def record(self, conn, text):
        self.posted.append(text)

    async def refresh(self, team_id, user_id): ...


@tool(extras={"effect": "read"})
async def lookup(word: str) -> str:
    """Look a word up.

    Args:
        word: the word.
    """
    return f"{word} is known"


def call(name, call_id=None, **args):
    return AIMessage(
        "", tool_calls=[{"name": name, "args": args, "id": call_id or f"c{uuid4().hex[:8]}", "type": "tool_call"}]
    )


def this_turn(messages):
    """Messages after the last human one."""
    last = max(i for i, message in enumerate(messages) if isinstance(message, HumanMessage))
    return messages[last + 1 :]


@pytest.fixture
def arrange(database):
    """Builds a runner and a way to ask it in one thread."""

    def build(answer, *, extra=(lookup,), limits=Limits(), allowed=None, tries=3, redactor=Redactor()):
        catalogue: list[CatalogueEntry] = [*load_catalogue(), *build_catalogue(("test", entry) for entry in extra)]
        model = Scripted(answer=answer, seen=[], tools=[])
        caller = ModelCaller(database, model="scripted", tries=tries, prices={}, redactor=redactor, wait=lambda _: 0.0)
        runner = Runner(database, model, catalogue, caller=caller, limits=limits, redactor=redactor)
        names = frozenset(entry.name for entry in catalogue) if allowed is None else frozenset(allowed)

        async def question(text, *, thread_ts="100.000001", ts=None, turn_id: UUID | None = None, restricted=False):
            turn_id = turn_id or uuid4()
            ts = ts or f"{100 + len(model.seen)}.{uuid4().int % 10**6:06}"
            async with database.connection() as conn:
                await turns.insert(
                    conn,
                    turn_id=turn_id,
                    team_id="T1",
                    channel_id="C1",
                    thread_ts=thread_ts,
                    message_ts=ts,
                    requester_id="U1",
                    source="mention",
                    question=text,
                )
                turn = await turns.begin(conn, turn_id)
                assert turn
                lease = await leases.take(conn, turn.thread_key)
            return Question(
                turn=turn,
                lease=lease,
                requester=Requester("U1", "oncall-a", restricted),
                channel_label="#ops",
                workspace_url="https://x.slack.com/",
                allowed_tools=names,
            )

        return runner, model, question

    return build


async def stored(database, turn_id) -> Turn:
    async with database.connection() as conn:
        turn = await turns.get(conn, turn_id)
    assert turn
    return turn


async def test_a_turn_calls_a_tool_and_records_its_answer(arrange, database):
    def answer(messages):
        new = this_turn(messages)
        return AIMessage(f"So: {new[-1].text}") if new else call("lookup", word="pg")

    runner, model, question = arrange(answer)
    asked, reply = await question("what is pg?"), Quiet()
    assert await runner.answer(asked, reply, reply) == "So: pg is known"
    assert reply.steps == ["lookup…", "lookup ok"] and reply.posted == ["So: pg is known"]
    turn = await stored(database, asked.turn.turn_id)
    assert (turn.status, turn.answer) == ("answered", "So: pg is known")
    assert model.seen[0][0].type == "system" and "#ops" in model.seen[0][0].text
    async with database.connection() as conn:
        rows = await conversations.list_messages(conn, turn.thread_key, after_seq=0)
        usage = await (await conn.execute("select module, error, turn_id from model_usage")).fetchall()
        audit = await (await conn.execute("select who, action, details->>'tool' from audit_logs")).fetchall()
    assert [row.message["type"] for row in rows] == ["human", "ai", "tool", "ai"]
    assert usage == [("agent", None, turn.turn_id)] * 2 and audit == [("U1", "tool_run", "lookup")]


async def test_the_next_turn_sees_the_thread_and_its_checkpoint_does_not_hold_it(arrange, database):
    runner, model, question = arrange(lambda messages: AIMessage(f"{len(messages)} messages"))
    for text in ("first", "second"):
        asked, reply = await question(text), Quiet()
        await runner.answer(asked, reply, reply)
    assert [message.text for message in model.seen[1][1:]] == ["first", "2 messages", "second"]
    state = await runner.graph.aget_state(
        {"configurable": {"thread_id": f"{asked.turn.thread_key}#{asked.turn.turn_id}"}}
    )
    assert [message.text for message in state.values["messages"]] == ["second", "4 messages"]


async def test_answering_a_turn_again_does_nothing_twice(arrange, database):
    calls = []

    def answer(messages):
        calls.append(1)
        return AIMessage("once")

    runner, _, question = arrange(answer)
    asked, reply = await question("hello"), Quiet()
    await runner.answer(asked, reply, reply)
    assert await runner.answer(asked, reply, reply) == "once" and len(calls) == 1
    async with database.connection() as conn:
        assert len(await conversations.list_messages(conn, asked.turn.thread_key, after_seq=0)) == 2


async def test_a_cut_off_turn_resumes_without_repeating_finished_calls(arrange, database):
    runs = []
    stop = True

    @tool(extras={"effect": "read"})
    async def slow(step: int) -> str:
        """Run a step."""
        runs.append(step)
        if step == 2 and stop:
            raise asyncio.CancelledError
        return f"step {step} done"

    def answer(messages):
        done = len(this_turn(messages))
        return AIMessage("finished") if done >= 4 else call("slow", step=1 + done // 2)

    runner, _, question = arrange(answer, extra=(slow,))
    asked, reply = await question("go"), Quiet()
    with pytest.raises(NodeCancelledError):
        await runner.answer(asked, reply, reply)
    stop = False
    assert await runner.answer(asked, reply, reply) == "finished"
    assert runs == [1, 2, 2]


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


async def test_a_stale_worker_can_write_nothing(arrange, database):
    runner, _, question = arrange(lambda _: AIMessage("late"))
    asked, reply = await question("hello"), Quiet()
    async with database.connection() as conn:
        await leases.take(conn, asked.turn.thread_key)
    with pytest.raises(leases.LeaseLost):
        await runner.answer(asked, reply, reply)
    async with database.connection() as conn:
        counts = await (
            await conn.execute(
                "select (select count(*) from checkpoints), (select count(*) from "
                "conversation_messages), (select count(*) from checkpoint_writes)"
            )
        ).fetchone()
    assert counts == (0, 0, 0) and not reply.posted


@pytest.mark.parametrize("limits", [Limits(model_calls=4), Limits(tool_calls=3), Limits(turn_seconds=0.001)])
async def test_a_model_that_never_stops_is_asked_once_without_tools(arrange, limits):
    def answer(messages):
        return (
            AIMessage("I stopped at a limit.") if "reached the limit" in messages[-1].text else call("lookup", word="x")
        )

    runner, model, question = arrange(answer, limits=limits)
    asked, reply = await question("loop"), Quiet()
    assert await runner.answer(asked, reply, reply) == "I stopped at a limit."
    assert len(model.seen) <= limits.model_calls


async def test_even_a_model_that_ignores_the_limit_ends(arrange):
    runner, _, question = arrange(lambda _: call("lookup", word="x"), limits=Limits(model_calls=3))
    asked, reply = await question("loop"), Quiet()
    assert "stopped at a limit" in await runner.answer(asked, reply, reply)


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


class Overloaded(Exception):
    status_code = 503


class Unauthorised(Exception):
    status_code = 401


async def test_a_failing_model_is_tried_again_and_every_try_is_recorded(arrange, database):
    failures = [Overloaded("busy"), AIMessage(""), AIMessage("at last")]
    runner, _, question = arrange(lambda _: failures.pop(0), tries=4)
    asked, reply = await question("hello"), Quiet()
    assert await runner.answer(asked, reply, reply) == "at last"
    async with database.connection() as conn:
        errors = await (await conn.execute("select error from model_usage order by usage_id")).fetchall()
    assert errors == [("HTTP 503: busy",), ("an empty answer",), (None,)]


@pytest.mark.parametrize(
    ("error", "tries", "says"), [(Overloaded("busy"), 3, "3 tries"), (Unauthorised("no"), 1, "refuses")]
)
async def test_a_model_that_stays_away_is_told_to_the_user(arrange, database, error, tries, says):
    runner, model, question = arrange(lambda _: error, tries=3)
    asked, reply = await question("hello"), Quiet()
    assert says in await runner.answer(asked, reply, reply) and reply.posted and says in reply.posted[0]
    assert len(model.seen) == tries and (await stored(database, asked.turn.turn_id)).status == "failed"


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


async def test_a_long_thread_is_compacted_and_keeps_its_last_turns(arrange, database):
    def answer(messages):
        if "Summarise the earlier part" in messages[-1].text:
            return AIMessage("SUMMARY OF OLD TURNS")
        new = this_turn(messages)
        return AIMessage("fine " * 50) if new else call("lookup", word="w" * 3000)

    runner, model, question = arrange(answer, limits=Limits(history_tokens=2000, keep_turns=2))
    for number in range(12):
        asked, reply = await question(f"question {number}"), Quiet()
        await runner.answer(asked, reply, reply)
    last = model.seen[-1]
    text = "\n".join(message.text for message in last)
    assert "SUMMARY OF OLD TURNS" in text and "question 10" in text and "question 1\n" not in text
    assert len(text) < 2 * 4 * 2000 + 8000


async def test_time_limit_counts_from_the_turns_first_start(arrange, database):
    runner, _, question = arrange(lambda messages: AIMessage("limit" if "limit" in messages[-1].text else "plain"))
    asked, reply = await question("hello"), Quiet()
    async with database.connection() as conn:
        await conn.execute("update turns set started_at = now() - interval '11 minutes'")
        turn = await turns.get(conn, asked.turn.turn_id)
    assert turn and turn.started_at and turn.started_at < datetime.now(UTC)
    late = Question(**{**asked.__dict__, "turn": turn})
    assert await runner.answer(late, reply, reply) == "limit"
