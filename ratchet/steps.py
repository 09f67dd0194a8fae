"""What follows by itself from a new message: classifier, channel monitor, runbook, … in this order (behaviour A8).

Each step is done once for a message, whatever crashes and however often the message is delivered. One step's failure
is recorded, and neither stops the next step nor the conversation, which has jobs of its own. A message that is read
from a channel's past passes none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID, uuid5

import structlog

from agent.errors import BudgetSpent
from slack_app.outbox import Outbox, PostUnsettled
from slack_app.parts import split
from slack_app.questions import NAMESPACE
from storage import leases, posts, steps
from storage.db import Database
from storage.leases import Lease, LeaseLost
from storage.messages import NewMessage
from storage.posts import Post
from storage.steps import NewArrival

log = structlog.get_logger()


class StepsFailed(Exception):
    """Some steps of a message failed; they can be tried again."""


class StepsUnsettled(StepsFailed, PostUnsettled):
    """The same, and Slack did not take what one of them posts: worth trying for longer."""


class StepGaveUp(Exception):
    """A step failed in a way that trying again cannot mend, or must not; the message says why."""


class Step(Protocol):
    """One thing that Ratchet does by itself with new messages."""

    @property
    def name(self) -> str:
        """Its name in the record of what was done."""

    def may_want(self, message: NewMessage) -> bool:
        """Whether a message could be one for this step; asked before Slack gets its ack, so it must be cheap."""

    def wants(self, arrival: NewArrival) -> bool:
        """Whether this message is one for this step."""

    async def run(self, arrival: NewArrival, lease: Lease) -> None:
        """Do it. After a crash it is run again: what it posts, it posts with ``Poster``, which does so once.

        Raises:
            LeaseLost: another worker has the message.
            StepGaveUp: it failed for good.
            Exception: it failed; it is tried again later.
        """


class Poster:
    """Posts what a step has to say, once for each message, step and part."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def reply(
        self,
        arrival: NewArrival,
        lease: Lease,
        step: str,
        text: str,
        *,
        model: str = "",
        part: int = 0,
        blocks: Sequence[dict[str, Any]] | None = None,
    ) -> Post:
        """Post into the message's thread, with Slack blocks below; returns the first post as it stands in Slack.

        A text that is too long for one message becomes several, which count as that many parts.
        """
        messages = [(arrival.channel_id, _thread(arrival), piece) for piece in split(text)]
        return await self.post(arrival, lease, step, messages, model, part, blocks)

    async def post(
        self,
        arrival: NewArrival,
        lease: Lease,
        step: str,
        messages: Sequence[tuple[str, str | None, str]],
        model: str = "",
        part: int = 0,
        blocks: Sequence[dict[str, Any]] | None = None,
        *,
        module: str | None = None,
    ) -> Post:
        """Post several texts, each into a channel and, where given, a thread; returns the first.

        Args:
            arrival: the message that they follow from.
            lease: that of the message.
            step: the step's name; it is the posts' module, unless ``module`` is given.
            messages: (channel id, thread ts or None, text). Where the step ran before, its first texts stay.
            model: the model that wrote them.
            part: number of the first; a step that posts again later continues the count.
            blocks: Slack blocks below the last text.
            module: the part of Ratchet that the posts count for.

        Raises:
            LeaseLost: another worker has the message.
            PostUnsettled: Slack did not take them yet.
        """
        turn_id = turn_of(arrival, step)
        last = part + len(messages) - 1
        async with self._database.connection() as conn, conn.transaction():
            await leases.hold(conn, lease)
            await steps.open_turn(conn, turn_id, arrival, _thread(arrival), "\n\n".join(m[2] for m in messages))
            for number, (channel_id, thread_ts, text) in enumerate(messages, part):
                await posts.insert(
                    conn,
                    turn_id=turn_id,
                    part=number,
                    channel_id=channel_id,
                    thread_ts=thread_ts,
                    text=text,
                    module=module or step,
                    model=model,
                    blocks=blocks if number == last else None,
                )
        delivered = await self._outbox.deliver(turn_id, lease)
        return next(post for post in delivered if post.part == part)


class Steps:
    """All steps, in their order."""

    def __init__(self, database: Database, all_steps: Sequence[Step]) -> None:
        self._database = database
        self._steps = all_steps

    def may_want(self, message: NewMessage) -> bool:
        """Whether any step could be for this message."""
        return message.searchable and any(step.may_want(message) for step in self._steps)

    async def process(self, team_id: str, channel_id: str, ts: str) -> None:
        """Bring a message through the steps that it did not pass yet.

        Raises:
            LeaseLost: another worker has the message.
            StepsFailed: one or more failed; ``StepsUnsettled`` where a post of theirs waits for Slack.
        """
        async with self._database.connection() as conn:
            lease = await leases.take(conn, f"steps:{team_id}:{channel_id}:{ts}")
        failed: list[str] = []
        unsettled = False
        for step in self._steps:
            async with self._database.connection() as conn:  # read anew: the step before may have changed it
                arrival = await steps.load(conn, team_id, channel_id, ts)
                passed = await steps.done(conn, arrival) if arrival else set()
            if arrival is None:
                return
            if step.name in passed or not step.wants(arrival):
                continue
            error: str | None = None
            for_good = False
            try:
                await step.run(arrival, lease)
            except LeaseLost:
                raise
            except StepGaveUp as problem:
                error, for_good = str(problem)[:1000], True
            except BudgetSpent as problem:
                log.warning("step gave up: the budget is spent", step=step.name, channel_id=channel_id, ts=ts)
                error, for_good = str(problem)[:1000], True
            except Exception as problem:
                log.exception("step failed", step=step.name, channel_id=channel_id, ts=ts)
                error = f"{type(problem).__name__}: {problem}"[:1000]
                failed.append(step.name)
                unsettled = unsettled or isinstance(problem, PostUnsettled)
            async with self._database.connection() as conn, conn.transaction():
                await leases.hold(conn, lease)
                await steps.record(conn, arrival, step.name, error, for_good=for_good)
        if failed:
            raise (StepsUnsettled if unsettled else StepsFailed)(", ".join(failed))


def turn_of(arrival: NewArrival, step: str) -> UUID:
    """The id of the turn that a step's posts for a message belong to."""
    return uuid5(NAMESPACE, f"step:{step}:{arrival.team_id}:{arrival.channel_id}:{arrival.ts}")


def _thread(arrival: NewArrival) -> str:
    return arrival.thread_ts or arrival.ts
