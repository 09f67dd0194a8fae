"""Answers for tests: rules that say, for a question, what the model responds step by step."""

import json
import re
from collections import Counter
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sandbox.models.chat import JSON, ChatRequest, ModelFailure, Reply, ToolCall, Turn
from sandbox.models.structured import fill_schema

WITHOUT_TOOLS = "(script) asked to answer without tools"
_PLACEHOLDER = re.compile(r"\{((tool|reference)\[(-?\d+)\]|tools|human|history|system|images)\}")


class ScriptedCall(BaseModel):
    """A tool call of a step; placeholders in string arguments are filled."""

    model_config = ConfigDict(extra="forbid")
    name: str
    args: JSON = Field(default_factory=dict)
    id: str | None = None


class MalformedCall(BaseModel):
    """A tool call whose arguments are sent exactly as written."""

    model_config = ConfigDict(extra="forbid")
    name: str
    arguments: str


class Step(BaseModel):
    """One model response, or a fault on the way to it.

    `error` and a `drop_stream_after` that stands alone happen `times` times and then give way to the next
    step. Beside `text` or `tool_calls`, `drop_stream_after` breaks that response off `times` times.
    """

    model_config = ConfigDict(extra="forbid")
    text: str | None = None
    tool_calls: list[ScriptedCall] | None = None
    malformed_tool_call: MalformedCall | None = None
    empty: bool = False
    error: int | None = Field(None, ge=400, le=599)
    message: str | None = None
    retry_after: float | None = Field(None, ge=0)
    drop_stream_after: int | None = Field(None, ge=0)
    times: int = Field(1, ge=1)
    delay: float = Field(0.0, ge=0)
    chunk_delay: float = Field(0.0, ge=0)
    repeat: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.error is not None and (self.responds or self.drop_stream_after is not None):
            raise ValueError("a step with an error has no response; put the response into the next step")
        if self.error is None and not self.responds and self.drop_stream_after is None:
            raise ValueError("a step needs text, tool_calls, malformed_tool_call, empty, error or drop_stream_after")
        return self

    @property
    def responds(self) -> bool:
        """Whether the step is a response, not a fault alone."""
        calls = self.tool_calls is not None or self.malformed_tool_call is not None
        return self.text is not None or calls or self.empty


class Rule(BaseModel):
    """What is answered to questions that match.

    Attributes:
        match: A regular expression, searched in the last human message.
        model: A regular expression, searched in the model's name; any model if absent.
        steps: The responses of a turn, in order.
        structured: The answer when a schema is asked for.
    """

    model_config = ConfigDict(extra="forbid")
    match: str
    model: str | None = None
    steps: list[Step] = Field(default_factory=list)
    structured: JSON | None = None

    @field_validator("match", "model")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.steps and self.structured is None:
            raise ValueError("a rule needs steps or structured")
        if any(step.repeat for step in self.steps[:-1]):
            raise ValueError("only the last step can repeat")
        return self


class Script:
    """Rules, the first that matches first; they can be replaced while requests are served."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._faults: Counter[str] = Counter()

    def replace(self, rules: list[JSON]) -> None:
        """Take these rules instead of the present ones.

        Raises:
            ValueError: A rule is not valid; the present ones stay. The message names rule and field.
        """
        parsed = []
        for position, rule in enumerate(rules):
            try:
                parsed.append(Rule.model_validate(rule))
            except ValidationError as error:
                faults = "; ".join(
                    f"{'.'.join(str(part) for part in fault['loc']) or 'rule'}: {fault['msg']}"
                    for fault in error.errors()
                )
                raise ValueError(f"script rule {position}: {faults}") from error
        self.rules = parsed
        self._faults.clear()

    load = replace

    def clear(self) -> None:
        """Forget all rules."""
        self.replace([])

    def answer(self, request: ChatRequest) -> Reply:
        """The response to a request.

        Raises:
            ModelFailure: The step is an error.
        """
        turns = request.turns()
        turn = turns[-1] if turns else Turn("")
        for number, rule in enumerate(self.rules):
            if rule.model and not re.search(rule.model, request.model):
                continue
            if re.search(rule.match, turn.question):
                return self._apply(request, rule, number, turn, turn.ai_count)
            if turn.note and re.search(rule.match, turn.note):
                return self._apply(request, rule, number, turn, 0)
        return Reply(f"(script) no rule for: {turn.question}")

    def _apply(self, request: ChatRequest, rule: Rule, number: int, turn: Turn, index: int) -> Reply:
        if rule.structured is not None and request.forced_tool:
            call = ToolCall(request.forced_tool, json.dumps(rule.structured), request.call_id(0))
            return Reply(tool_calls=(call,))
        if rule.structured is not None and (request.schema is not None or not rule.steps):
            return Reply(json.dumps(rule.structured))
        reply = self._step(request, rule, number, turn, index)
        if request.schema is not None and not reply.tool_calls and not _is_json(reply.text):
            return Reply(json.dumps(fill_schema(request.schema, reply.text)), delay=reply.delay)
        return reply

    def _step(self, request: ChatRequest, rule: Rule, number: int, turn: Turn, index: int) -> Reply:
        """Walk to the response of this index; a fault before it that is not used up happens first."""
        drop: int | None = None
        for position, step in enumerate(rule.steps):
            last = position == len(rule.steps) - 1
            if step.responds and index > 0 and not (last and step.repeat):
                index -= 1
                continue
            if step.error is not None:
                if index == 0 and self._happens(request, number, position, step):
                    message = step.message or f"the script says {step.error}"
                    raise ModelFailure(message, status=step.error, retry_after=step.retry_after)
                continue
            if index == 0 and step.drop_stream_after is not None and drop is None:
                drop = step.drop_stream_after if self._happens(request, number, position, step) else None
            if step.responds:
                return _respond(request, step, turn, drop)
            if drop is not None and last:
                return Reply("(script) this answer breaks off before its end", drop_after=drop)
        return Reply(f"(script) no step {turn.ai_count + 1} for: {turn.question}")

    def _happens(self, request: ChatRequest, number: int, position: int, step: Step) -> bool:
        """Count a fault once more for this conversation; system prompts may differ between tries."""
        key = json.dumps([number, position, request.humans])
        if not step.repeat and self._faults[key] >= step.times:
            return False
        self._faults[key] += 1
        return True


def _respond(request: ChatRequest, step: Step, turn: Turn, drop: int | None) -> Reply:
    calls: tuple[ToolCall, ...] = ()
    if step.malformed_tool_call:
        broken = step.malformed_tool_call
        calls = (ToolCall(broken.name, broken.arguments, request.call_id(0)),)
    elif step.tool_calls:
        calls = tuple(
            ToolCall(
                call.name,
                json.dumps(_fill(call.args, request, turn)),
                call.id if call.id is not None else request.call_id(position),
            )
            for position, call in enumerate(step.tool_calls)
        )
    if calls and not request.tools:
        return Reply(WITHOUT_TOOLS, delay=step.delay, chunk_delay=step.chunk_delay)
    text = str(_fill(step.text or "", request, turn))
    return Reply(text, calls, delay=step.delay, chunk_delay=step.chunk_delay, drop_after=drop)


def _fill(value: Any, request: ChatRequest, turn: Turn) -> Any:
    """Fill the placeholders of a string, or of the strings within."""
    if isinstance(value, dict):
        return {key: _fill(item, request, turn) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, request, turn) for item in value]
    if not isinstance(value, str):
        return value

    def put(match: re.Match[str]) -> str:
        if match[2] is not None:
            position = int(match[3])
            if not -len(turn.results) <= position < len(turn.results):
                return f"(script) no result {position}"
            result = turn.results[position]
            return result.text if match[2] == "tool" else result.reference
        return {
            "tools": "\n".join(result.text for result in turn.results),
            "human": turn.question,
            "history": str(len(request.turns()) - 1),
            "system": request.system,
            "images": "; ".join(turn.images) or "no images",
        }[match[1]]

    return _PLACEHOLDER.sub(put, value)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
