import base64
from collections.abc import AsyncIterator

import httpx
import ollama
import pytest
from aiohttp import web
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings
from pydantic import BaseModel

from sandbox.models.server import ModelServer


class Served:
    def __init__(self, models: ModelServer, port: int) -> None:
        self.models = models
        self.url = f"http://127.0.0.1:{port}"
        self.clients: list[ollama.AsyncClient] = []

    def client(self) -> ollama.AsyncClient:
        self.clients.append(ollama.AsyncClient(host=self.url))
        return self.clients[-1]

    def chat(self, model: str = "qwen2.5:7b") -> ChatOllama:
        chat = ChatOllama(model=model, base_url=self.url)
        self.clients.append(chat._async_client)
        return chat

    def embeddings(self) -> OllamaEmbeddings:
        embeddings = OllamaEmbeddings(model="nomic-embed-text", base_url=self.url)
        self.clients.append(embeddings._async_client)
        return embeddings


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    models = ModelServer()
    app = web.Application()
    app.add_routes(models.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opened = Served(models, runner.addresses[0][1])
    yield opened
    for client in opened.clients:
        await client._client.aclose()
    await runner.cleanup()


def get_weather(city: str) -> str:
    """Say how the weather is."""
    return city


class Severity(BaseModel):
    """How bad it is."""

    level: str
    score: int


async def test_a_stream_comes_in_pieces_and_ends_with_the_counts(served: Served) -> None:
    served.models.script.replace([{"match": "hi", "steps": [{"text": "one two three four five six seven"}]}])
    pieces = [chunk async for chunk in served.chat().astream("hi")]
    assert len([piece for piece in pieces if piece.text]) > 1
    assert "".join(piece.text for piece in pieces) == "one two three four five six seven"
    usage = [piece.usage_metadata for piece in pieces if piece.usage_metadata]
    assert usage[0]["output_tokens"] > 0


async def test_tool_calls_carry_objects_and_their_results_lead_on(served: Served) -> None:
    calls = [{"name": "get_weather", "args": {"city": city}} for city in ("Oslo", "Bergen")]
    served.models.script.replace([{"match": "weather", "steps": [{"tool_calls": calls}, {"text": "{tools}"}]}])
    chat, asked = served.chat().bind_tools([get_weather]), HumanMessage("weather?")
    first = await chat.ainvoke([asked])
    assert [call["args"] for call in first.tool_calls] == [{"city": "Oslo"}, {"city": "Bergen"}]
    results = [ToolMessage(call["args"]["city"], tool_call_id=call["id"]) for call in first.tool_calls]
    assert (await chat.ainvoke([asked, first, *results])).text == "Oslo\nBergen"
    streamed = [chunk async for chunk in chat.astream([asked])]
    assert [call["name"] for chunk in streamed for call in chunk.tool_calls] == ["get_weather", "get_weather"]


async def test_an_answer_without_a_stream_is_one_object(served: Served) -> None:
    served.models.script.replace([{"match": "hi", "steps": [{"tool_calls": [{"name": "f", "args": {"a": 1}}]}]}])
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    body = {"model": "qwen2.5:7b", "messages": [{"role": "user", "content": "hi"}], "tools": [tool], "stream": False}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = (await client.post(f"{served.url}/api/chat", json=body)).json()
    assert answer["message"]["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert answer["done"] is True and answer["prompt_eval_count"] > 0


async def test_structured_output_follows_the_format(served: Served) -> None:
    served.models.script.replace([{"match": "bad", "structured": {"level": "low", "score": 1}}])
    chat = served.chat().with_structured_output(Severity)
    assert await chat.ainvoke("how bad?") == Severity(level="low", score=1)


async def test_a_model_that_is_not_there_can_be_pulled(served: Served) -> None:
    served.models.script.replace([{"match": ".", "steps": [{"text": "here"}]}])
    with pytest.raises(ollama.ResponseError, match=r"model 'llama3\.2' not found") as caught:
        await served.chat("llama3.2").ainvoke("x")
    assert caught.value.status_code == 404
    client = served.client()
    progress = [step async for step in await client.pull("llama3.2", stream=True)]
    assert progress[0].status == "pulling manifest" and progress[-1].status == "success"
    sizes = [(step.completed, step.total) for step in progress if step.completed]
    assert len(sizes) > 2 and sizes[-1][0] == sizes[-1][1] and sizes == sorted(sizes)
    assert "llama3.2:latest" in [model.model for model in (await client.list()).models]
    assert (await served.chat("llama3.2").ainvoke("x")).text == "here"


async def test_a_pull_of_an_unknown_model_fails_as_ollama_fails(served: Served) -> None:
    client = served.client()
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        async for _ in await client.pull("missing-model", stream=True):
            pass
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        await client.pull("missing-model")
    assert not any(name.startswith("missing") for name in served.models.ollama_models)


async def test_models_are_described_and_embedding_models_do_not_chat(served: Served) -> None:
    client = served.client()
    assert (await client.show("qwen2.5:7b")).capabilities == ["completion", "tools"]
    assert (await client.show("nomic-embed-text")).capabilities == ["embedding"]
    with pytest.raises(ollama.ResponseError, match="does not support chat"):
        await served.chat("nomic-embed-text").ainvoke("x")


async def test_embeddings_have_length_one(served: Served) -> None:
    vectors = await served.embeddings().aembed_documents(["disk full", ""])
    assert [len(vector) for vector in vectors] == [384, 384]
    assert all(sum(value * value for value in vector) == pytest.approx(1) for vector in vectors)


async def test_errors_and_broken_streams_reach_the_client(served: Served) -> None:
    text = "one two three four five six seven eight nine ten"
    steps = [{"error": 503, "message": "server busy"}, {"text": text, "drop_stream_after": 1}]
    served.models.script.replace([{"match": "x", "steps": steps}])
    with pytest.raises(ollama.ResponseError, match="server busy"):
        await served.chat().ainvoke("x")
    seen: list[AIMessageChunk] = []
    with pytest.raises(httpx.RemoteProtocolError):
        async for chunk in served.chat().astream("x"):
            seen.append(chunk)
    assert [chunk.text for chunk in seen] == ["one two three four"]
    assert (await served.chat().ainvoke("x")).text == text


async def test_a_malformed_call_comes_as_text_since_ollama_parses_calls_itself(served: Served) -> None:
    broken = {"name": "get_weather", "arguments": '{"city": "Os'}
    served.models.script.replace([{"match": "x", "steps": [{"malformed_tool_call": broken}]}])
    answer = await served.chat().bind_tools([get_weather]).ainvoke("x")
    assert answer.tool_calls == [] and '{"city": "Os' in answer.text


async def test_it_greets_and_tells_its_version(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as client:
        assert (await client.head("/")).status_code == 200
        assert (await client.get("/")).text == "Ollama is running"
        assert "version" in (await client.get("/api/version")).json()


async def test_only_models_with_vision_take_images(served: Served) -> None:
    served.models.ollama_models.add("llava:7b")
    served.models.script.replace([{"match": "look", "steps": [{"text": "{images}"}]}])
    content = b"\xff\xd8\xff and more"
    data = base64.b64encode(content).decode()
    asked = [
        HumanMessage([{"type": "text", "text": "look"}, {"type": "image", "base64": data, "mime_type": "image/jpeg"}])
    ]
    assert (await served.chat("llava:7b").ainvoke(asked)).text == f"image/jpeg, {len(content)} bytes"
    assert "vision" in ((await served.client().show("llava:7b")).capabilities or [])
    assert "vision" not in ((await served.client().show("qwen2.5:7b")).capabilities or [])
    with pytest.raises(ollama.ResponseError):
        await served.chat().ainvoke(asked)
