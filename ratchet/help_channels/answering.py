"""Answers questions in help channels out of the documentation (behaviour A20), and notes which there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from langchain_core.messages import BaseMessage

from agent.context import Errand
from agent.docs_answers import DocsDraft, Passage, answer
from agent.errors import BadAnswer, ModelRefused
from agent.redaction import Redactor
from agent.structured import StructuredModel
from ratchet.help_channels.questions import is_question
from ratchet.help_channels.text import show_answer
from ratchet.policies import Policies
from ratchet.steps import Poster, StepGaveUp, turn_of
from slack_app.directory import Directory
from storage import help_channels, posts
from storage.access import Viewer
from storage.db import Database
from storage.help_channels import QuestionKey
from storage.leases import Lease
from storage.messages import NewMessage
from storage.posts import Post
from storage.steps import NewArrival

log = structlog.get_logger()
LATEST = timedelta(hours=1)  # who has waited longer is no more helped by what they could have looked up


@dataclass(frozen=True)
class Found:
    """Passages of the documentation, best first, and how sure it is (0 to 1) that they answer what was asked."""

    passages: Sequence[Passage]
    confidence: float


class Documents(Protocol):
    """The documentation, as far as it can be searched."""

    async def find(self, question: str, viewer: Viewer) -> Found:
        """What it says about a question, if the viewer may read it."""


class DocsAnswerStep:
    """Where a channel turned it on: answers a person's question to everybody, if the documentation surely knows.

    Where the channel turned on ``docs`` or ``unanswered``, the question is noted for the sweep (sweep.py).
    """

    name = "docs_answer"

    def __init__(
        self,
        database: Database,
        documents: Documents,
        model: StructuredModel,
        redactor: Redactor,
        policies: Policies,
        poster: Poster,
        directory: Directory,
        *,
        confidence: float,
    ) -> None:
        self._database = database
        self._documents = documents
        self._model = model
        self._redactor = redactor
        self._policies = policies
        self._poster = poster
        self._directory = directory
        self._confidence = confidence

    def may_want(self, message: NewMessage) -> bool:
        """A person's question that begins a thread, if any channel is a help channel."""
        somewhere = any(self._policies.does_unasked_somewhere(feature) for feature in ("docs", "unanswered"))
        asks = not message.is_bot and message.thread_ts is None and message.alert_action == "none"
        return somewhere and asks and is_question(message.text)

    def wants(self, arrival: NewArrival) -> bool:
        """The same, in a help channel."""
        here = any(self._does(feature, arrival) for feature in ("docs", "unanswered"))
        asks = not arrival.is_bot and arrival.thread_ts is None and arrival.alert_action == "none"
        return here and asks and is_question(arrival.text)

    async def run(self, arrival: NewArrival, lease: Lease) -> None:
        """Note the question; answer it where that is on, and nobody was faster.

        Raises:
            StepGaveUp: the model refuses, or its answer cannot be read.
            ModelError, PostUnsettled: it may pass; the step is tried again.
        """
        key = QuestionKey(arrival.team_id, arrival.channel_id, arrival.ts)
        await self._note(key, None)
        if not self._does("docs", arrival):
            return None
        async with self._database.connection() as conn:
            intended = await posts.list_for_turn(conn, turn_of(arrival, self.name))
        if intended:  # an earlier run was cut off behind it: its words stand
            await self._settle(arrival, lease, key, intended[0].text, intended[0].blocks)
            return None
        if datetime.now(UTC) - arrival.posted_at > LATEST:
            return self._silent(arrival, "the question is too old")
        if await self._is_barred(arrival):
            return self._silent(arrival, "the policy allows guests nothing")
        audience = self._policies.audience(arrival.channel_id, arrival.channel_name)
        viewer = Viewer.everyone_in(arrival.team_id, arrival.channel_id, audience)
        found = await self._documents.find(arrival.text, viewer)
        await self._note(key, found.confidence)
        if found.confidence < self._confidence:
            return self._silent(arrival, "the documentation may not know", confidence=found.confidence)
        if await self._has_reply(key):
            return self._silent(arrival, "a person was faster")
        sentences = await answer(
            arrival.text, found.passages, lambda messages: self._ask(arrival, messages), redactor=self._redactor
        )
        if not sentences:
            await self._note(key, 0.0)
            return self._silent(arrival, "what was found does not answer it", confidence=found.confidence)
        if await self._has_reply(key):
            return self._silent(arrival, "a person was faster")
        text, blocks = show_answer(sentences, arrival.ts)
        await self._settle(arrival, lease, key, text, blocks)
        return None

    async def _ask(self, arrival: NewArrival, messages: list[BaseMessage]) -> DocsDraft:
        viewer = Viewer(arrival.team_id, "", arrival.channel_id)
        budget = self._policies.budget(arrival.channel_id, arrival.channel_name)
        errand = Errand(turn_of(arrival, self.name), viewer, budget)
        try:
            return await self._model.ask(DocsDraft, messages, asking=errand, module=self.name)
        except (BadAnswer, ModelRefused) as error:
            log.warning("no answer out of the documentation", channel_id=arrival.channel_id, error=str(error))
            raise StepGaveUp(str(error)) from error

    async def _settle(
        self, arrival: NewArrival, lease: Lease, key: QuestionKey, text: str, blocks: list[dict[str, object]] | None
    ) -> None:
        post: Post = await self._poster.reply(arrival, lease, self.name, text, model=self._model.name, blocks=blocks)
        if post.state == "posted":
            async with self._database.connection() as conn:
                await help_channels.mark(conn, key, "answered")

    async def _is_barred(self, arrival: NewArrival) -> bool:
        """Whether a guest asks, or somebody of another workspace, who may not use tools there either."""
        if self._policies.allows_guests(arrival.channel_id, arrival.channel_name):
            return False
        user = await self._directory.user(arrival.team_id, arrival.user_id or "")
        return user.is_guest or user.is_stranger

    async def _note(self, key: QuestionKey, confidence: float | None) -> None:
        async with self._database.connection() as conn:
            await help_channels.note(conn, key, confidence=confidence)

    async def _has_reply(self, key: QuestionKey) -> bool:
        async with self._database.connection() as conn:
            return await help_channels.has_reply(conn, key)

    def _does(self, feature: str, arrival: NewArrival) -> bool:
        return self._policies.does_unasked(feature, arrival.channel_id, arrival.channel_name)

    def _silent(self, arrival: NewArrival, reason: str, **values: float) -> None:
        log.info("a question is left to people", channel_id=arrival.channel_id, ts=arrival.ts, reason=reason, **values)
