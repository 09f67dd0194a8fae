"""Answers in JSON, from a model server that speaks OpenAI's and Ollama's protocol."""

from uuid import uuid4

import pytest

from agent.errors import ModelRefused
from agent.json_answers import Errand, JSONModel
from agent.models import ModelChoice, build_chat_model
from agent.redaction import Redactor
from agent.retries import ModelCaller, Price
from sandbox.client import SandboxClient
from sandbox.server import SandboxConfig, open_sandbox
from storage.access import Viewer
from tools.json_schema import Schema

SCHEMA = Schema({
    "type": "object",
    "properties": {"urgent": {"type": "boolean"}},
    "required": ["urgent"],
    "additionalProperties": False,
})  # fmt: skip
BAD = {"match": "^judge", "structured": {"urgent": "maybe"}}
GOOD = {"match": "^judge", "structured": {"urgent": True}}
REPAIRED = {"match": "does not fit", "structured": {"urgent": False}}


@pytest.fixture
async def sandbox():
    async with open_sandbox(SandboxConfig()) as running, SandboxClient(running.url) as client:
        yield running, client


@pytest.fixture
def ask(sandbox, database):
    """Asks with a script; returns the answer and what the model server was asked."""

    async def call(*rules, schema=SCHEMA, provider="openai", request="judge", times=1):
        running, client = sandbox
        await client.script(list(rules))
        url = running.openai_url if provider == "openai" else running.ollama_url
        choice = ModelChoice(provider, "gpt-4.1-mini" if provider == "openai" else "qwen2.5:7b", url, "key")
        redactor = Redactor(["hunter2hunter2"])
        caller = ModelCaller(
            database,
            model=choice.model,
            tries=2,
            prices={"gpt-4.1-mini": Price(1, 1)},
            redactor=redactor,
            wait=lambda _: 0,
        )
        chat = build_chat_model(choice)
        model = JSONModel(chat, caller, database, redactor, provider)
        for _ in range(times):
            answer = await model.ask(
                "Judge.", request, schema, errand=Errand(uuid4(), Viewer("T1", "U1", "C1")), module="judging"
            )
        if provider == "ollama":  # it has a client of its own, and no way to close it
            await chat._async_client._client.aclose()
        return answer, await client.model_calls()

    return call


async def usage(database):
    async with database.connection() as conn:
        cur = await conn.execute("select module, channel_id, requester_id, error is null from model_usage")
        return await cur.fetchall()


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_the_schema_goes_to_the_provider_and_the_call_is_recorded(ask, database, provider):
    answer, [call] = await ask(GOOD, provider=provider)
    assert answer.value == {"urgent": True} and answer.problem is None
    assert call["schema"] == SCHEMA.definition
    assert await usage(database) == [("judging", "C1", "U1", True)]


async def test_an_answer_that_does_not_fit_is_sent_back_once(ask, database):
    answer, calls = await ask(BAD, REPAIRED)
    assert answer.value == {"urgent": False} and answer.problem is None
    assert [message["role"] for message in calls[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert "'maybe' is not of type 'boolean'" in calls[1]["messages"][-1]["content"]
    assert len(await usage(database)) == 2


async def test_two_answers_that_do_not_fit_are_a_problem_and_no_third_is_asked_for(ask):
    answer, calls = await ask(BAD, {**BAD, "match": "does not fit"})
    assert answer.problem == "$.urgent: 'maybe' is not of type 'boolean'" and len(calls) == 2


async def test_a_server_that_refuses_schemas_is_asked_without_and_not_told_again(ask):
    fenced = {"match": "^judge", "steps": [{"error": 400}, {"text": '```json\n{"urgent": true}\n```', "repeat": True}]}
    answer, calls = await ask(fenced, times=2)
    assert answer.value == {"urgent": True}
    assert [call["schema"] is not None for call in calls] == [True, False, False]


async def test_a_server_that_refuses_everything_is_an_error(ask):
    with pytest.raises(ModelRefused, match="401"):
        await ask({"match": "^judge", "steps": [{"error": 401, "times": 9}]})


@pytest.mark.parametrize(
    "text", ["yes", "{", '{"urgent": NaN}', "1e999", "[-1e999]", "[" * 100_000, '{"urgent": true} or not', "9" * 5000]
)
async def test_what_is_no_json_is_a_problem(ask, text):
    rule = {"match": ".*", "steps": [{"text": text, "repeat": True}]}
    answer, _ = await ask(rule, schema=Schema(True))
    assert answer.problem and answer.problem.startswith("it is not JSON")


async def test_secrets_do_not_reach_the_model(ask):
    _, [call] = await ask(GOOD, request="judge hunter2hunter2")
    assert [message["content"] for message in call["messages"]] == ["Judge.", "judge [redacted]"]
