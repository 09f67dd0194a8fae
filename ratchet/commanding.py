"""Answers commands: without the model, beside whatever the thread is doing, each once."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from agent.context import ApproversUnknown
from agent.history import measure
from ratchet import command_texts as texts
from ratchet.answering import GAVE_UP
from ratchet.approving import ApprovalDesk
from ratchet.command_texts import Session
from ratchet.explaining import Approvers, Explainer, Place
from ratchet.policies import Policies
from slack_app.command_words import CommandCall, parse
from slack_app.directory import Directory
from slack_app.errors import is_refusal, reason
from slack_app.identity import Identity
from slack_app.mrkdwn import compose
from slack_app.outbox import Outbox, PostUnsettled
from slack_app.parts import split
from storage import approvals, audit, budgets, conversations, leases, posts, turns
from storage.access import Viewer
from storage.budgets import Balance
from storage.channels import User
from storage.db import Database
from storage.leases import Lease
from storage.turns import Turn, thread_key
from tools.hits import channel_label

log = structlog.get_logger()
MODULE = "command"
MOST_USES = 5  # of a response_url
SPENT_URL = {403, 404, 410}


class CommandFailed(Exception):
    """What was a command when it came is none now: its message was edited or removed."""


class Commanding:
    """Everything that answering a command needs."""

    def __init__(
        self,
        database: Database,
        *,
        explainer: Explainer,
        policies: Policies,
        model_name: str,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        identity: Identity,
        directory: Directory,
        desk: ApprovalDesk,
        outbox: Outbox,
        attempts: int,
    ) -> None:
        self._database = database
        self._explainer = explainer
        self._policies = policies
        self._model_name = model_name
        self._client = client
        self._session = session
        self._identity = identity
        self._directory = directory
        self._desk = desk
        self._outbox = outbox
        self._attempts = attempts

    async def run(self, turn_id: UUID, response_url: str = "") -> None:
        """Answer a command: in its thread, or, where it came by slash, to the person alone.

        A slash command whose worker dies between showing the answer and recording that is answered twice.

        Raises:
            LeaseLost: another worker has it.
            PostUnsettled: Slack did not take the answer yet.
            Exception: anything unforeseen, to be tried again.
        """
        async with self._database.connection() as conn:
            turn = await turns.begin(conn, turn_id)
            if turn is None:
                log.error("no such turn", turn_id=str(turn_id))
                return
            lease = await leases.take(conn, turn.thread_key)
        if not turn.is_over:
            text, error = await self._try(turn)
            if turn.thread_ts is None and await self._whisper(turn, text, response_url):
                await self._finish(turn, lease, text, error)
            else:
                channel_id = turn.channel_id if turn.thread_ts else await self._direct_channel(turn)
                await self._finish(turn, lease, text, error, channel_id=channel_id)
        await self._outbox.deliver(turn_id, lease)

    async def answer(self, call: CommandCall, turn: Turn) -> str:
        """What a command is answered with, in Markdown; a reset is done by then."""
        user = await self._directory.user(turn.team_id, turn.requester_id)
        named = self._policies.needs_name(turn.channel_id)
        channel = await self._directory.channel(turn.team_id, turn.channel_id, named=named)
        label = channel_label(channel.name, channel.kind) if channel else turn.channel_id
        place = Place(turn.channel_id, channel.name if channel else "", label)
        match call.name:
            case "help":
                person = self._explainer.person(user, place)
                return texts.show_help(self._explainer.usable(user, place), person, place)
            case "tools":
                usable = self._explainer.usable(user, place)
                others = sorted(self._explainer.catalogue.keys() - {entry.name for entry in usable})
                return texts.show_tools(usable, others, self._explainer.person(user, place), place)
            case "why":
                return await self._why(call.argument, turn, user, place)
        async with self._database.connection() as conn:
            thread_ts = turn.thread_ts or await turns.newest_thread(
                conn, turn.team_id, turn.channel_id, turn.requester_id
            )
        if thread_ts is None:
            return texts.NO_THREAD
        match call.name:
            case "reset":
                return await self._reset(turn, thread_ts, user, place)
            case "session":
                return await self._describe(turn, thread_ts, place)
            case "stop":
                async with self._database.connection() as conn:
                    states = await turns.count_open(conn, turn.team_id, turn.channel_id, thread_ts)
                return texts.STILL_RUNS if states else texts.NOTHING_RUNS

    async def _try(self, turn: Turn) -> tuple[str, str | None]:
        """The answer, or, after so many failures, the notice that there is none and why."""
        call = parse(turn.question)
        try:
            if call is None:
                raise CommandFailed("the command was edited or removed")
            return await self.answer(call, turn), None
        except Exception as error:
            log.exception("command failed", turn_id=str(turn.turn_id), attempt=turn.attempts)
            if turn.attempts < self._attempts and call:
                raise
            return GAVE_UP.format(attempts=turn.attempts), f"{type(error).__name__}: {error}"

    async def _finish(
        self, turn: Turn, lease: Lease, text: str, error: str | None, *, channel_id: str | None = None
    ) -> None:
        """Record the outcome, and where it is to be posted, in one transaction."""
        async with self._database.connection() as conn, conn.transaction():
            for number, part in enumerate(split(text), 1) if channel_id else ():
                await posts.insert(
                    conn,
                    turn_id=turn.turn_id,
                    part=number,
                    channel_id=channel_id or "",
                    thread_ts=turn.thread_ts,
                    text=part,
                    module=MODULE,
                )
            await turns.finish(conn, lease, turn.turn_id, answer=text, error=error)

    async def _whisper(self, turn: Turn, text: str, response_url: str) -> bool:
        """Show an answer to the person alone; False where Slack gives no way to.

        Raises:
            PostUnsettled, SlackApiError, aiohttp.ClientError, TimeoutError, OSError: Slack is away.
        """
        messages = [compose(part) for part in split(text)[:MOST_USES]]
        if response_url:
            # Without handlers that send again after a lost answer.
            webhook = AsyncWebhookClient(response_url, session=self._session, retry_handlers=[])
            statuses = []
            for message in messages:
                sent = await webhook.send(**message, response_type="ephemeral", unfurl_links=False, unfurl_media=False)
                statuses.append(sent.status_code)
                if sent.status_code != 200:
                    break
            if statuses[-1] == 200:
                return True
            log.warning("a response_url is refused", turn_id=str(turn.turn_id), status=statuses[-1])
            if statuses[-1] not in SPENT_URL:
                raise PostUnsettled(f"command {turn.turn_id}: HTTP {statuses[-1]} from its response_url")
        try:
            for message in messages:
                await self._client.chat_postEphemeral(channel=turn.channel_id, user=turn.requester_id, **message)
        except SlackApiError as error:
            if not is_refusal(error):
                raise
            log.warning("a command's answer is not shown in its channel", error=reason(error))
            return False
        return True

    async def _direct_channel(self, turn: Turn) -> str:
        opened = await self._client.conversations_open(users=[turn.requester_id])
        return str(opened["channel"]["id"])

    async def _reset(self, turn: Turn, thread_ts: str, user: User, place: Place) -> str:
        """Have a thread's conversation begin afresh; what was said in it stays for the record.

        Whom the channel's policy restricts has that done with what they began themselves.
        """
        if self._policies.restricts(user, place.channel_id, place.name):
            async with self._database.connection() as conn:
                began = await turns.first_requester(conn, turn.team_id, turn.channel_id, thread_ts)
            if began != turn.requester_id:
                return texts.NOT_YOURS
        ts = turn.message_ts or f"{turn.created_at.timestamp():.6f}"
        details = {"turn_id": str(turn.turn_id), "channel_id": turn.channel_id, "thread_ts": thread_ts}
        async with self._database.connection() as conn, conn.transaction():
            if await conversations.reset(conn, thread_key(turn.team_id, turn.channel_id, thread_ts), ts):
                await audit.record(conn, who=turn.requester_id, action="session_reset", details=details)
        return f"{texts.RESET}\n{self._elsewhere(turn, thread_ts, 'That was')}".strip()

    async def _describe(self, turn: Turn, thread_ts: str, place: Place) -> str:
        key = thread_key(turn.team_id, turn.channel_id, thread_ts)
        viewer = Viewer(turn.team_id, turn.requester_id, turn.channel_id)
        where = (turn.team_id, turn.channel_id, thread_ts)
        await self._directory.refresh(turn.team_id, turn.requester_id)
        balances = await self._balances(turn, place)
        async with self._database.connection() as conn:
            conversation = await conversations.get(conn, key)
            asked, since = await turns.count_since(conn, *where, conversation.reset_ts if conversation else "0")
            pending = await approvals.list_pending(conn, viewer, channel_id=turn.channel_id)
            session = Session(
                turns=asked,
                since=since,
                size=await measure(conn, key),
                is_reset=bool(conversation and conversation.is_reset),
                states=await turns.count_open(conn, *where),
                waiting=[waiting.tool for waiting in pending if waiting.thread_ts == thread_ts],
                model=self._policies.model(place.channel_id, place.name) or self._model_name,
                language=self._policies.language(place.channel_id, place.name),
                balances=balances,
                link="" if turn.thread_ts else self._identity.permalink(turn.channel_id, thread_ts, None),
            )
        return texts.show_session(session)

    async def _why(self, words: str, turn: Turn, user: User, place: Place) -> str:
        balances = await self._balances(turn, place)
        named = self._explainer.nearest(words)
        if not named:
            person = self._explainer.person(user, place)
            return texts.show_no_match(
                words, self._explainer.usable(user, place), [] if person.allows else [person], place
            )
        approvers = await self._approvers(place)
        decisions = [
            self._explainer.explain(name, user, place, approvers=approvers, balances=balances) for name in named
        ]
        return "\n\n".join(texts.show_decision(decision, place) for decision in decisions)

    async def _approvers(self, place: Place) -> Approvers:
        try:
            return Approvers(list(await self._desk.of(place.channel_id, place.name).approvers()))
        except ApproversUnknown as error:
            return Approvers(problem=str(error).partition(" Tell the user")[0])

    async def _balances(self, turn: Turn, place: Place) -> list[Balance]:
        budget = self._policies.budget(place.channel_id, place.name)
        async with self._database.connection() as conn:
            return await budgets.balances(conn, turn.team_id, turn.channel_id, budget, datetime.now(UTC))

    def _elsewhere(self, turn: Turn, thread_ts: str, what: str) -> str:
        """Which thread a command was about that came without one."""
        if turn.thread_ts:
            return ""
        return f"{what} [your last conversation here]({self._identity.permalink(turn.channel_id, thread_ts, None)})."
