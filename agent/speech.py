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


class Speech(AsyncCallbackHandler):
    """One model call, as the reply hears it: the cleaned beginning of its text, and then what follows."""

    run_inline = True
    # Only tokens are of interest: for the rest, callbacks would copy whole prompts.
    ignore_chat_model = ignore_chain = ignore_agent = ignore_retriever = True

    def __init__(self, reply: Reply, redactor: Redactor) -> None:
        self._reply = reply
        self._redactor = redactor
        self._heard: list[str] = []
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
        self._new += len(text)
        if self._new >= LEAST or (self._new > 1 and "\n" in text):
            self._new = 0
            self._say()

    def take_back(self) -> None:
        """What was said is no answer: the call failed, or goes on with tool calls."""
        if self._said:
            self._said = ""
            self._reply.restarted()

    def _say(self) -> None:
        whole = "".join(self._heard)
        self._heard = [whole]
        # References become numbers in the answer; what came before one that is half written stands as it is.
        safe = references.without(self._redactor.settled(whole)).rstrip(" ")
        if not safe.startswith(self._said):
            self.take_back()
        if len(safe) > len(self._said):
            said, self._said = self._said, safe
            self._reply.text(safe[len(said) :])


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
