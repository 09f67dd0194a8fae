"""Model and tool calls are recorded with the step that they tell of, also when a run is cut off."""

import asyncio

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.errors import NodeCancelledError

from agent.records import Records
from agent.redaction import KEPT, PATTERNS, Redactor
from storage import leases
from storage.audit import Entry
from tests.agent.conftest import Quiet, call, this_turn


async def recorded(database):
    async with database.connection() as conn:
        calls = await (await conn.execute("select module, error from model_usage order by usage_id")).fetchall()
        acts = await (
            await conn.execute("select action, details->>'tool' from audit_logs order by audit_id")
        ).fetchall()
    return calls, acts


async def test_a_finished_call_is_recorded_before_the_next_one_begins(arrange, database):
    seen = []

    @tool(extras={"effect": "read"})
    async def look(step: int) -> str:
        """Look at what is recorded so far."""
        seen.append(await recorded(database))
        return "looked"

    def answer(messages):
        done = len(this_turn(messages))
        return AIMessage("done") if done >= 4 else call("look", step=done)

    runner, _, question = arrange(answer, extra=(look,))
    asked, reply = await question("go"), Quiet()
    await runner.answer(asked, reply, reply)
    one, two = [("agent", None)], [("agent", None)] * 2
    assert seen == [(one, []), (two, [("tool_run", "look")])]
    assert await recorded(database) == ([("agent", None)] * 3, [("tool_run", "look")] * 2)


async def test_what_a_cut_off_run_did_is_recorded(arrange, database):
    @tool(extras={"effect": "read"})
    async def stuck(step: int) -> str:
        """Never return."""
        raise asyncio.CancelledError

    runner, _, question = arrange(lambda _: call("stuck", step=1), extra=(stuck,))
    asked, reply = await question("go"), Quiet()
    with pytest.raises(NodeCancelledError):
        await runner.answer(asked, reply, reply)
    assert (await recorded(database))[0] == [("agent", None)]


async def test_a_model_call_under_a_lost_lease_is_recorded_though_its_result_is_not(arrange, database):
    async def lose():
        async with database.connection() as conn:
            await leases.take(conn, asked.turn.thread_key)

    tasks = []

    def answer(messages):
        tasks.append(asyncio.ensure_future(lose()))
        return AIMessage("late")

    runner, model, question = arrange(answer)
    asked, reply = await question("hello"), Quiet()
    generate = type(model)._agenerate

    async def then_lose(self, messages, **options):
        result = await generate(self, messages, **options)
        await tasks[-1]
        return result

    type(model)._agenerate = then_lose
    try:
        with pytest.raises(leases.LeaseLost):
            await runner.answer(asked, reply, reply)
    finally:
        type(model)._agenerate = generate
    assert (await recorded(database))[0] == [("agent", None)] and not reply.posted


async def test_rows_that_could_not_be_written_are_kept(database):
    records = Records(entries=[Entry("U1", None, {})])  # the action is missing: the table refuses it
    with pytest.raises(Exception, match="action"):
        await records.flush(database)
    records.entries = [Entry("U1", "tool_run", {"tool": "lookup"}), *records.entries[1:]]
    await records.flush(database)
    assert not records and await recorded(database) == ([], [("tool_run", "lookup")])


SECRETS = [
    "xoxb-1234567890-abc", "xapp-1-ABCDEFGHIJ-1", "https://hooks.slack.com/services/T00000000/B00000000/abcdefgh",
    "sk-proj-abcdefghijklmnopqrstuv", "sk-abcdefghijklmnopqrstuv", *(f"gh{kind}_{'a' * 36}" for kind in "pousr"),
    f"github_pat_{'a' * 40}", f"glpat-{'a' * 22}", "AKIAABCDEFGHIJKLMNOP", "ASIAABCDEFGHIJKLMNOP", f"AIza{'a' * 35}",
    f"eyJ{'a' * 12}.eyJ{'b' * 12}.{'c' * 12}", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
    "postgres://ratchet:hunter22@db/x", "password=hunter22", "PASSWD: hunter22", "Secret = 'hunter22'", "apikey=hunter22",
    "API_KEY=hunter22", "access-token: hunter22", "auth_token=hunter22", "client_secret=hunter22",
    "pa\u017f\u017fword=hunter22", "api_\u212aey=hunter22", "Bearer abcdefghijklmnopqrst", "basic abcdefghijklmnopqrst",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
def test_the_quick_look_for_secrets_misses_none_that_the_patterns_find(secret):
    thorough = PATTERNS.sub("[redacted]", f"see {secret} there")
    for pattern, _ in KEPT:
        thorough = pattern.sub(r"\g<keep>[redacted]", thorough)
    assert "[redacted]" in thorough
    assert Redactor().clean(f"see {secret} there") == thorough


KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("text", "standing", "brings"),
    [
        ("password: hunter2hunter2", "", True),
        (" password: hunter2hunter2\n+more", "password: hunter2hunter2", False),
        ("-x password: hunter2hunter2\n+y password: hunter2hunter2", "x password: hunter2hunter2", False),
        ("-password: hunter2hunter2\n+password: another-secret", "password: hunter2hunter2", True),
        ("+configured-secret", "nothing of it", True),
        ("+configured-secret", "configured-secret", False),
        ("".join(f" {line}\n" for line in KEY.splitlines()), KEY, False),
        (KEY.replace("\nMIIE", "\n+rm -rf /\n MIIE"), KEY, True),
        ("nothing", "password: hunter2hunter2", False),
    ],
)
def test_a_text_brings_a_secret_that_did_not_stand_there(text, standing, brings):
    assert Redactor(["configured-secret"]).brings(text, standing) is brings
