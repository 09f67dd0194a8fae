import base64
import json
from collections.abc import AsyncIterator

import httpx2
import openai
import pytest
from aiohttp import web
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from sandbox.models.server import ModelServer


class Served:
    def __init__(self, models: ModelServer, port: int) -> None:
        self.models = models
        self.url = f"http://127.0.0.1:{port}/v1"
        self.http = httpx2.AsyncClient(trust_env=False)

    def chat(self, model: str = "gpt-4o-mini", key: str = "sandbox", retries: int = 0) -> ChatOpenAI:
        return ChatOpenAI(
            model=model,
            base_url=self.url,
            api_key=SecretStr(key),
            max_retries=retries,
            stream_usage=True,
            http_async_client=self.http,
        )

    def embeddings(self, **options: object) -> OpenAIEmbeddings:
        return OpenAIEmbeddings(
            model="text-embedding-3-small",
            base_url=self.url,
            api_key=SecretStr("sandbox"),
            check_embedding_ctx_length=False,
            http_async_client=self.http,
            **options,
        )


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    models = ModelServer()
    app = web.Application()
    app.add_routes(models.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opened = Served(models, runner.addresses[0][1])
    async with opened.http:
        yield opened
    await runner.cleanup()


def get_weather(city: str) -> str:
    """Say how the weather is.

    Args:
        city: Where.
    """
    return city


class Severity(BaseModel):
    """How bad it is."""

    level: str
    score: int


async def collect(stream: AsyncIterator[AIMessageChunk]) -> AIMessageChunk:
    whole: AIMessageChunk | None = None
    async for chunk in stream:
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    return whole


async def test_a_text_arrives_whole_with_usage_and_a_finish_reason(served: Served) -> None:
    served.models.script.replace([{"match": "^hello$", "steps": [{"text": "Hello from {human}."}]}])
    answer = await served.chat().ainvoke("hello")
    assert answer.text == "Hello from hello."
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 5
    assert answer.usage_metadata["total_tokens"] == answer.usage_metadata["input_tokens"] + 5


async def test_a_stream_comes_in_pieces_and_ends_with_usage(served: Served) -> None:
    text = "The first line.\n\n```\nkubectl get pods   -A\n```\nand the   end."
    served.models.script.replace([{"match": "stream", "steps": [{"text": text}]}])
    pieces = [chunk async for chunk in served.chat().astream("stream")]
    assert len([piece for piece in pieces if piece.text]) > 2
    assert "".join(piece.text for piece in pieces) == text
    whole = await collect(served.chat().astream("stream"))
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata is not None and whole.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("streaming", [True, False])
async def test_parallel_tool_calls_arrive_whole_and_their_results_lead_on(served: Served, streaming: bool) -> None:
    cities = [{"city": "a city with a name that takes more than one fragment"}, {"city": "Oslo"}]
    calls = [{"name": "get_weather", "args": city} for city in cities]
    served.models.script.replace(
        [{"match": "weather", "steps": [{"tool_calls": calls}, {"text": "{tool[0]} and {tool[1]}"}]}]
    )
    chat = served.chat().bind_tools([get_weather])
    asked = HumanMessage("weather?")
    first = await collect(chat.astream([asked])) if streaming else await chat.ainvoke([asked])
    assert isinstance(first, AIMessage)
    assert [call["args"] for call in first.tool_calls] == cities
    assert first.response_metadata["finish_reason"] == "tool_calls"
    again = await chat.ainvoke([asked])
    assert [call["id"] for call in again.tool_calls] == [call["id"] for call in first.tool_calls]
    results = [ToolMessage(str(at), tool_call_id=call["id"]) for at, call in enumerate(first.tool_calls)]
    second = await chat.ainvoke([asked, first, *results])
    assert second.text == "0 and 1"


async def test_a_result_without_its_call_is_refused_as_openai_refuses_it(served: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="must be a response to a preceding message"):
        await served.chat().ainvoke([HumanMessage("x"), ToolMessage("y", tool_call_id="nobody")])


async def test_structured_output_comes_from_the_rule_by_schema_and_by_function(served: Served) -> None:
    rule = {"match": "how bad", "structured": {"level": "high", "score": 9}}
    served.models.script.replace([rule])
    for method in ("json_schema", "function_calling"):
        chat = served.chat().with_structured_output(Severity, method=method)
        assert await chat.ainvoke("how bad is it?") == Severity(level="high", score=9)


async def test_structured_output_without_a_rule_is_filled_from_the_text(served: Served) -> None:
    served.models.brain = "planner"
    found = await served.chat().with_structured_output(Severity).ainvoke("The level is critical, score: 7.")
    assert found == Severity(level="critical", score=7)


async def test_a_rate_limit_says_when_to_come_back_and_the_client_does(served: Served) -> None:
    limited = [{"error": 429, "retry_after": 0.2}, {"text": "served"}]
    served.models.script.replace([{"match": "busy", "steps": limited}])
    with pytest.raises(openai.RateLimitError) as caught:
        await served.chat().ainvoke("busy")
    assert caught.value.response.headers["retry-after"] == "0.2"
    assert caught.value.code == "rate_limit_exceeded"
    served.models.script.replace([{"match": "busy", "steps": limited}])
    assert (await served.chat(retries=2).ainvoke("busy")).text == "served"
    first, second = served.models.calls[-2:]
    assert second.at - first.at >= 0.2
    assert first.error == "429: the script says 429"


@pytest.mark.parametrize(("status", "error"), [(500, openai.InternalServerError), (503, openai.InternalServerError)])
async def test_server_errors_happen_as_often_as_the_step_says(
    served: Served, status: int, error: type[Exception]
) -> None:
    steps = [{"error": status, "times": 2}, {"text": "well again"}]
    served.models.script.replace([{"match": "ill", "steps": steps}])
    for _ in range(2):
        with pytest.raises(error):
            await served.chat().ainvoke("ill")
    assert (await served.chat().ainvoke("ill")).text == "well again"


async def test_a_bad_key_and_an_unknown_model_are_refused(served: Served) -> None:
    with pytest.raises(openai.AuthenticationError):
        await served.chat(key="bad").ainvoke("x")
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        await served.chat(model="missing-model").ainvoke("x")


async def test_a_malformed_tool_call_reaches_the_client_as_it_is(served: Served) -> None:
    broken = {"name": "get_weather", "arguments": '{"city": "Os'}
    served.models.script.replace([{"match": "broken", "steps": [{"malformed_tool_call": broken}]}])
    answer = await collect(served.chat().bind_tools([get_weather]).astream("broken"))
    assert answer.tool_calls == [] or answer.tool_calls[0]["args"] != {"city": "Oslo"}
    whole = await served.chat().bind_tools([get_weather]).ainvoke("broken")
    assert whole.invalid_tool_calls[0]["args"] == '{"city": "Os'


async def test_a_dropped_stream_breaks_off_once_and_then_comes_whole(served: Served) -> None:
    text = "one two three four five six seven eight nine ten"
    served.models.script.replace([{"match": "drop", "steps": [{"text": text, "drop_stream_after": 2}]}])
    seen = ""
    with pytest.raises((openai.APIError, httpx2.HTTPError, openai.APIConnectionError)):
        async for chunk in served.chat().astream("drop"):
            seen += chunk.text
    assert text.startswith(seen) and 0 < len(seen) < len(text)
    assert (await collect(served.chat().astream("drop"))).text == text


async def test_a_dropped_answer_without_a_stream_is_a_connection_error(served: Served) -> None:
    steps = [{"drop_stream_after": 1}, {"text": "later"}]
    served.models.script.replace([{"match": "drop", "steps": steps}])
    with pytest.raises(openai.APIConnectionError):
        await served.chat().ainvoke("drop")
    assert (await served.chat().ainvoke("drop")).text == "later"


async def test_slow_answers_take_their_time(served: Served) -> None:
    served.models.script.replace([{"match": "slow", "steps": [{"text": "done", "delay": 0.1}]}])
    served.models.latency = 0.05
    await served.chat().ainvoke("slow")
    assert served.models.calls[-1].ms >= 150


async def test_embeddings_are_the_same_in_both_encodings_and_honour_dimensions(served: Served) -> None:
    by_base64 = await served.embeddings().aembed_query("disk full on ingest")
    plain = served.embeddings(model_kwargs={"encoding_format": "float"})
    assert await plain.aembed_query("disk full on ingest") == pytest.approx(by_base64, abs=1e-6)
    assert len(by_base64) == 384
    assert len(await served.embeddings(dimensions=64).aembed_query("disk full")) == 64


async def test_embeddings_take_token_ids(served: Served) -> None:
    async with openai.AsyncOpenAI(base_url=served.url, api_key="sandbox") as client:
        answer = await client.embeddings.create(model="text-embedding-3-small", input=[[1, 2, 3], [1, 2, 3], [9]])
    first, second, third = (row.embedding for row in answer.data)
    assert first == second != third


async def test_models_are_listed(served: Served) -> None:
    async with openai.AsyncOpenAI(base_url=served.url, api_key="sandbox") as client:
        assert "gpt-4o-mini" in [model.id async for model in client.models.list()]


async def test_the_ledger_tells_what_was_asked_and_answered(served: Served) -> None:
    served.models.script.replace([{"match": "x", "steps": [{"tool_calls": [{"name": "get_weather"}]}]}])
    await served.chat().bind_tools([get_weather]).ainvoke("x")
    call = served.models.calls[-1]
    assert (call.kind, call.model, call.tools) == ("chat", "gpt-4o-mini", ["get_weather"])
    assert call.messages[-1]["content"] == "x"
    assert call.answer is not None and json.dumps(call.answer).count("get_weather") == 1


PNG = b"\x89PNG\r\n\x1a\n and more"


def picture(content: bytes) -> HumanMessage:
    data = base64.b64encode(content).decode()
    return HumanMessage([{"type": "text", "text": "look"}, {"type": "image", "base64": data, "mime_type": "image/png"}])


async def test_an_image_is_read_and_told_of(served: Served) -> None:
    served.models.script.replace([{"match": "^look$", "steps": [{"text": "{images}"}]}])
    assert (await served.chat().ainvoke([picture(PNG)])).text == f"image/png, {len(PNG)} bytes"
    assert (await served.chat().ainvoke("look")).text == "no images"


@pytest.mark.parametrize(("model", "content"), [("gpt-4o-mini", b"no image"), ("gpt-3.5-turbo", PNG)])
async def test_what_a_model_cannot_see_is_refused(served: Served, model: str, content: bytes) -> None:
    with pytest.raises(openai.BadRequestError):
        await served.chat(model).ainvoke([picture(content)])


async def test_an_image_is_not_fetched_from_elsewhere(served: Served) -> None:
    remote = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with pytest.raises(openai.BadRequestError):
        await served.chat().ainvoke([HumanMessage([remote])])
