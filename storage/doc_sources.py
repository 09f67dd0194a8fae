"""Sources of documentation: who reads one at the moment, how far that is, and how it ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from storage import db
from storage.db import Connection

SILENT_SECONDS = 60  # after which a holder counts as dead


@dataclass(frozen=True)
class SourceState:
    """A source's last reading, or the one under way.

    Attributes:
        state: ``running``, ``interrupted`` (its reader died), ``done`` or ``failed`` (as a whole; all is kept).
        done: documents that are up to date.
        total: documents that the source has.
        failed: documents that could not be read; their old copies are kept.
        error: why the source failed.
        problems: the first of the failed documents, each with its reason.
        revision: the commit, or what identifies the content, of the last reading that ended well.
    """

    name: str
    kind: str
    state: str
    done: int
    total: int
    failed: int
    error: str | None
    problems: list[str]
    revision: str | None
    started_at: datetime
    finished_at: datetime | None


async def begin(conn: Connection, name: str, kind: str, holder: UUID, *, unless_within: float | None = None) -> bool:
    """Take a source to read it; False where another reader has it.

    Args:
        conn: where to.
        name: the source.
        kind: its type.
        holder: who takes it.
        unless_within: leave it where its last reading began less than so many seconds ago, however it ended.
    """
    row = await db.fetch_value(
        conn,
        """insert into doc_sources (name, kind, state, holder) values (%(name)s, %(kind)s, 'running', %(holder)s)
           on conflict (name) do update set
               kind = excluded.kind, state = 'running', holder = excluded.holder, done = 0, total = 0, failed = 0,
               error = null, problems = '{}', seen_at = now(), started_at = now(), finished_at = null
           where (doc_sources.state <> 'running'
                  or doc_sources.seen_at < now() - make_interval(secs => %(silent)s))
             and (%(within)s::float8 is null
                  or doc_sources.started_at < now() - make_interval(secs => %(within)s::float8))
           returning 1""",
        {"name": name, "kind": kind, "holder": holder, "silent": SILENT_SECONDS, "within": unless_within},
    )
    return row is not None


async def report(conn: Connection, name: str, holder: UUID, *, done: int, total: int, failed: int) -> bool:
    """Tell how far it is, and that the reader lives; False where another reader has taken the source."""
    touched = await db.execute(
        conn,
        "update doc_sources set done = %s, total = %s, failed = %s, seen_at = now() "
        "where name = %s and holder = %s and state = 'running'",
        (done, total, failed, name, holder),
    )
    return touched == 1


async def finish(
    conn: Connection,
    name: str,
    holder: UUID,
    *,
    done: int,
    total: int,
    problems: Sequence[str],
    failed: int,
    error: str | None = None,
    revision: str | None = None,
) -> bool:
    """Give the source back: as failed where there is an error. The last good revision stays."""
    touched = await db.execute(
        conn,
        "update doc_sources set state = case when %(error)s::text is null then 'done' else 'failed' end, "
        "done = %(done)s, total = %(total)s, failed = %(failed)s, error = %(error)s, problems = %(problems)s, "
        "revision = coalesce(%(revision)s, revision), seen_at = now(), finished_at = now() "
        "where name = %(name)s and holder = %(holder)s and state = 'running'",
        {
            "name": name,
            "holder": holder,
            "done": done,
            "total": total,
            "failed": failed,
            "error": error,
            "problems": list(problems),
            "revision": revision,
        },
    )
    return touched == 1


async def list_all(conn: Connection) -> list[SourceState]:
    """Every source that was ever begun, by name."""
    return await db.fetch_all(
        conn,
        SourceState,
        """select name, kind, case when state = 'running' and seen_at < now() - make_interval(secs => %s)
                                   then 'interrupted' else state end as state,
                  done, total, failed, error, problems, revision, started_at, finished_at
           from doc_sources order by name""",
        (SILENT_SECONDS,),
    )


async def remove_except(conn: Connection, names: Collection[str]) -> int:
    """Forget the sources that are not among these."""
    return await db.execute(conn, "delete from doc_sources where name <> all(%s)", (list(names),))
