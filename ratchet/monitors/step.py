"""The step of one monitor: model, program, posts; each at most once for a message (behaviour A26)."""

from __future__ import annotations

from uuid import UUID

import structlog
from prometheus_client import Counter

from agent.json_answers import JSONAnswer
from agent.redaction import Redactor
from ratchet.monitors.asking import MODULE, ChannelMonitors
from ratchet.monitors.config import Monitor
from ratchet.monitors.output import BadOutput, Output, Result, read_output, write_input
from ratchet.monitors.program import SECONDS, ProgramFailed, run_program
from ratchet.policies import Policies
from ratchet.steps import Poster, StepGaveUp, turn_of
from slack_app.directory import Directory
from slack_app.parts import split
from storage import effects
from storage.access import Viewer
from storage.db import Database
from storage.effects import Effect
from storage.leases import Lease
from storage.messages import NewMessage
from storage.steps import NewArrival

log = structlog.get_logger()
RUNS = Counter(
    "ratchet_channel_monitor_runs",
    "Messages that a channel monitor was asked about, by how that ended.",
    ["slug", "outcome"],
)


class MonitorStep:
    """Implements ``ratchet.steps.Step`` for one monitor."""

    def __init__(
        self,
        monitor: Monitor,
        monitors: ChannelMonitors,
        *,
        database: Database,
        directory: Directory,
        policies: Policies,
        poster: Poster,
        redactor: Redactor,
        seconds: float = SECONDS,
    ) -> None:
        self._monitor = monitor
        self._monitors = monitors
        self._database = database
        self._directory = directory
        self._policies = policies
        self._poster = poster
        self._redactor = redactor
        self._seconds = seconds

    @property
    def name(self) -> str:
        """One step a monitor, so that none stops another."""
        return f"{MODULE}:{self._monitor.slug}"

    def may_want(self, message: NewMessage) -> bool:
        """Whether a person wrote it into the monitor's channel."""
        return message.channel_id == self._monitor.channel_id and not message.is_bot

    def wants(self, arrival: NewArrival) -> bool:
        """The same."""
        return arrival.channel_id == self._monitor.channel_id and not arrival.is_bot

    async def run(self, arrival: NewArrival, lease: Lease) -> None:
        """Ask the model, run the program, post what it says.

        The program may have effects of its own, so it is run once at most: where an earlier run was cut off,
        nobody knows what it did, and it is not run again.

        Raises:
            StepGaveUp: the answer does not fit the schema, the program failed, or its outcome is unknown.
            ModelError, PostUnsettled, SlackApiError: it may pass; the step is tried again.
        """
        turn_id = turn_of(arrival, self.name)
        known = await self._known(turn_id)
        if known is None:
            answer = await self._judge(arrival, turn_id)
            known = await self._intend(turn_id, lease)
            if known is None:
                result = await self._execute(arrival, turn_id, answer)
                await self._follow(arrival, lease, result)
                return
        elif known.state != "done":
            known = await self._intend(turn_id, lease)
        if known is None or known.state != "done":
            raise self._given_up("unknown", "an earlier run of the program was cut off; it is not run again")
        await self._follow(arrival, lease, Result.model_validate_json(known.result or ""))

    async def _judge(self, arrival: NewArrival, turn_id: UUID) -> JSONAnswer:
        viewer = Viewer(arrival.team_id, arrival.user_id or "", arrival.channel_id)
        user = arrival.user_id or ""
        budget = self._policies.budget(arrival.channel_id, arrival.channel_name)
        answer = await self._monitors.ask(
            self._monitor, arrival.text, user, turn_id=turn_id, viewer=viewer, budget=budget
        )
        if answer.problem:
            raise self._given_up("invalid_answer", f"the model's answer does not fit result_schema: {answer.problem}")
        return answer

    async def _execute(self, arrival: NewArrival, turn_id: UUID, answer: JSONAnswer) -> Result:
        given = write_input(self._monitor, arrival, answer.value)
        stderr = ""
        try:
            written = await run_program(self._monitor.argv, given, seconds=self._seconds)
            stderr = written.stderr
            result = Result(output=read_output(written.stdout, self._redactor.clean))
        except ProgramFailed as error:
            stderr = error.stderr
            result = Result(error=f"the program {error}")
        except BadOutput as error:
            result = Result(error=f"the program {error}")
        async with self._database.connection() as conn:
            await effects.settle(conn, turn_id, self.name, result.model_dump_json())
        RUNS.labels(self._monitor.slug, "program_failed" if result.error else "done").inc()
        if stderr.strip():
            log.warning("a monitor's program complains", slug=self._monitor.slug, stderr=stderr.strip())
        return result

    async def _follow(self, arrival: NewArrival, lease: Lease, result: Result) -> None:
        if result.error:
            log.error("a monitor's program failed", slug=self._monitor.slug, error=result.error)
            raise StepGaveUp(result.error)
        part = 0
        for channel_id, thread_ts, pieces in await self._addressed(result.output):
            if channel_id:
                messages = [(channel_id, thread_ts, piece) for piece in pieces]
                model = self._monitors.model_name
                await self._poster.post(arrival, lease, self.name, messages, model, part, module=MODULE)
            part += len(pieces)  # those who are unknown today may be known at the next try: each keeps its number

    async def _addressed(self, output: Output) -> list[tuple[str | None, str | None, list[str]]]:
        """Channel (None: nobody there), thread and text, in parts that fit, of each message."""
        found: list[tuple[str | None, str | None, list[str]]] = []
        for direct in output.direct_messages:
            channel_id = await self._directory.direct_channel(direct.email)
            if channel_id is None:
                log.warning("no such person for a direct message", slug=self._monitor.slug, email=direct.email)
            found.append((channel_id, None, split(direct.text)))
        found += [(m.channel_id, m.slack_ts, split(m.text)) for m in output.channel_messages]
        return found

    async def _known(self, turn_id: UUID) -> Effect | None:
        async with self._database.connection() as conn:
            return await effects.find(conn, turn_id, self.name)

    async def _intend(self, turn_id: UUID, lease: Lease) -> Effect | None:
        async with self._database.connection() as conn:
            return await effects.intend(conn, lease, turn_id, self.name, MODULE)

    def _given_up(self, outcome: str, reason: str) -> StepGaveUp:
        RUNS.labels(self._monitor.slug, outcome).inc()
        log.error("a monitor ran nothing", slug=self._monitor.slug, outcome=outcome, reason=reason)
        return StepGaveUp(reason)
