"""The chat models that answer questions: the configured one, and those that channels have instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from agent.retries import ModelCaller


@dataclass(frozen=True)
class Named:
    """A model's client, and what makes and records its calls."""

    client: BaseChatModel
    caller: ModelCaller


class ChatModels:
    """Models by name. Each is built once, at its first question."""

    def __init__(
        self, client: BaseChatModel, caller: ModelCaller, build: Callable[[str], BaseChatModel] | None = None
    ) -> None:
        self._build = build
        self._default = Named(client, caller)
        self._known = {caller.model: self._default}

    def get(self, name: str) -> Named:
        """The model of this name; the configured one where it is empty."""
        if not name:
            return self._default
        if name not in self._known:
            if self._build is None:
                raise LookupError(f"there is no way to build the model {name}")
            self._known[name] = Named(self._build(name), self._default.caller.of(name))
        return self._known[name]
