"""Serves the OpenAI- and Ollama-compatible API; the answers come from a script or from the planner."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from aiohttp import web

from sandbox.models import ollama, openai, planner
from sandbox.models.chat import JSON, ChatRequest, ModelFailure, Reply, count_usage
from sandbox.models.script import Script

Brain = Literal["script", "planner"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_LEDGER_SIZE = 20_000
_LEDGER_MESSAGES = 1_000


@dataclass
class ModelCall:
    """One request, as the ledger keeps it.

    `at` is epoch seconds, `ms` its duration, `tools` the names offered, `schema` what the answer was to fit. Tokens
    are those that a chat answer reports.
    """

    at: float
    kind: str
    model: str
    messages: list[JSON] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    schema: Any = None
    answer: JSON | None = None
    error: str | None = None
    ms: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0


class ModelServer:
    """A model server for one process.

    Attributes:
        brain: Where answers come from; can be changed while it serves.
        script: The rules of the script brain.
        calls: The latest 20,000 requests, oldest first; only the latest 1,000 keep their messages.
        latency: Seconds before every chat answer and embedding.
        chunk_delay: Seconds between the chunks of a stream, where the answer sets none itself.
        pull_delay: Seconds between the lines of a pull's progress.
        embedding_failures: What the next requests for embeddings are refused with, one each.
        ollama_models: What is installed, with tags; pulls add to it.
    """

    def __init__(self, brain: Brain = "script") -> None:
        self.brain: Brain = brain
        self.script = Script()
        self.calls: list[ModelCall] = []
        self.latency = 0.0
        self.chunk_delay = 0.0
        self.pull_delay = 0.0
        self.embedding_failures: list[ModelFailure] = []
        self.ollama_models: set[str] = {"qwen2.5:7b", "nomic-embed-text:latest"}

    def routes(self) -> list[web.RouteDef]:
        """OpenAI's routes under /v1, Ollama's under /api, and Ollama's greeting at the root."""
        return [
            web.post("/v1/chat/completions", _as_openai(self._openai_chat)),
            web.post("/v1/embeddings", _as_openai(self._openai_embed)),
            web.get("/v1/models", _as_openai(self._openai_models)),
            web.post("/api/chat", _as_ollama(self._ollama_chat)),
            web.post("/api/embed", _as_ollama(self._ollama_embed)),
            web.post("/api/pull", _as_ollama(self._ollama_pull)),
            web.post("/api/show", _as_ollama(self._ollama_show)),
            web.get("/api/tags", _as_ollama(self._ollama_tags)),
            web.get("/api/version", _as_ollama(self._ollama_version)),
            web.get("/", _as_ollama(self._greet)),
        ]

    # OpenAI

    async def _openai_chat(self, request: web.Request) -> web.StreamResponse:
        body = await _read_body(request)
        with self._record("chat", body) as call:
            _refuse_missing(call.model)
            asked = openai.read_request(body)
            reply = await self._think(asked, call)
            if asked.stream:
                events = map(openai.encode_event, openai.render_stream(asked, reply))
                return await self._stream(request, reply, "text/event-stream", events, b"data: [DONE]\n\n")
            return await _send(request, reply, openai.render_reply(asked, reply))

    async def _openai_embed(self, request: web.Request) -> web.StreamResponse:
        body = await _read_body(request)
        with self._record("embeddings", body) as call:
            _refuse_missing(call.model)
            await self._before_embedding()
            return web.json_response(openai.render_embeddings(body))

    async def _openai_models(self, _request: web.Request) -> web.StreamResponse:
        with self._record("models", {}):
            return web.json_response(openai.render_models((*openai.MODELS, *sorted(self.ollama_models))))

    # Ollama

    async def _ollama_chat(self, request: web.Request) -> web.StreamResponse:
        body = await _read_body(request)
        with self._record("chat", body) as call:
            if ollama.is_embedding_model(self._installed(call.model)):
                raise ModelFailure(f'"{call.model}" does not support chat', status=400)
            asked = ollama.read_request(body)
            if not ollama.sees_images(call.model) and any(message.images for message in asked.messages):
                raise ModelFailure("this model is missing data required for image input", status=500)
            reply = await self._think(asked, call)
            if asked.stream:
                lines = map(ollama.encode_line, ollama.render_stream(asked, reply))
                return await self._stream(request, reply, "application/x-ndjson", lines)
            return await _send(request, reply, ollama.render_reply(asked, reply))

    async def _ollama_embed(self, request: web.Request) -> web.StreamResponse:
        body = await _read_body(request)
        with self._record("embeddings", body) as call:
            self._installed(call.model)
            await self._before_embedding()
            return web.json_response(ollama.render_embeddings(body))

    async def _ollama_pull(self, request: web.Request) -> web.StreamResponse:
        body = await _read_body(request)
        with self._record("pull", body) as call:
            name = ollama.full_name(call.model)
            lines = list(ollama.pull_lines(name))
            call.error = lines[-1].get("error")
            if body.get("stream", True) is False:
                if call.error:
                    raise ModelFailure(call.error, status=500)
                self.ollama_models.add(name)
                return web.json_response(lines[-1])
            pace = Reply(chunk_delay=self.pull_delay)
            response = await self._stream(request, pace, "application/x-ndjson", map(ollama.encode_line, lines))
            if not call.error:
                self.ollama_models.add(name)
            return response

    async def _ollama_show(self, request: web.Request) -> web.StreamResponse:
        body = await _read_body(request)
        with self._record("show", body) as call:
            return web.json_response(ollama.render_show(self._installed(call.model)))

    async def _ollama_tags(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"models": [ollama.render_tag(name) for name in sorted(self.ollama_models)]})

    async def _ollama_version(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"version": ollama.VERSION})

    async def _greet(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text="Ollama is running")

    def _installed(self, model: str) -> str:
        name = ollama.full_name(model)
        if name not in self.ollama_models:
            raise ModelFailure(f"model '{model}' not found", status=404)
        return name

    # Both

    async def _think(self, asked: ChatRequest, call: ModelCall) -> Reply:
        reply = planner.plan(asked) if self.brain == "planner" else self.script.answer(asked)
        call.answer = {
            "text": reply.text,
            "tool_calls": [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in reply.tool_calls],
        }
        call.prompt_tokens, call.output_tokens = count_usage(asked, reply)
        await asyncio.sleep(self.latency + reply.delay)
        return reply

    async def _before_embedding(self) -> None:
        await asyncio.sleep(self.latency)
        if self.embedding_failures:
            raise self.embedding_failures.pop(0)

    async def _stream(
        self, request: web.Request, reply: Reply, content_type: str, frames: Iterable[bytes], end: bytes = b""
    ) -> web.StreamResponse:
        """Send frames as they come; break the connection off where the reply says so."""
        response = web.StreamResponse(headers={"Content-Type": content_type, "Cache-Control": "no-cache"})
        await response.prepare(request)
        delay = reply.chunk_delay or self.chunk_delay
        for position, frame in enumerate(frames):
            if position == reply.drop_after:
                break
            await response.write(frame)
            if delay:
                await asyncio.sleep(delay)
        if reply.drop_after is not None:
            _break_off(request)
        await response.write(end)
        await response.write_eof()
        return response

    @contextlib.contextmanager
    def _record(self, kind: str, body: JSON) -> Iterator[ModelCall]:
        call = ModelCall(
            at=time.time(),
            kind=kind,
            model=str(body.get("model") or body.get("name") or ""),
            messages=body.get("messages") or [],
            tools=[str((tool.get("function") or tool).get("name")) for tool in body.get("tools") or ()],
            schema=((body.get("response_format") or {}).get("json_schema") or {}).get("schema") or body.get("format"),
        )
        self.calls.append(call)
        del self.calls[:-_LEDGER_SIZE]
        if len(self.calls) > _LEDGER_MESSAGES:
            self.calls[-1 - _LEDGER_MESSAGES].messages = []
        begun = time.perf_counter()
        try:
            yield call
        except BaseException as error:
            status = f"{error.status}: " if isinstance(error, ModelFailure) else f"{type(error).__name__}: "
            call.error = status + str(error)
            raise
        finally:
            call.ms = round((time.perf_counter() - begun) * 1000, 3)


def _as_openai(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            if request.headers.get("Authorization", "").removeprefix("Bearer ") == "bad":
                raise ModelFailure("Incorrect API key provided: bad.", status=401)
            return await handler(request)
        except ModelFailure as failure:
            body = openai.render_error(failure)
            return web.json_response(body, status=failure.status, headers=failure.headers())
        except ConnectionError:
            return web.Response(status=499)  # nobody is there to read it

    return handle


def _as_ollama(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ModelFailure as failure:
            return web.json_response({"error": str(failure)}, status=failure.status, headers=failure.headers())
        except ConnectionError:
            return web.Response(status=499)  # nobody is there to read it

    return handle


async def _read_body(request: web.Request) -> JSON:
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise ModelFailure(f"We could not parse the JSON body of your request: {error}", status=400) from error
    if not isinstance(body, dict):
        raise ModelFailure("The body of your request must be a JSON object.", status=400)
    return body


def _refuse_missing(model: str) -> None:
    if model == "missing-model":
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise ModelFailure(message, status=404)


async def _send(request: web.Request, reply: Reply, body: JSON) -> web.StreamResponse:
    if reply.drop_after is not None:
        _break_off(request)
    return web.json_response(body)


def _break_off(request: web.Request) -> NoReturn:
    """Close the connection without a proper end, as a crashed server does."""
    if request.transport is not None:
        request.transport.close()
    raise ConnectionResetError("broken off by the script")
