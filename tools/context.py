"""All that a tool may touch: who asks, where, and the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from langchain.tools import ToolRuntime
from langchain_core.tools import ToolException

from storage import channels
from storage.access import Viewer
from storage.budgets import Budget
from storage.channels import Channel
from storage.db import Database
from storage.vectors import Space, SpaceVector

QUERY_CHARS = 2000


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors of one space. Vectors of different spaces are never compared."""

    @property
    def space(self) -> str:
        """The space's name: model and dimensions, such as ``all-MiniLM-L6-v2/384``."""

    @property
    def dimensions(self) -> int:
        """The length of each vector."""

    async def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of texts to be found, in their order, each of length 1.

        Raises:
            EmbeddingError: the model cannot be reached or refuses.
        """

    async def embed_query(self, query: str) -> list[float]:
        """The vector of what is looked for; some models prepare it differently."""


class EmbeddingError(Exception):
    """No vectors could be had; the message says why, in one line."""


@runtime_checkable  # LangChain builds a schema of the context
class ChannelRules(Protocol):
    """What the operators set for channels, as far as tools need it."""

    def budget(self, channel_id: str, channel_name: str) -> Budget:
        """A channel's budget, and its clock."""


class NoRules:
    """Implements ``ChannelRules``: no limits, and the clock of UTC."""

    def budget(self, channel_id: str, channel_name: str) -> Budget:
        """No budget."""
        return Budget()


@dataclass(frozen=True)
class MonitorSummary:
    """What may be shown of a channel monitor; ``executable`` is its program's path."""

    slug: str
    channel_id: str
    prompt: str
    result_schema: str
    executable: str


@dataclass(frozen=True)
class MonitorTrial:
    """What the model said to a monitor's prompt; ``problem`` is why that does not fit the schema."""

    answer: str
    problem: str | None


@runtime_checkable
class Monitors(Protocol):
    """The channel monitors."""

    def summaries(self) -> Sequence[MonitorSummary]:
        """All of them, whoever may see them."""

    async def try_out(self, slug: str, text: str, context: ToolContext) -> MonitorTrial:
        """Ask the model what one of them asks, of a text; nothing follows from it.

        Raises:
            ToolException: the model gave no answer.
        """


@dataclass(frozen=True)
class Preview:
    """What a call would do, for the people who approve it.

    A tool of effect ``change`` may offer ``extras={"preview": preview}``: ``async def preview(args, context)``. It
    changes nothing; where it raises ``ToolException``, nobody is asked and the model reads why.

    Attributes:
        summary: Markdown. What the model or other people wrote stands in it as quoted text.
        attachment: name and whole text of a file to look through, such as a diff.
        bound: facts that the approval fixes; the tool finds them in ``runtime.context.approval.bound``.
        standing: the text that would be changed, as it is. Secrets that stand in it are masked in what people are
            shown; any other refuses the call.
    """

    summary: str
    attachment: tuple[str, str] | None = None
    bound: Mapping[str, str] = field(default_factory=dict)
    standing: str = ""


@dataclass(frozen=True)
class Approval:
    """What was approved for this very call; ``permalink`` leads to the request in Slack."""

    approval_id: str
    approver_id: str
    bound: Mapping[str, str]
    permalink: str


@dataclass(frozen=True)
class TextEdit:
    """A change of a document: ``find`` stands in it exactly once, and ``replace`` comes in its place."""

    find: str
    replace: str


@dataclass(frozen=True)
class DocumentChange:
    """A document with edits applied, as its repository has it now.

    Attributes:
        url: the document.
        source: the name of its source.
        repository: ``owner/name``.
        path: from the repository's root.
        base_branch: the branch that it is to be merged into.
        base_commit: that branch's commit.
        base_blob: git's hash of the file there.
        before: its text there.
        after: its text with the edits.
    """

    url: str
    source: str
    repository: str
    path: str
    base_branch: str
    base_commit: str
    base_blob: str
    before: str
    after: str


@dataclass(frozen=True)
class PullRequest:
    """A pull request."""

    number: int
    url: str


class OutcomeUnknown(Exception):
    """Whether there is a pull request cannot be found out now; the message says why not."""


@runtime_checkable
class Documentation(Protocol):
    """The documents that Ratchet may propose updates of."""

    @property
    def seconds(self) -> float:
        """How long a call of a tool may take."""

    @property
    def attempts(self) -> int:
        """How often a turn that fails is run, before it is given up."""

    async def propose(self, url: str, edits: Sequence[TextEdit], *, base: str | None = None) -> DocumentChange:
        """What edits would make of a document as it is now; nothing is written.

        Args:
            url: the document.
            edits: applied one after the other.
            base: the blob that the document must still have.

        Raises:
            ToolException: it may not be updated, cannot be read, was changed, or an edit does not fit.
        """

    async def published(self, url: str, branch: str) -> PullRequest | None:
        """The pull request that there is already from a branch of the document's repository.

        Raises:
            ToolException: the document may not be updated.
            OutcomeUnknown: its repository cannot be asked.
        """

    async def publish(self, change: DocumentChange, *, branch: str, title: str, body: str) -> PullRequest:
        """Commit a change to a branch and open a draft pull request; what is there already is taken as it is.

        Raises:
            ToolException: it failed; no pull request was opened.
            OutcomeUnknown: it failed, perhaps after the pull request was opened.
        """

    async def settle(self, url: str, branch: str) -> PullRequest | str:
        """After a failure: the pull request if there is one all the same; else the branch goes.

        Returns:
            The pull request; or a sentence about the branch where it could not be deleted, else nothing.

        Raises:
            ToolException: the document may not be updated.
            OutcomeUnknown: the repository cannot be asked.
        """


@dataclass(frozen=True)
class ToolContext:
    """What surrounds a tool call. Tools read it through ``runtime.context``.

    Attributes:
        turn_id: the turn that this call belongs to.
        viewer: who asks and where the answer will stand; every query binds it.
        thread_ts: the thread of the question, if it is in Slack.
        database: the pool; a tool opens a connection for as long as it queries.
        now: the time of the turn, in UTC, so that one turn's windows agree.
        workspace_url: begins every permalink, such as ``https://acme.slack.com/``.
        embedder: makes the vectors of queries; without it search goes by words alone.
        rules: what is set for channels: their budgets and clocks.
        monitors: the channel monitors, where there are any.
        approval: what was approved for this very call, in a tool of effect ``change``.
        documentation: the documents that may be updated, where there are any.
    """

    turn_id: UUID
    viewer: Viewer
    thread_ts: str | None
    database: Database
    now: datetime
    workspace_url: str
    embedder: Embedder | None = field(default=None, kw_only=True)
    rules: ChannelRules = field(default_factory=NoRules, kw_only=True)
    monitors: Monitors | None = field(default=None, kw_only=True)
    approval: Approval | None = field(default=None, kw_only=True)
    documentation: Documentation | None = field(default=None, kw_only=True)


Runtime = ToolRuntime[ToolContext, Any]


async def find_channel(context: ToolContext, name_or_id: str | None) -> Channel | None:
    """The channel that an argument names; None when the argument is empty.

    Raises:
        ToolException: the requester can read no such channel from here. It does not say whether it exists.
    """
    if not name_or_id or not name_or_id.strip(" #"):
        return None
    async with context.database.connection() as conn:
        found = await channels.find_visible(conn, context.viewer, name_or_id.strip())
    if found is None:
        raise ToolException(
            f"There is no channel {name_or_id!r} that the requester may read from here. "
            "list_channels shows those that can be read."
        )
    return found


async def embed_query(
    embedder: Embedder | None, space: Space | None, query: str
) -> tuple[SpaceVector | None, str | None]:
    """A query's vector, or None with a note for the model on why there is none.

    It uses no connection: whoever waits for it may hold one.
    """
    if not query.strip():
        return None, None
    if embedder is None:
        return None, "Searched by words only: no embedding model is configured."
    if space is None:
        return None, "Searched by words only: no message is embedded yet."
    try:
        return SpaceVector(space, await embedder.embed_query(query[:QUERY_CHARS])), None
    except EmbeddingError as error:
        return None, f"Searched by words only: the embedding model failed ({error})."
