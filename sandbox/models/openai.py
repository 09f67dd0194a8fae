"""OpenAI's chat protocol: requests as they are sent, answers and streams as they come back."""

import base64
import hashlib
import json
import re
import struct
import time
from collections.abc import Iterator
from typing import Any

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

MODELS = ("gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "text-embedding-3-small", "text-embedding-3-large")
_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "human", "assistant": "ai"}
BLIND = "gpt-3.5"  # how the names of models begin that take no images
_DATA_URL = re.compile(r"data:image/[a-z+.-]+;base64,(.*)", re.DOTALL)
_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def read_request(body: JSON) -> ChatRequest:
    """A body of POST /v1/chat/completions.

    Raises:
        ModelFailure: 400 for what OpenAI refuses as well: no messages, or results that answer no call.
    """
    raw = body.get("messages")
    if not isinstance(raw, list) or not raw:
        raise ModelFailure("Invalid value for 'messages': expected a list that is not empty.", status=400)
    messages = tuple(_read_message(message) for message in raw)
    _check_pairs(messages)
    if str(body.get("model", "")).startswith(BLIND) and any(message.images for message in messages):
        raise ModelFailure("Invalid content type. image_url is only supported by certain models.", status=400)
    choice = body.get("tool_choice", "auto")
    tools = tuple(_read_tool(tool) for tool in body.get("tools") or () if tool.get("type", "function") == "function")
    return ChatRequest(
        model=str(body.get("model", "")),
        messages=messages,
        tools=() if choice == "none" else tools,
        forced_tool=choice["function"]["name"] if isinstance(choice, dict) and "function" in choice else None,
        must_call=isinstance(choice, dict) or choice == "required",
        parallel=body.get("parallel_tool_calls", True) is not False,
        schema=_read_schema(body.get("response_format") or {}),
        stream=bool(body.get("stream")),
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def _read_message(message: JSON) -> ChatMessage:
    calls = tuple(
        ToolCall(call["function"]["name"], call["function"].get("arguments") or "{}", call.get("id", ""))
        for call in message.get("tool_calls") or ()
        if "function" in call
    )
    role = _ROLES.get(message.get("role", ""), "tool")
    text = read_content(message.get("content"))
    images = _read_images(message.get("content"))
    return ChatMessage(role, text, calls, message.get("tool_call_id") or "", message.get("name") or "", images)


def _read_images(content: Any) -> tuple[str, ...]:
    """The images among a message's parts; only those that come along, as nothing is fetched here."""
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    images = []
    for part in parts:
        if part.get("type") == "image_url":
            found = _DATA_URL.fullmatch(str((part.get("image_url") or {}).get("url")))
            if found is None:
                raise ModelFailure("Failed to download image.", status=400, code="invalid_image_url")
            images.append(read_image(found[1]))
    return tuple(images)


def _check_pairs(messages: tuple[ChatMessage, ...]) -> None:
    open_ids: list[str] = []
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_ids:
                raise ModelFailure(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'.",
                    status=400,
                )
            open_ids.remove(message.tool_call_id)
            continue
        if open_ids:
            break
        open_ids = [call.id for call in message.tool_calls]
    if open_ids:
        raise ModelFailure(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_ids)}",
            status=400,
        )


def _read_tool(tool: JSON) -> ToolSpec:
    function = tool["function"]
    return ToolSpec(function["name"], function.get("description") or "", function.get("parameters") or {})


def _read_schema(response_format: JSON) -> JSON | None:
    match response_format.get("type"):
        case "json_schema":
            return dict(response_format["json_schema"].get("schema") or {})
        case "json_object":
            return {}
        case _:
            return None


def render_reply(request: ChatRequest, reply: Reply) -> JSON:
    """A whole answer."""
    message: JSON = {"role": "assistant", "content": reply.text or (None if reply.tool_calls else ""), "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = [_render_call(call) for call in reply.tool_calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return _head(request, "chat.completion") | {"choices": [choice], "usage": _usage(request, reply)}


def render_stream(request: ChatRequest, reply: Reply) -> Iterator[JSON]:
    """The chunks of a stream: role, text in pieces, each call's name then its arguments in fragments, end, usage."""
    head = _head(request, "chat.completion.chunk")
    if request.include_usage:
        head["usage"] = None

    def chunk(delta: JSON, finish: str | None = None) -> JSON:
        return head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": "" if reply.text or not reply.tool_calls else None, "refusal": None})
    for piece in split_chunks(reply.text):
        yield chunk({"content": piece})
    for index, call in enumerate(reply.tool_calls):
        opened = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield chunk({"tool_calls": [opened]})
        for at in range(0, len(call.arguments), 24):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": call.arguments[at : at + 24]}}]})
    yield chunk({}, _finish(reply))
    if request.include_usage:
        yield head | {"choices": [], "usage": _usage(request, reply)}


def _head(request: ChatRequest, kind: str) -> JSON:
    seed = hashlib.sha256("".join(message.text for message in request.messages).encode()).hexdigest()
    return {
        "id": f"chatcmpl-{seed[:29]}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
    }


def _render_call(call: ToolCall) -> JSON:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.tool_calls else "stop"


def _usage(request: ChatRequest, reply: Reply) -> JSON:
    prompt, answer = count_usage(request, reply)
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def render_error(failure: ModelFailure) -> JSON:
    """An error in OpenAI's shape."""
    kind, code = _ERRORS.get(failure.status, ("server_error", None))
    return {"error": {"message": str(failure), "type": kind, "param": None, "code": failure.code or code}}


def render_models(names: tuple[str, ...] = MODELS) -> JSON:
    """The list of models."""
    rows = [{"id": name, "object": "model", "created": 1715367049, "owned_by": "sandbox"} for name in names]
    return {"object": "list", "data": rows}


def render_embeddings(body: JSON) -> JSON:
    """An answer to POST /v1/embeddings.

    The input is a text, texts, or what clients make of them with a tokenizer: token ids, which are taken for
    words. Texts embedded either way are comparable with each other, not with those of the other way.

    Raises:
        ModelFailure: 400, the input is none of these.
    """
    given: Any = body.get("input")
    inputs: list[Any] = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    if not inputs or not all(isinstance(item, str | list) for item in inputs):
        raise ModelFailure("Invalid 'input': expected a string, strings, or tokens.", status=400)
    texts = [item if isinstance(item, str) else " ".join(f"t{token}" for token in item) for item in inputs]
    dimensions = int(body.get("dimensions") or DIMENSIONS)
    as_base64 = body.get("encoding_format") == "base64"
    rows = [
        {"object": "embedding", "index": index, "embedding": _encode(embed(text, dimensions), as_base64)}
        for index, text in enumerate(texts)
    ]
    tokens = sum(count_tokens(text) for text in texts)
    return {
        "object": "list",
        "data": rows,
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _encode(vector: list[float], as_base64: bool) -> Any:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if as_base64 else vector


def encode_event(chunk: JSON) -> bytes:
    """A chunk as a server-sent event."""
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"
