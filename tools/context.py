"""All that a tool may touch: who asks, where, and the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from langchain.tools import ToolRuntime
from langchain_core.tools import ToolException

from storage import channels
from storage.access import Viewer
from storage.channels import Channel
from storage.db import Database


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
    """

    turn_id: UUID
    viewer: Viewer
    thread_ts: str | None
    database: Database
    now: datetime
    workspace_url: str


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
