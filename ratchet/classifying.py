"""The second reading of a bot's message: by the configured program, else by the model where that is on."""

from __future__ import annotations

import structlog
from prometheus_client import Counter

from agent.classifier import ModelClassifier
from agent.errors import ModelError
from ratchet.policies import Policies
from ratchet.program import Program, ProgramError
from slack_app.events import IncomingMessage
from slack_app.identity import Identity, alert_message, new_alert
from storage import alerts, channels
from storage.db import Database
from storage.messages import NewMessage
from tools.alerts import Alert, is_doubtful, overall

log = structlog.get_logger()
FAILURES = Counter(
    "ratchet_classifier_failures_total", "Messages that the program or the model did not classify", ["by"]
)


class SecondReading:
    """Decides which messages are read again, and does it.

    The program's word counts for every bot message. The model reads only what the parsers left in doubt. When either
    fails, the built-in reading stays.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        policies: Policies,
        *,
        program: Program | None,
        model: ModelClassifier | None,
    ) -> None:
        self._database = database
        self._identity = identity
        self._policies = policies
        self._program = program
        self._model = model

    def wanted(self, message: IncomingMessage, described: NewMessage) -> bool:
        """Whether a message that was just stored is to be read again."""
        if not message.is_bot or self._identity.wrote(message):
            return False
        if self._program:
            return True
        confidences = [alert.confidence for alert in described.alerts]
        return self._model is not None and is_doubtful(alert_message(message), confidences)

    async def read(self, team_id: str, channel_id: str, ts: str) -> None:
        """Read a stored message again, and let that reading count."""
        async with self._database.connection() as conn:
            message = await alerts.unsettled(conn, team_id, channel_id, ts)
        if message is None:
            return
        found = await self._read(team_id, message)
        if found is None:
            return
        async with self._database.connection() as conn, conn.transaction():
            await alerts.settle(conn, team_id, message, overall(found), [new_alert(alert) for alert in found])

    async def _read(self, team_id: str, message: alerts.Unsettled) -> list[Alert] | None:
        try:
            if self._program:
                return await self._program.classify(message.author, message.text)
            if self._model:
                async with self._database.connection() as conn:
                    channel = await channels.get(conn, team_id, message.channel_id)
                budget = self._policies.budget(message.channel_id, channel.name if channel else "")
                return await self._model.classify(
                    team_id, message.channel_id, message.author, message.text, budget=budget
                )
        except (ProgramError, ModelError) as error:
            by = "program" if self._program else "model"
            FAILURES.labels(by).inc()
            log.warning("classifier failed", by=by, channel_id=message.channel_id, ts=message.ts, error=str(error))
        return None
