"""From a turn's row to its answer in Slack: what the jobs call."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from agent.alert_threads import describe_alert_thread
from agent.context import Requester
from agent.question import Question
from agent.runner import Runner, Waiting
from agent.signals import Signals
from ratchet.approving import ApprovalDesk
from ratchet.images import Screenshots
from ratchet.offering import Offering, opening
from ratchet.policies import Policies
from ratchet.reports.pictures import Pictures
from ratchet.steering import Steering
from slack_app.backfill import Backfill
from slack_app.catch_up import YOUNG_SECONDS, CatchUp
from slack_app.directory import Directory
from slack_app.identity import Identity
from slack_app.jobs import Enqueue, answer_job
from slack_app.live import Stage
from slack_app.outbox import Outbox
from slack_app.stream import SlackReply
from storage import conversations, leases, messages, offers, posts, turns
from storage.access import Viewer
from storage.db import Database
from storage.leases import Lease, LeaseLost
from storage.turns import Turn
from tools.hits import channel_label

log = structlog.get_logger()
THREAD_MESSAGES = 200
GREETING = (
    "Hello! Ask me about this workspace, in a sentence. For example:\n\n"
    "- which alerts fired most in #ops-alerts this week?\n"
    "- how did we fix this last time?\n"
    "- what is going on with payments right now?"
)
NOT_A_MEMBER = (
    "I cannot write in <#{channel_id}>, so I could not take your question there. Invite me with `/invite @Ratchet` and "
    "ask again, or ask me here."
)
GAVE_UP = (
    "I am sorry: something went wrong on my side {attempts} times, so I stopped working on this. "
    "The operators can see the details in my log. Please ask again."
)


class Answering:
    """Everything that answering one turn needs."""

    def __init__(
        self,
        database: Database,
        *,
        runner: Runner,
        client: AsyncWebClient,
        stage: Stage,
        identity: Identity,
        outbox: Outbox,
        pictures: Pictures,
        screenshots: Screenshots,
        directory: Directory,
        backfill: Backfill,
        catch_up: CatchUp,
        policies: Policies,
        offering: Offering,
        approvals: ApprovalDesk,
        steering: Steering,
        enqueue: Enqueue,
        attempts: int,
    ) -> None:
        self._database = database
        self._runner = runner
        self._client = client
        self._stage = stage
        self._identity = identity
        self._outbox = outbox
        self._pictures = pictures
        self._screenshots = screenshots
        self._directory = directory
        self._backfill = backfill
        self._catch_up = catch_up
        self._policies = policies
        self._offering = offering
        self._approvals = approvals
        self._steering = steering
        self._enqueue = enqueue
        self._attempts = attempts

    async def answer(self, turn_id: UUID) -> str | None:
        """Answer a turn, once, and deliver the answer, once; returns the error of a turn that was given up.

        Earlier turns of the thread that wait too go first, so that the order of the questions is kept. This one
        follows in any case: the job of an earlier turn may be gone, and then no other job would come to it.

        Raises:
            LeaseLost: another worker has the thread.
            PostUnsettled: Slack did not take the answer yet.
            Exception: anything unforeseen, to be tried again.
        """
        async with self._database.connection() as conn:
            young = await turns.get_young(conn, turn_id, seconds=YOUNG_SECONDS)
        if young:
            await self._catch_up.before(young)
        gave_up: str | None = None
        settled: set[UUID] = set()
        while True:
            due = await self._next(turn_id)
            if due in settled:  # it got no further: it is not to hold up this one
                due = turn_id
            settled.add(due)
            gave_up = await self._settle(due) or gave_up
            if due == turn_id or not await self._is_open(turn_id):
                return gave_up

    async def ask(self, turn_id: UUID) -> None:
        """Post a slash command's question and enqueue its answer in the thread below it."""
        turn, lease = await self._begin(turn_id)
        if turn is None or turn.thread_ts:
            return
        if turn.is_over:
            await self._outbox.deliver(turn_id, lease)
            return
        asked = await self._offering.asked(turn)
        async with self._database.connection() as conn:
            if turn.source == "private" and await offers.withdraw(conn, turn_id):
                return
            post_id = await posts.insert(
                conn,
                turn_id=turn_id,
                part=0,
                channel_id=turn.channel_id,
                thread_ts=None,
                text=opening(turn, asked),
                module="command",
            )
        await self._outbox.deliver(turn_id, lease)
        async with self._database.connection() as conn:
            post = await posts.get(conn, post_id)
        if post is None or post.ts is None:
            await self._decline(turn, lease)
            return
        async with self._database.connection() as conn, conn.transaction():
            await leases.hold(conn, lease)
            await turns.set_thread(conn, turn_id, post.ts)
            await self._enqueue(conn, [answer_job(turn.team_id, turn.channel_id, post.ts, turn_id)])

    async def _decline(self, turn: Turn, lease: Lease) -> None:
        """Tell whoever used the command where Ratchet cannot write, in a DM."""
        log.warning("a command's question cannot be posted", turn_id=str(turn.turn_id), channel_id=turn.channel_id)
        opened = await self._client.conversations_open(users=[turn.requester_id])
        text = NOT_A_MEMBER.format(channel_id=turn.channel_id)
        async with self._database.connection() as conn, conn.transaction():
            await posts.insert(
                conn,
                turn_id=turn.turn_id,
                part=1,
                channel_id=str(opened["channel"]["id"]),
                thread_ts=None,
                text=text,
                module="command",
            )
            await turns.finish(conn, lease, turn.turn_id, answer=text, error="the question could not be posted")
        await self._outbox.deliver(turn.turn_id, lease)

    async def _next(self, turn_id: UUID) -> UUID:
        async with self._database.connection() as conn:
            turn = await turns.get(conn, turn_id)
            return (await turns.oldest_unsettled(conn, turn) if turn else None) or turn_id

    async def _is_open(self, turn_id: UUID) -> bool:
        async with self._database.connection() as conn:
            return await turns.is_unsettled(conn, turn_id)

    async def _settle(self, turn_id: UUID) -> str | None:
        turn, lease = await self._begin(turn_id)
        if turn is None:
            return None
        gave_up: str | None = None
        was_open = not turn.is_over
        if turn.status == "waiting":
            async with self._database.connection() as conn, conn.transaction():
                turn = await turns.resume(conn, lease, turn_id) or turn
        if turn.status == "waiting":
            await self._approvals.show_files(turn, lease)
        if turn.status == "running":
            gave_up = await self._work(turn, lease)
        await self._outbox.deliver(turn.turn_id, lease)
        if not was_open and turn.thread_ts:  # the worker that ended it may have died before it said so
            self._stage.set_session(turn.channel_id, turn.thread_ts, "active")
        await self._approvals.decisions.withdraw_unseen(turn.turn_id)
        await self._pictures.follow(turn, lease)
        if was_open:
            await self._offering.consider(turn_id)
        return gave_up

    async def _begin(self, turn_id: UUID) -> tuple[Turn | None, Lease]:
        async with self._database.connection() as conn:
            turn = await turns.begin(conn, turn_id)
            if turn is None:
                log.error("no such turn", turn_id=str(turn_id))
                return None, Lease("", 0)
            return turn, await leases.take(conn, turn.thread_key)

    async def _work(self, turn: Turn, lease: Lease) -> str | None:
        with self._steering.watch(turn) as signals:
            return await self._run(turn, lease, signals)

    async def _run(self, turn: Turn, lease: Lease, signals: Signals) -> str | None:
        reply = SlackReply(self._stage, turn, lease, model=self._runner.model_name)
        try:
            if turn.attempts > self._attempts:
                return await self._give_up(turn, lease, reply, f"the turn ended its worker {self._attempts} times")
            reply.started()
            question = replace(await self._question(turn, lease), signals=signals)
            if signals.stopped_by:
                await self._runner.stop(question, reply)
            elif not turn.question:
                await self._runner.greet(question, reply, GREETING)
            else:
                await self._runner.answer(question, reply, self._directory)
        except LeaseLost:
            raise
        except Waiting:
            log.info("turn waits for approval", turn_id=str(turn.turn_id))
            await reply.pause()
            await self._approvals.show_files(turn, lease)
        except Exception as error:
            log.exception("turn failed", turn_id=str(turn.turn_id), attempt=turn.attempts)
            if turn.attempts < self._attempts:
                raise
            return await self._give_up(turn, lease, reply, f"{type(error).__name__}: {error}")
        finally:
            await reply.close()
        return None

    async def _give_up(self, turn: Turn, lease: Lease, reply: SlackReply, error: str) -> str:
        # Without what _question looks up: that may be what fails each time.
        bare = Question(
            turn=turn,
            lease=lease,
            requester=Requester(turn.requester_id, turn.requester_id),
            channel_label=turn.channel_id,
            workspace_url=self._identity.workspace_url,
            allowed_tools=frozenset(),
            approving=self._approvals.of(turn.channel_id, ""),
        )
        await self._runner.fail(bare, reply, notice=GAVE_UP.format(attempts=self._attempts), error=error)
        return error

    async def _question(self, turn: Turn, lease: Lease) -> Question:
        user = await self._directory.user(turn.team_id, turn.requester_id)
        named = self._policies.needs_name(turn.channel_id)
        channel = await self._directory.channel(turn.team_id, turn.channel_id, named=named)
        name = channel.name if channel else ""
        audience = self._policies.audience(turn.channel_id, name)
        viewer = Viewer(turn.team_id, turn.requester_id, turn.channel_id, user.is_outsider, audience)
        asked = await self._offering.asked(turn)
        if turn.retry_of or asked is not turn:  # somebody else's images may come with it
            await self._directory.refresh(turn.team_id, turn.requester_id)
        thread = await self._thread(asked, viewer)
        return Question(
            turn=turn,
            lease=lease,
            requester=Requester(
                user.user_id,
                user.name,
                restricted=self._policies.restricts(user, turn.channel_id, name),
                outsider=user.is_outsider,
            ),
            channel_label=channel_label(channel.name, channel.kind) if channel else turn.channel_id,
            workspace_url=self._identity.workspace_url,
            allowed_tools=self._policies.allowed_tools(turn.channel_id, name),
            thread=thread,
            alert=await self._alert(asked, viewer),
            budget=self._policies.budget(turn.channel_id, name),
            rules=self._policies,
            approving=self._approvals.of(turn.channel_id, name),
            model=self._policies.model(turn.channel_id, name),
            language=self._policies.language(turn.channel_id, name),
            audience=audience,
            images=await self._screenshots.of(
                turn, viewer, self._policies.model(turn.channel_id, name) or self._runner.model_name
            ),
        )

    async def _alert(self, turn: Turn, viewer: Viewer) -> str:
        """What is known about the alert that the thread began with; empty where it began with something else.

        Where people had the conversation begin afresh, the alert is past too.
        """
        if turn.thread_ts is None or turn.thread_ts == turn.message_ts:
            return ""
        async with self._database.connection() as conn:
            conversation = await conversations.get(conn, turn.thread_key)
            if conversation and conversation.is_reset:
                return ""
            return await describe_alert_thread(conn, viewer, turn.channel_id, turn.thread_ts, now=datetime.now(UTC))

    async def _thread(self, turn: Turn, viewer: Viewer) -> list[messages.StoredMessage]:
        """What was said in the thread before the question and since its last reset, even if Ratchet was not there."""
        if turn.thread_ts is None or turn.thread_ts == turn.message_ts:
            return []
        await self._directory.refresh(turn.team_id, turn.requester_id)
        async with self._database.connection() as conn:
            parent = await messages.exists(conn, turn.team_id, turn.channel_id, turn.thread_ts)
        if not parent:
            try:
                await self._backfill.thread(turn.channel_id, turn.thread_ts)
            except Exception as error:  # without its beginning the thread can still be answered
                log.warning("thread not read", channel_id=turn.channel_id, error=str(error))
        async with self._database.connection() as conn:
            found = await messages.read_thread(
                conn, viewer, turn.channel_id, turn.thread_ts, limit=THREAD_MESSAGES, before_ts=turn.message_ts
            )
            conversation = await conversations.get(conn, turn.thread_key)
        since = float(conversation.reset_ts) if conversation else 0.0
        return [m for m in found if m.user_id != self._identity.bot_user_id and float(m.ts) > since]
