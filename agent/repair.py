"""Makes the messages of a turn such that the next model call accepts them.

Models send tool calls with broken JSON, without ids, or with one id twice; runs are cut off between a call
and its result. Chat APIs refuse such histories, for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID, uuid4

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

MALFORMED = "__malformed__"
CANCELLED = "Cancelled: the run ended before this call had a result."


def well_formed(answer: AIMessage, taken: Iterable[str]) -> AIMessage:
    """An answer whose tool calls all have ids of their own; broken ones are marked for the gate to refuse.

    Args:
        answer: as the model sent it.
        taken: ids of earlier calls in this turn.
    """
    if not answer.tool_calls and not answer.invalid_tool_calls:
        return answer
    ids = set(taken)
    calls: list[ToolCall] = []
    broken = [
        ToolCall(name=call["name"] or "unknown", args={MALFORMED: (call["args"] or "")[:200]}, id=call["id"])
        for call in answer.invalid_tool_calls
    ]
    for call in [*answer.tool_calls, *broken]:
        call_id = call["id"] if call["id"] and call["id"] not in ids else f"call_{uuid4().hex[:24]}"
        ids.add(call_id)
        calls.append(ToolCall(name=call["name"], args=call["args"], id=call_id, type="tool_call"))
    # The provider's raw copy of the calls would be sent back instead of the repaired ones.
    extra = {key: value for key, value in answer.additional_kwargs.items() if key != "tool_calls"}
    content = answer.content if isinstance(answer.content, str) else answer.text
    return answer.model_copy(
        update={"tool_calls": calls, "invalid_tool_calls": [], "additional_kwargs": extra, "content": content}
    )


def complete(messages: Iterable[AnyMessage], known: Mapping[str, str] = MappingProxyType({})) -> list[AnyMessage]:
    """The messages with a result for every tool call, and without results that answer none.

    Args:
        messages: of a turn.
        known: results by the ids of their calls, for calls whose results are not among the messages.
    """
    pending: dict[str, str] = {}
    whole: list[AnyMessage] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            if pending.pop(message.tool_call_id, None) is None:
                continue
        else:
            whole.extend(_settle(pending, known))
            if isinstance(message, AIMessage):
                pending = {str(call["id"]): call["name"] for call in message.tool_calls}
        whole.append(message)
    whole.extend(_settle(pending, known))
    return whole


def own(messages: Sequence[AnyMessage], turn_id: UUID) -> list[AnyMessage]:
    """The messages of a turn without those that a retry begins with: from its question, or its correction, on."""
    for position, message in enumerate(messages):
        if message.id == str(turn_id):
            return list(messages[position:])
    return list(messages)


def _settle(pending: dict[str, str], known: Mapping[str, str]) -> list[ToolMessage]:
    results = [
        ToolMessage(
            known.get(call_id, CANCELLED),
            name=name,
            tool_call_id=call_id,
            status="success" if call_id in known else "error",
        )
        for call_id, name in pending.items()
    ]
    pending.clear()
    return results
