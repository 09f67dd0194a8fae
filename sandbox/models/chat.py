"""What a chat request says and what is answered, independent of the protocol that carried it."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.models.citations import split_reference

JSON = dict[str, Any]
Role = Literal["system", "human", "ai", "tool"]
_IMAGE_TOKENS = 85
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asks for; `arguments` is JSON text, broken if the script wants it so."""

    name: str
    arguments: str
    id: str = ""

    def args(self) -> JSON:
        """The arguments as an object; empty if they are none."""
        try:
            value = json.loads(self.arguments or "{}")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class ChatMessage:
    """One message of the conversation; `tool_call_id` and `name` belong to results of tools.

    `images` says of each image what it is and how large: `image/png, 68 bytes`.
    """

    role: Role
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToolSpec:
    """A tool that the request offers; `parameters` is its JSON schema."""

    name: str
    description: str
    parameters: JSON


@dataclass(frozen=True)
class ToolResult:
    """A call of a turn with the text that came back, and the reference that stood in front of it."""

    name: str
    args: JSON
    text: str
    reference: str = ""


@dataclass
class Turn:
    """A question with everything that followed it."""

    question: str
    images: tuple[str, ...] = ()
    ai_count: int = 0
    results: list[ToolResult] = field(default_factory=list)
    answer: str = ""
    note: str = ""


@dataclass(frozen=True)
class ChatRequest:
    """A request for one model response.

    Attributes:
        model: The name that was asked for.
        messages: The conversation, oldest first.
        tools: The tools offered; empty if the caller forbids calls.
        forced_tool: The one tool that `tool_choice` names.
        must_call: Whether `tool_choice` demands a call of some tool.
        parallel: Whether more than one call may be answered at once.
        schema: The JSON schema of the answer; `{}` for any JSON object; None for text.
        stream: Whether the answer is streamed.
        include_usage: Whether a stream ends with the token counts.
    """

    model: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSpec, ...] = ()
    forced_tool: str | None = None
    must_call: bool = False
    parallel: bool = True
    schema: JSON | None = None
    stream: bool = False
    include_usage: bool = False

    @property
    def system(self) -> str:
        """The system prompts, joined."""
        return "\n\n".join(message.text for message in self.messages if message.role == "system")

    @property
    def humans(self) -> list[str]:
        """What people wrote, oldest first."""
        return [message.text for message in self.messages if message.role == "human"]

    def turns(self) -> list[Turn]:
        """The conversation by question, the current one last.

        A human message that follows tool results in a request without tools opens no turn: it is the
        caller's instruction to answer now, kept as the turn's note.
        """
        turns: list[Turn] = []
        pending: list[ToolCall] = []
        last = len(self.messages) - 1
        for position, message in enumerate(self.messages):
            before = self.messages[position - 1].role if position else "system"
            if message.role == "human" and turns and position == last and before == "tool" and not self.tools:
                turns[-1].note = message.text
            elif message.role == "human":
                turns.append(Turn(message.text, message.images))
                pending = []
            elif message.role == "ai" and turns:
                turns[-1].ai_count += 1
                turns[-1].answer = message.text or turns[-1].answer
                pending = list(message.tool_calls)
            elif message.role == "tool" and turns:
                call = _answered(pending, message)
                name, args = message.name or (call.name if call else ""), call.args() if call else {}
                reference, text = split_reference(message.text)
                turns[-1].results.append(ToolResult(name, args, text, reference))
        return turns

    def call_id(self, position: int) -> str:
        """A tool call's id: the same whenever the same point of a conversation is answered again."""
        turns = self.turns()
        seed = json.dumps([self.humans, turns[-1].ai_count if turns else 0, position])
        return f"call_{hashlib.sha256(seed.encode()).hexdigest()[:24]}"


def _answered(pending: list[ToolCall], result: ChatMessage) -> ToolCall | None:
    """The call that a result belongs to: by id, else by name, else in order."""
    for call in pending:
        if (result.tool_call_id and call.id == result.tool_call_id) or (result.name and call.name == result.name):
            pending.remove(call)
            return call
    return pending.pop(0) if pending and not result.tool_call_id else None


@dataclass(frozen=True)
class Reply:
    """One model response.

    Attributes:
        text: What is said.
        tool_calls: What is asked for.
        delay: Seconds before the first byte.
        chunk_delay: Seconds between the chunks of a stream.
        drop_after: Chunks after which the connection breaks; None for never.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    delay: float = 0.0
    chunk_delay: float = 0.0
    drop_after: int | None = None


class ModelFailure(Exception):
    """The request is answered with an HTTP error.

    Attributes:
        status: The HTTP status.
        retry_after: Seconds for the Retry-After header.
        code: OpenAI's error code.
    """

    def __init__(self, message: str, *, status: int, retry_after: float | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.code = code

    def headers(self) -> dict[str, str]:
        """The HTTP headers that go with it."""
        return {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}


def count_tokens(text: str) -> int:
    """Tokens, approximately: a quarter of the characters, one at least for any text."""
    return (len(text) + 3) // 4


def count_usage(request: ChatRequest, reply: Reply) -> tuple[int, int]:
    """Approximate tokens of the prompt and of the answer."""
    prompt = sum(count_tokens(message.text) + 4 for message in request.messages)
    prompt += sum(_IMAGE_TOKENS * len(message.images) for message in request.messages)
    prompt += sum(count_tokens(call.arguments) for message in request.messages for call in message.tool_calls)
    prompt += sum(count_tokens(f"{tool.name} {tool.description} {tool.parameters}") for tool in request.tools)
    answer = count_tokens(reply.text) + sum(count_tokens(call.name + call.arguments) for call in reply.tool_calls)
    return prompt, answer


def split_chunks(text: str, size: int = 16) -> Iterator[str]:
    """The text in pieces of whole words, about `size` characters each."""
    piece = ""
    for word in re.findall(r"\s*\S+|\s+$", text):
        piece += word
        if len(piece) >= size:
            yield piece
            piece = ""
    if piece:
        yield piece


def read_content(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, dict) else part for part in content]
        return "\n".join(str(text) for text in texts if text is not None)
    return ""


def read_image(data: Any) -> str:
    """What an image in base64 is, and how large.

    Raises:
        ModelFailure: 400, it is none that models read.
    """
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ModelFailure("Invalid base64 image.", status=400) from None
    for signature, mimetype in _SIGNATURES.items():
        if content.startswith(signature):
            return f"{mimetype}, {len(content)} bytes"
    raise ModelFailure(
        "You uploaded an unsupported image. Please make sure your image has of one the following formats: "
        "['png', 'jpeg', 'gif', 'webp'].",
        status=400,
        code="invalid_image_format",
    )
