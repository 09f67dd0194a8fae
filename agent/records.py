"""What a turn did, on its way to the tables: rows that are committed with the step that they tell of.

A model call or a tool call is recorded in the very statement that commits its result to the checkpoint
(agent/checkpoints.py), so that neither stands without the other; and so is which messages the turn was shown. What no
checkpoint takes along is written by ``flush``: a failed attempt at once, the rest when the run ends, however it ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from storage import audit, sources, usage
from storage.db import Connection, Database
from storage.sources import Source


@dataclass
class Records:
    """The rows of one turn that are not committed yet."""

    calls: list[usage.ModelCall] = field(default_factory=list)
    entries: list[audit.Entry] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.calls or self.entries or self.sources)

    def take(self) -> Records:
        """Hand all rows over to whoever commits them."""
        taken = Records(self.calls, self.entries, self.sources)
        self.calls, self.entries, self.sources = [], [], []
        return taken

    def give_back(self, other: Records) -> None:
        """Keep rows whose commit failed."""
        self.calls, self.entries = other.calls + self.calls, other.entries + self.entries
        self.sources = other.sources + self.sources

    async def flush(self, database: Database) -> None:
        """Commit what is left."""
        if not self:
            return
        taken = self.take()
        try:
            async with database.connection() as conn:
                await write(conn, taken)
        except BaseException:
            self.give_back(taken)
            raise


async def write(conn: Connection, records: Records) -> None:
    """Commit rows in one statement."""
    await conn.execute(
        f"with calls as ({usage.INSERT}), shown as ({sources.INSERT}) {audit.INSERT}",
        {
            "calls": usage.as_json(records.calls),
            "entries": audit.as_json(records.entries),
            "sources": sources.as_json(records.sources),
        },
    )
