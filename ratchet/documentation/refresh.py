"""Keeps the stored documents as the sources have them (behaviour A23).

Only what changed is read, by its blob. A document that cannot be read keeps its old copy, and so does all below a
folder and all of a source that cannot be read, or that lists nothing any more. Each source is read by one process at a
time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import psycopg
import structlog

from ratchet.documentation.source import DocumentError, Snapshot, Source, SourceError
from ratchet.settings import SettingsError
from ratchet.yaml_files import nearest
from storage import doc_sources, documents
from storage.db import Database
from storage.doc_sources import SourceState
from storage.documents import NewDocument
from tools.docs.chunks import Split, split

log = structlog.get_logger()
AT_ONCE = 4  # documents that are read at the same time
REPORT_SECONDS = 1.0
SHOWN_PROBLEMS = 20
Progress = Callable[[str, int, int], None]


class Lost(Exception):
    """Another process took the source: this one was silent for too long."""


@dataclass
class Outcome:
    """How the reading of a source went.

    Attributes:
        name: the source.
        state: ``done``, ``failed`` (see ``error``), or ``left``: another process reads it, or it was read just now.
        total: documents that it has.
        stored: those that are new or changed.
        unchanged: those that were not read again.
        removed: those that vanished.
        problems: those that could not be read, each with its reason.
        seconds: how long it took.
    """

    name: str
    state: str = "done"
    total: int = 0
    stored: int = 0
    unchanged: int = 0
    removed: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    revision: str | None = None
    seconds: float = 0.0

    @property
    def up_to_date(self) -> int:
        """Documents that are stored as the source has them."""
        return self.stored + self.unchanged


def _silent(name: str, done: int, total: int) -> None:
    pass


class Refresher:
    """Reads the configured sources."""

    def __init__(self, database: Database, sources: Sequence[Source]) -> None:
        self._database = database
        self.sources = tuple(sources)

    async def refresh(
        self,
        names: Collection[str] = (),
        *,
        unless_within: float | None = None,
        progress: Progress = _silent,
    ) -> list[Outcome]:
        """Read sources, one after the other; what belongs to no configured source goes.

        Args:
            names: which; default all.
            unless_within: leave those whose last reading began less than so many seconds ago.
            progress: is told (source, documents that are up to date or failed, documents in all).

        Raises:
            SettingsError: there is no source of such a name.
        """
        known = [source.name for source in self.sources]
        for name in names:
            if name not in known:
                raise SettingsError(f"there is no documentation source {name}; {nearest(name, known)}")
        async with self._database.connection() as conn:
            await documents.remove_sources_except(conn, known)
            await doc_sources.remove_except(conn, known)
        wanted = [source for source in self.sources if not names or source.name in names]
        return [await self._refresh(source, unless_within, progress) for source in wanted]

    async def states(self) -> list[tuple[Source, SourceState | None]]:
        """Each configured source with how far it is; None where it was never read."""
        async with self._database.connection() as conn:
            found = {state.name: state for state in await doc_sources.list_all(conn)}
        return [(source, found.get(source.name)) for source in self.sources]

    async def is_idle(self) -> bool:
        """Whether every source was read, and none is being read."""
        return all(state and state.state != "running" for _, state in await self.states())

    async def _refresh(self, source: Source, unless_within: float | None, progress: Progress) -> Outcome:
        outcome, holder, began = Outcome(source.name), uuid4(), time.monotonic()
        async with self._database.connection() as conn:
            if not await doc_sources.begin(conn, source.name, source.kind, holder, unless_within=unless_within):
                outcome.state = "left"
                return outcome
        try:
            async with self._reporting(outcome, holder, progress), source.open() as snapshot:
                await self._read(source, snapshot, outcome)
                outcome.revision = snapshot.revision
        except Lost:
            outcome.state, outcome.error = "failed", "another process took over"
        except SourceError as error:
            outcome.state, outcome.error = "failed", str(error)
        except asyncio.CancelledError:
            outcome.error = "it was interrupted"
            raise
        except Exception as error:
            outcome.state, outcome.error = "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            log.exception("documentation source failed", source=source.name)
        finally:
            outcome.seconds = time.monotonic() - began
            await asyncio.shield(self._finish(outcome, holder))
        if outcome.state != "failed":
            progress(source.name, outcome.up_to_date + len(outcome.problems), outcome.total)
        say = log.warning if outcome.error or outcome.problems else log.info
        say(
            "documentation refreshed",
            source=source.name,
            stored=outcome.stored,
            removed=outcome.removed,
            total=outcome.total,
            problems=[f"{path}: {reason}" for path, reason in list(outcome.problems.items())[:3]],
            error=outcome.error,
            seconds=round(outcome.seconds, 1),
        )
        return outcome

    async def _read(self, source: Source, snapshot: Snapshot, outcome: Outcome) -> None:
        """Store what is new or changed, and forget what vanished.

        Raises:
            SourceError: all vanished.
        """
        async with self._database.connection() as conn:
            stored = await documents.blobs(conn, source.name)
        changed = [path for path, blob in snapshot.blobs.items() if stored.get(path) != blob]
        outcome.problems.update(snapshot.problems)
        outcome.total = len(snapshot.blobs) + len(snapshot.problems)
        outcome.unchanged = len(snapshot.blobs) - len(changed)
        closed = tuple(path for path in snapshot.problems if path.endswith("/"))
        gone = stored.keys() - snapshot.blobs.keys() - snapshot.problems.keys()
        if vanished := {path for path in gone if not path.startswith(closed)}:
            if not snapshot.blobs:
                raise SourceError("it lists no documents: is it mounted?")
            async with self._database.connection() as conn:
                outcome.removed = await documents.remove(conn, source.name, vanished)
        waiting = iter(changed)
        one_at_a_time = asyncio.Lock()  # writes: they leave the pool's connections to others

        async def work() -> None:
            for path in waiting:
                try:
                    text = _decode(await snapshot.read(path))
                    parts = await asyncio.to_thread(_split, text, path)
                    blob, url = snapshot.blobs[path], snapshot.url(path)
                    async with one_at_a_time, self._database.connection() as conn:
                        new = NewDocument(source.name, path, url, parts.title, blob, text)
                        await documents.put(conn, new, parts.chunks)
                except DocumentError as error:
                    outcome.problems[path] = str(error)
                except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
                    outcome.problems[path] = f"it cannot be stored: {error.diag.message_primary}"
                else:
                    outcome.stored += 1

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    @asynccontextmanager
    async def _reporting(self, outcome: Outcome, holder: UUID, progress: Progress) -> AsyncIterator[None]:
        """Tell how far it is each second, which also shows that this process lives.

        Raises:
            Lost: another process took the source.
        """
        reader = asyncio.current_task()
        lost = False

        async def report() -> None:
            nonlocal lost
            while True:
                await asyncio.sleep(REPORT_SECONDS)
                failed = len(outcome.problems)
                if outcome.total:  # else nothing is known of it yet
                    progress(outcome.name, outcome.up_to_date + failed, outcome.total)
                with contextlib.suppress(Exception):  # the database may be away; the reading itself will tell
                    async with self._database.connection() as conn:
                        if not await doc_sources.report(
                            conn, outcome.name, holder, done=outcome.up_to_date, total=outcome.total, failed=failed
                        ):
                            lost = True
                if lost and reader:
                    reader.cancel()
                    return

        reporting = asyncio.create_task(report())
        try:
            yield
        except asyncio.CancelledError:
            if lost and reader and reader.uncancel() == 0:
                raise Lost from None
            raise
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)

    async def _finish(self, outcome: Outcome, holder: UUID) -> None:
        async with self._database.connection() as conn:
            await doc_sources.finish(
                conn,
                outcome.name,
                holder,
                done=outcome.up_to_date,
                total=outcome.total,
                failed=len(outcome.problems),
                problems=[f"{path}: {reason}" for path, reason in outcome.problems.items()][:SHOWN_PROBLEMS],
                error=outcome.error,
                revision=outcome.revision,
            )


def _split(text: str, path: str) -> Split:
    try:
        return split(text, path)
    except Exception as error:  # a file that the parsers did not expect must not keep the others out
        log.exception("document cannot be cut", path=path)
        raise DocumentError(f"it cannot be cut into chunks: {type(error).__name__}") from error


def _decode(content: bytes) -> str:
    r"""The text of a document; its lines end with ``\n``, as they are counted.

    Raises:
        DocumentError: it is no text.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"it is not UTF-8 (at byte {error.start:,})") from None
    if "\x00" in text:
        raise DocumentError("it holds NUL bytes: it is no text")
    return text.replace("\r\n", "\n")
