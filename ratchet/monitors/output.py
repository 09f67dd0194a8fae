"""What a monitor's program is given, and what it may say (behaviour A26)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ratchet.monitors.config import Monitor
from storage.steps import NewArrival

MOST_MESSAGES = 50
LONGEST_TEXT = 40_000


class BadOutput(Exception):
    """What the program wrote does not fit; the message says where."""


def _or(default: Any) -> BeforeValidator:
    """Where programs write null, or nothing, for what they do not have."""
    return BeforeValidator(lambda value: default if value is None or value == "" else value)


Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class DirectMessage(BaseModel):
    """A message to the person with this e-mail address."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    email: Annotated[str, Field(min_length=1, max_length=320)]
    text: Text


class ChannelMessage(BaseModel):
    """A message to a channel, or with ``slack_ts`` into a thread of it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    channel_id: Annotated[str, Field(pattern=r"^[CGD][A-Z0-9]+$", max_length=50)]
    text: Text
    slack_ts: Annotated[str | None, Field(pattern=r"^\d{1,12}\.\d{1,6}$"), _or(None)] = None


class Output(BaseModel):
    """All that is to be posted."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    direct_messages: Annotated[list[DirectMessage], Field(max_length=MOST_MESSAGES), _or([])] = []
    channel_messages: Annotated[list[ChannelMessage], Field(max_length=MOST_MESSAGES), _or([])] = []


class Result(BaseModel):
    """How a run of the program ended: with what to post, or with an error."""

    output: Output = Output()
    error: str | None = None


def write_input(monitor: Monitor, arrival: NewArrival, answer: Any) -> bytes:
    """The program's standard input: JSON in ASCII, so that whatever a message holds arrives as it is.

    Args:
        monitor: the monitor.
        arrival: the message.
        answer: what the model said, fitting the schema; it is handed on as a text of JSON.
    """
    message = {
        "text": arrival.text,
        "user": arrival.user_id or "",
        "thread_ts": arrival.thread_ts or "",
        "permalink": arrival.permalink,
    }
    given = {
        "slug": monitor.slug,
        "channel_id": arrival.channel_id,
        "slack_ts": arrival.ts,
        "llm_output": json.dumps(answer),
        "message": message,
    }
    return json.dumps(given).encode("ascii")


def read_output(stdout: bytes, clean: Callable[[str], str]) -> Output:
    """What the program wants to be posted; nothing where it wrote nothing.

    Args:
        stdout: what it wrote.
        clean: takes secrets out of a text.

    Raises:
        BadOutput: it is no JSON object of that shape.
    """
    if not stdout.strip():
        return Output()
    try:
        output = Output.model_validate_json(stdout)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadOutput(f"wrote what does not fit: {place + ': ' if place else ''}{first['msg']}") from None
    return Output(
        direct_messages=[m.model_copy(update={"text": clean(m.text)}) for m in output.direct_messages],
        channel_messages=[m.model_copy(update={"text": clean(m.text)}) for m in output.channel_messages],
    )
