"""Ollama's protocol: chat as newline-delimited JSON, embeddings, the library of models and pulls."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime

from sandbox.models.chat import (
    JSON,
    ChatMessage,
    ChatRequest,
    ModelFailure,
    Reply,
    Role,
    ToolCall,
    ToolSpec,
    count_tokens,
    count_usage,
    read_content,
    read_image,
    split_chunks,
)
from sandbox.models.embeddings import DIMENSIONS, embed

VERSION = "0.12.6"
UNKNOWN = "missing-model"
_ROLES: dict[str, Role] = {"system": "system", "user": "human", "assistant": "ai", "tool": "tool"}
_SIZE = 4_683_073_184
_PULL_STEPS = 5


def full_name(name: str) -> str:
    """A model's name with its tag."""
    return name if ":" in name else f"{name}:latest"


def read_request(body: JSON) -> ChatRequest:
    """A body of POST /api/chat; without `stream` Ollama streams."""
    given = body.get("format")
    return ChatRequest(
        model=str(body.get("model", "")),
        messages=tuple(_read_message(message) for message in body.get("messages") or ()),
        tools=tuple(_read_tool(tool) for tool in body.get("tools") or ()),
        schema=given if isinstance(given, dict) else {} if given == "json" else None,
        stream=body.get("stream", True) is not False,
    )


def _read_message(message: JSON) -> ChatMessage:
    calls = tuple(
        ToolCall(call["function"]["name"], json.dumps(call["function"].get("arguments") or {}), call.get("id") or "")
        for call in message.get("tool_calls") or ()
    )
    role = _ROLES.get(message.get("role", ""), "human")
    name = message.get("tool_name") or message.get("name") or ""
    images = tuple(read_image(image) for image in message.get("images") or ())
    text = read_content(message.get("content"))
    return ChatMessage(role, text, calls, message.get("tool_call_id") or "", name, images)


def _read_tool(tool: JSON) -> ToolSpec:
    function = tool["function"]
    return ToolSpec(function["name"], function.get("description") or "", function.get("parameters") or {})


def render_stream(request: ChatRequest, reply: Reply) -> Iterator[JSON]:
    """The lines of a stream: text in pieces, calls each in one line with the arguments as an object, the end."""
    text, calls = _text_and_calls(reply)
    for piece in split_chunks(text):
        yield _line(request, {"role": "assistant", "content": piece}) | {"done": False}
    for index, call in enumerate(calls):
        message = {"role": "assistant", "content": "", "tool_calls": [_render_call(call, index)]}
        yield _line(request, message) | {"done": False}
    yield _line(request, {"role": "assistant", "content": ""}) | _end(request, reply)


def render_reply(request: ChatRequest, reply: Reply) -> JSON:
    """A whole answer."""
    text, calls = _text_and_calls(reply)
    message: JSON = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [_render_call(call, index) for index, call in enumerate(calls)]
    return _line(request, message) | _end(request, reply)


def _text_and_calls(reply: Reply) -> tuple[str, list[ToolCall]]:
    """Ollama parses calls itself; what it cannot parse it hands out as text, and so does this."""
    calls, text = [], reply.text
    for call in reply.tool_calls:
        try:
            json.loads(call.arguments)
        except ValueError:
            text += f'{{"name": "{call.name}", "arguments": {call.arguments}'
        else:
            calls.append(call)
    return text, calls


def _render_call(call: ToolCall, index: int) -> JSON:
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.args()}}


def _line(request: ChatRequest, message: JSON) -> JSON:
    return {"model": request.model, "created_at": _now(), "message": message}


def _end(request: ChatRequest, reply: Reply) -> JSON:
    prompt, answer = count_usage(request, reply)
    return {
        "done": True,
        "done_reason": "stop",
        "total_duration": 2_000_000 * (answer + 1),
        "load_duration": 1_000_000,
        "prompt_eval_count": prompt,
        "prompt_eval_duration": 10_000 * prompt,
        "eval_count": answer,
        "eval_duration": 1_000_000 * answer,
    }


def render_embeddings(body: JSON) -> JSON:
    """An answer to POST /api/embed.

    Raises:
        ModelFailure: 400, the input is neither a text nor texts.
    """
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ModelFailure("invalid input type", status=400)
    dimensions = int(body.get("dimensions") or DIMENSIONS)
    return {
        "model": body.get("model"),
        "embeddings": [embed(text, dimensions) for text in texts],
        "total_duration": 1_000_000,
        "load_duration": 500_000,
        "prompt_eval_count": sum(count_tokens(text) for text in texts),
    }


def render_tag(name: str) -> JSON:
    """A model as /api/tags lists it."""
    return {
        "name": name,
        "model": name,
        "modified_at": "2026-01-01T00:00:00Z",
        "size": _SIZE,
        "digest": _digest(name),
        "details": _details(name),
    }


def render_show(name: str) -> JSON:
    """A model as /api/show describes it."""
    family = _details(name)["family"]
    return {
        "modelfile": f"FROM {name}",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "license": "",
        "modified_at": "2026-01-01T00:00:00Z",
        "details": _details(name),
        "model_info": {
            "general.architecture": family,
            f"{family}.context_length": 32768,
            f"{family}.embedding_length": DIMENSIONS,
        },
        "capabilities": _capabilities(name),
    }


def _capabilities(name: str) -> list[str]:
    if is_embedding_model(name):
        return ["embedding"]
    return ["completion", "tools", *(["vision"] if sees_images(name) else [])]


def sees_images(name: str) -> bool:
    """Whether the model takes images."""
    return any(family in name for family in ("llava", "-vl", "vl:", "vision", "gemma3"))


def is_embedding_model(name: str) -> bool:
    """Whether the model embeds and does not chat."""
    return "embed" in name or "minilm" in name


def pull_lines(name: str) -> Iterator[JSON]:
    """The progress of a pull, ending in `success`, or in the error that Ollama gives for unknown models."""
    yield {"status": "pulling manifest"}
    if name.startswith(UNKNOWN):
        yield {"error": "pull model manifest: file does not exist"}
        return
    digest = _digest(name)
    layer = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": _SIZE}
    yield layer
    for step in range(1, _PULL_STEPS + 1):
        yield layer | {"completed": _SIZE * step // _PULL_STEPS}
    yield {"status": "verifying sha256 digest"}
    yield {"status": "writing manifest"}
    yield {"status": "success"}


def _details(name: str) -> JSON:
    base, _, size = name.rpartition("/")[2].partition(":")
    family, size = "bert" if is_embedding_model(name) else base.replace(".", ""), size.upper()
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": size if size[:1].isdigit() else "137M",
        "quantization_level": "Q4_K_M",
    }


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encode_line(line: JSON) -> bytes:
    """A line of a stream."""
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
