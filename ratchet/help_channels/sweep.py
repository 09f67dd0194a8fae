"""Goes through the questions of help channels by the clock: nudges owners, proposes updates of the documentation.

Each is posted once for a question, whatever crashes: a post has its question's id, and the question's row says that it
was made. Its wording is fixed, so that nothing else has to be remembered.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from ratchet.help_channels.questions import is_question
from ratchet.help_channels.text import show_nudge, show_proposal
from ratchet.policies import Policies
from ratchet.steps import Poster
from storage import channels, help_channels, leases, steps
from storage.channels import Channel
from storage.db import Database
from storage.help_channels import Event, HelpQuestion, QuestionKey

log = structlog.get_logger()
UPDATE_TOOL = "update_doc"
NUDGE, PROPOSE = "unanswered", "docs_proposal"  # modules of the posts, and names of their turns
OLDEST_NUDGED = timedelta(hours=48)
OLDEST_PROPOSED = timedelta(days=7)
MOST = 200  # questions looked at in one round
USER_ID = re.compile(r"[UW][A-Z0-9]{5,}")
GROUP_ID = re.compile(r"S[A-Z0-9]{5,}")
Shown = tuple[str, list[dict[str, Any]] | None]


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Swept:
    """What one round posted."""

    nudged: int
    proposed: int


class Sweep:
    """One round looks at every question that is open.

    Args:
        database: the pool.
        team_id: the workspace.
        policies: which channels turned on what, and who owns them.
        poster: posts once.
        hours: after which a question without an answer is brought to its channel's owner.
        confidence: from which on the documentation counts as knowing an answer.
        clock: tells the time.
    """

    def __init__(
        self,
        database: Database,
        *,
        team_id: str,
        policies: Policies,
        poster: Poster,
        hours: float,
        confidence: float,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._team_id = team_id
        self._policies = policies
        self._poster = poster
        self._hours = hours
        self._confidence = confidence
        self.clock = clock

    async def run(self) -> Swept:
        """Do one round. What Slack does not take now is tried again in the next one."""
        nudged = await self._each(await self._unanswered(), NUDGE, "nudged", self._nudge)
        proposed = await self._each(await self._answered_by_people(), PROPOSE, "proposed", self._propose)
        return Swept(nudged, proposed)

    async def _unanswered(self) -> list[HelpQuestion]:
        there = await self._channels(lambda c: self._policies.does_unasked("unanswered", c.channel_id, c.name))
        now = self.clock()
        async with self._database.connection() as conn:
            return await help_channels.unanswered(
                conn,
                self._team_id,
                there,
                since=now - OLDEST_NUDGED,
                until=now - timedelta(hours=self._hours),
                limit=MOST,
            )

    async def _answered_by_people(self) -> list[HelpQuestion]:
        there = await self._channels(
            lambda c: (
                self._policies.does_unasked("docs", c.channel_id, c.name)
                and UPDATE_TOOL in self._policies.allowed_tools(c.channel_id, c.name)
            )
        )
        async with self._database.connection() as conn:
            return await help_channels.answered_by_people(
                conn,
                self._team_id,
                there,
                since=self.clock() - OLDEST_PROPOSED,
                below=self._confidence,
                limit=MOST,
            )

    async def _channels(self, takes: Callable[[Channel], bool]) -> list[str]:
        async with self._database.connection() as conn:
            known = await channels.list_all(conn, self._team_id)
        return [channel.channel_id for channel in known if channel.kind != "im" and takes(channel)]

    async def _each(
        self,
        questions: Sequence[HelpQuestion],
        step: str,
        event: Event,
        show: Callable[[HelpQuestion], Awaitable[Shown]],
    ) -> int:
        posted = 0
        for question in questions:
            if not is_question(question.text):  # its author made something else of it
                continue
            try:
                posted += await self._post(question, step, event, await show(question))
            except Exception:  # one that fails must not keep the others waiting
                log.exception("a question was not followed up", step=step, channel_id=question.channel_id)
        return posted

    async def _post(self, question: HelpQuestion, step: str, event: Event, shown: Shown) -> bool:
        key = QuestionKey(self._team_id, question.channel_id, question.ts)
        async with self._database.connection() as conn:
            arrival = await steps.load(conn, *key)
            if arrival is None:
                return False
            lease = await leases.take(conn, "steps:{}:{}:{}".format(*key))
        post = await self._poster.reply(arrival, lease, step, shown[0], blocks=shown[1])
        async with self._database.connection() as conn:  # also where Slack refused it for good: Ratchet left
            await help_channels.mark(conn, key, event)
        return post.state == "posted"

    async def _propose(self, question: HelpQuestion) -> Shown:
        return show_proposal(question.ts)

    async def _nudge(self, question: HelpQuestion) -> Shown:
        owner = self._policies.owner(question.channel_id, question.channel_name).strip().lstrip("@")
        if USER_ID.fullmatch(owner):
            return show_nudge(self._hours, user_id=owner)
        if GROUP_ID.fullmatch(owner):
            return show_nudge(self._hours, group_id=owner)
        async with self._database.connection() as conn:
            named = await help_channels.users_named(conn, self._team_id, owner)
        if len(named) == 1:
            return show_nudge(self._hours, user_id=named[0])
        log.warning("a channel's owner is not known, or several have the name", owner=owner, found=len(named))
        return show_nudge(self._hours, name=f"@{owner}")
