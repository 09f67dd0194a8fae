"""Which messages are commands to Ratchet and not questions: ``help``, ``/reset``, ``why can't you …``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

CommandName = Literal["help", "reset", "session", "stop", "tools", "why"]
LONGEST = 500  # characters; whoever writes more is asking a question
NAMES = frozenset(get_args(CommandName)) - {"why"}
NOT_ALLOWED = re.compile(r"why (?:can(?:'|no| no)?t you|can you not)\b(.*)", re.DOTALL | re.IGNORECASE)
TOOL_NAME = re.compile(r"why ([a-z0-9-]+_[a-z0-9_-]+)")


@dataclass(frozen=True)
class CommandCall:
    """A command; ``argument`` is what follows ``why``, and empty for the others."""

    name: CommandName
    argument: str = ""


def parse(question: str) -> CommandCall | None:
    """The command that a whole message is, with or without a slash; None for a question.

    ``why`` before ``can't you`` or the name of a tool is a command; "why is the api slow?" and "why?" are none.
    """
    if len(question) > LONGEST:
        return None
    plain = " ".join(question.replace("’", "'").replace("`", "").split()).rstrip("?!. ")
    words = plain.removeprefix("/").lower()
    if words in NAMES or plain.lower() == "/why":
        return CommandCall(cast("CommandName", words))
    if found := NOT_ALLOWED.fullmatch(plain.removeprefix("/")):
        return CommandCall("why", found[1].strip())
    if found := TOOL_NAME.fullmatch(words):
        return CommandCall("why", found[1])
    return None


def is_stop(question: str) -> bool:
    """Whether a message asks to stop what runs in its thread."""
    return parse(question) == CommandCall("stop")
