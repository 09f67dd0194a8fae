"""The model's words while it speaks: passed on as they come, but never a part of a secret, nor references."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from langchain_core.tracers.context import register_configure_hook

from agent import references
from agent.context import Reply
from agent.redaction import Redactor

LEAST = 80  # characters that are worth looking through once more
GROWTH = 16  # nor before this share of what is looked through is new: the work stays in proportion to the text
OVERLAP = 400  # characters that are looked through again: longer than any secret or reference with blanks in it


class Speech(AsyncCallbackHandler):
    """One model call, as the reply hears it: the cleaned beginning of its text, and then what follows."""

    run_inline = True
    # Only tokens are of interest: for the rest, callbacks would copy whole prompts.
    ignore_chat_model = ignore_chain = ignore_agent = ignore_retriever = True

    def __init__(self, reply: Reply, redactor: Redactor) -> None:
        self._reply = reply
        self._redactor = redactor
        self._settled: list[str] = []  # what was said of the beginning that is not looked through again
        self._heard: list[str] = []  # since then
        self._size = 0
        self._new = 0
        self._said = ""

    async def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        **kwargs: Any,
    ) -> None:
        """Take in what came, and say what of it is safe by now."""
        text = chunk.message.text if isinstance(chunk, ChatGenerationChunk) else token
        if not isinstance(text, str) or not text:
            return
        self._heard.append(text)
        self._size += len(text)
        self._new += len(text)
        if self._new * GROWTH >= self._size and (self._new >= LEAST or (self._new > 1 and "\n" in text)):
            self._new = 0
            self._say()

    def take_back(self) -> None:
        """What was said is no answer: the call failed, or goes on with tool calls."""
        if self._settled or self._said:
            self._settled, self._said = [], ""
            self._reply.restarted()

    def _say(self) -> None:
        heard = "".join(self._heard)
        end = self._redactor.settled(heard)
        # References become numbers in the answer; what came before one that is half written stands as it is.
        safe = self._clean(heard[:end]).rstrip(" ")
        new = safe.removeprefix(self._said)
        if not safe.startswith(self._said):
            self._reply.restarted()
            new = "".join([*self._settled, safe])
        if new:
            self._reply.text(new)
        self._settle(heard, end, safe)

    def _settle(self, heard: str, end: int, safe: str) -> None:
        """Keep for the next look only the end of what was heard, from a line break or blank on."""
        latest = max(0, end - OVERLAP)
        blank = max(0, heard.rfind("\n", 0, latest), heard.rfind(" ", 0, latest))
        at = len(heard[:blank].rstrip())
        before = self._clean(heard[:at])
        # Never within a secret or reference: taken apart there, it would read otherwise.
        if at and before + self._clean(heard[at:end]).rstrip(" ") == safe:
            self._settled.append(before)
            heard, safe = heard[at:], safe[len(before) :]
        self._heard, self._size, self._said = [heard], len(heard), safe

    def _clean(self, text: str) -> str:
        return references.without(self._redactor.clean(text))


_listening: ContextVar[Speech | None] = ContextVar("listening", default=None)
register_configure_hook(_listening, inheritable=True)


@contextmanager
def listen(speech: Speech) -> Iterator[None]:
    """Model calls in here are heard by ``speech``."""
    token = _listening.set(speech)
    try:
        yield
    finally:
        _listening.reset(token)
