"""What one turn carries through the graph. It is never checkpointed: each run and each resume gets it anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from langchain_core.messages import AnyMessage

from agent.images import Image
from agent.records import Records
from agent.signals import Signals
from storage.access import Viewer
from storage.approvals import Approval
from storage.budgets import Budget
from storage.db import Connection
from storage.leases import Lease
from storage.turns import Outcome
from tools.context import ToolContext


class Reply(Protocol):
    """Where a turn's progress and its answer go. Slack implements it, and so does the terminal.

    Progress must not delay the turn: an implementation returns at once and never raises.
    """

    def started(self) -> None:
        """The turn began."""

    def tool_started(self, call_id: str, name: str, args: Mapping[str, Any], *, title: str) -> None:
        """A tool call began; ``title`` says in plain words what it does."""

    def tool_finished(self, call_id: str, name: str, *, ok: bool, note: str) -> None:
        """It ended; ``note`` is a few words on the outcome, or empty."""

    def text(self, delta: str) -> None:
        """The model goes on with its text; secrets are out of it, and the end of it may be withheld."""

    def restarted(self) -> None:
        """The text so far is void: the call is made again, or it was no answer but went on with tool calls."""

    def steered(self, text: str) -> None:
        """What the requester wrote meanwhile was taken in."""

    async def record(self, conn: Connection, outcome: Outcome) -> None:
        """Inside the transaction that records the answer: note what is to be posted."""


class Members(Protocol):
    """Who may read which non-public channel."""

    async def refresh(self, team_id: str, user_id: str) -> bool:
        """Make the stored memberships of a user fresh; False where that failed, and they are left to expire."""


class Approving(Protocol):
    """Who may approve what a turn wants to change, and how they are asked. Slack implements it."""

    @property
    def minutes(self) -> float:
        """How long a request is open."""

    @property
    def self_approval(self) -> bool:
        """Whether an approver may approve what they asked for themselves."""

    async def approvers(self) -> Sequence[str]:
        """The user ids of the channel's approvers; none where none is configured.

        Raises:
            ApproversUnknown: they are configured, and could not be found, or cannot read where they would be asked.
        """

    def permalink(self, channel_id: str, ts: str, thread_ts: str | None) -> str:
        """The address of a message."""

    def show(self, text: str) -> str:
        """A request's text as the approvers see it, which may be longer."""

    async def ask(self, conn: Connection, approval: Approval) -> None:
        """Inside the transaction that has the turn wait: note what is to be posted. Asking twice asks once."""

    async def tell(self, conn: Connection, approval: Approval) -> None:
        """Inside a transaction: what stands in Slack of a request is to say how it ended."""


class ApproversUnknown(Exception):
    """The approvers that are configured could not be found; the message says why."""


@dataclass(frozen=True)
class Errand:
    """What model calls without a question are recorded under: what Ratchet does by itself."""

    turn_id: UUID | None
    viewer: Viewer
    budget: Budget = field(default=Budget())
    records: Records = field(default_factory=Records, repr=False)


@dataclass(frozen=True)
class Requester:
    """Who asks.

    Attributes:
        user_id: their id.
        name: their name.
        outsider: a guest, or of another workspace; public channels are not theirs to read.
        restricted: an outsider, where the policy lets these use no tools.
    """

    user_id: str
    name: str
    restricted: bool = False
    outsider: bool = False


@dataclass(frozen=True)
class TurnContext(ToolContext):
    """A tool's context, and what the middleware needs beyond it.

    Attributes:
        requester: who asks.
        lease: the right to write for this thread.
        reply: where progress goes.
        members: refreshes memberships before each tool call.
        allowed_tools: names that the channel's policy allows.
        system_prompt: the rendered prompt.
        history: the thread's conversation before this turn.
        last_reference: the highest number that results of the thread have, seen or not (agent/references.py).
        records: model and tool calls that are not committed yet.
        budget: what model calls of this channel may cost.
        deadline: event-loop time (seconds) at which the turn must answer.
        message_ts: the message of the question.
        approving: how approvals are asked for; None where there is no way.
        signals: what people do to the turn while it runs.
        model: the name of the chat model that answers; empty for the configured one.
        images: of the question, as the model is shown them.
    """

    requester: Requester
    lease: Lease
    reply: Reply
    members: Members
    allowed_tools: frozenset[str]
    system_prompt: str
    deadline: float
    budget: Budget = field(default=Budget())
    history: tuple[AnyMessage, ...] = field(default=(), repr=False)
    last_reference: int = 0
    records: Records = field(default_factory=Records, repr=False)
    message_ts: str | None = None
    approving: Approving | None = None
    signals: Signals = field(default_factory=Signals, repr=False)
    model: str = ""
    images: tuple[Image, ...] = field(default=(), repr=False)
