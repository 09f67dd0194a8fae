"""Asks the model what a monitor's prompt asks, of a message or of a text that somebody tries out."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from langchain_core.tools import ToolException

import prompts
from agent.context import TurnContext
from agent.errors import ModelError
from agent.json_answers import Errand, JSONAnswer, JSONModel
from ratchet.monitors.config import Monitor
from storage.access import Viewer
from storage.budgets import Budget
from tools.context import MonitorSummary, MonitorTrial, ToolContext

MODULE = "channel_monitor"
NO_BUDGET = Budget()


class ChannelMonitors:
    """The configured monitors; implements ``tools.context.Monitors``."""

    def __init__(self, monitors: Sequence[Monitor], model: JSONModel) -> None:
        self.all = tuple(monitors)
        self._model = model

    @property
    def model_name(self) -> str:
        """The model that judges."""
        return self._model.name

    def summaries(self) -> list[MonitorSummary]:
        """What may be shown of each; arguments of programs may be secrets."""
        return [
            MonitorSummary(monitor.slug, monitor.channel_id, monitor.prompt, monitor.schema.text, monitor.argv[0])
            for monitor in self.all
        ]

    async def ask(
        self, monitor: Monitor, text: str, user: str, *, turn_id: UUID, viewer: Viewer, budget: Budget = NO_BUDGET
    ) -> JSONAnswer:
        """What the model says of a message.

        Raises:
            BudgetSpent: the budget does not suffice.
            ModelError: nothing.
        """
        return await self._model.ask(
            prompts.render("channel_monitor", schema=monitor.schema.text),
            monitor.fill(text, user),
            monitor.schema,
            errand=Errand(turn_id, viewer, budget),
            module=MODULE,
        )

    async def try_out(self, slug: str, text: str, context: ToolContext) -> MonitorTrial:
        """The same for a text, as if the requester had written it; the program is not run."""
        monitor = next(monitor for monitor in self.all if monitor.slug == slug)
        viewer = context.viewer
        budget = context.budget if isinstance(context, TurnContext) else NO_BUDGET
        try:
            answer = await self.ask(
                monitor, text, viewer.requester_id, turn_id=context.turn_id, viewer=viewer, budget=budget
            )
        except ModelError as error:
            raise ToolException(str(error)) from error
        return MonitorTrial(answer.text, answer.problem)
