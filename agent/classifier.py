"""The classifier's last step: the chat model reads what the parsers could not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, Field

import prompts
from agent.errors import ModelRefused
from agent.records import Records
from agent.retries import ModelCaller
from storage.access import Viewer
from storage.budgets import Budget
from storage.db import Database
from tools.alerts import Alert, build_alert

MODULE = "classifier"
PARSER = "model"
NO_BUDGET = Budget()
LONGEST = 4000  # characters of a message that the model is shown


class Reading(BaseModel):
    """What a message reports."""

    action: Literal["none", "open_incident", "close_incident"] = Field(description="what the message reports")
    alert: str = Field(default="", description="the alert's name")
    service: str = Field(default="", description="what it is about")
    priority: Literal["HIGH", "LOW", "NONE"] = Field(default="NONE", description="the priority that is stated")


@dataclass(frozen=True)
class _Asking:
    """Whom a call is recorded for: nobody asked, it belongs to the message's channel."""

    viewer: Viewer
    budget: Budget
    turn_id: UUID | None = None
    records: Records = field(default_factory=Records)


class ModelClassifier:
    """Asks the model for one message at a time; each call is recorded with its cost."""

    def __init__(self, database: Database, model: BaseChatModel, caller: ModelCaller) -> None:
        self._database = database
        self._model: Any = model.with_structured_output(Reading, include_raw=True)
        self._caller = caller

    async def classify(
        self, team_id: str, channel_id: str, username: str, text: str, *, budget: Budget = NO_BUDGET
    ) -> list[Alert]:
        """The alert that a message reports, or none.

        Raises:
            ModelError: the model gives no answer, or none that can be read, or the channel's budget is spent.
        """
        prompt = HumanMessage(prompts.render("classify", username=username[:100] or "unknown", text=text[:LONGEST]))
        parsed: list[Reading] = []

        async def ask() -> AIMessage:
            said = await self._model.ainvoke([prompt])
            if isinstance(said["parsed"], Reading):
                parsed.append(said["parsed"])
            raw = said["raw"]
            return raw if isinstance(raw, AIMessage) else AIMessage(raw.text)

        asking = _Asking(Viewer(team_id, "", channel_id), budget)
        try:
            await self._caller.call(ask, context=asking, module=MODULE, messages=[prompt])
        finally:
            await asking.records.flush(self._database)
        if not parsed:
            raise ModelRefused(f"The model {self._caller.model} did not classify a message as asked.")
        return _alerts(parsed[-1])


def _alerts(reading: Reading) -> list[Alert]:
    if reading.action == "none" or not reading.alert.strip():
        return []
    priority = reading.priority if reading.priority != "NONE" else None
    return [
        build_alert(PARSER, PARSER, reading.action, reading.alert, reading.service, priority=priority, confidence=0.7)
    ]
