"""Progress bars, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextmanager
def pull_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows (what happens, bytes done, bytes in all) on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def show(status: str, done: int, total: int) -> None:
            if status not in bars:
                bars[status] = progress.add_task(status, total=None)
            progress.update(bars[status], completed=done, total=total or None)

        yield show


@contextmanager
def count_progress(description: str, console: Console) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows (how many are done, how many there are)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(description, total=None)

        def show(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        yield show


@contextmanager
def source_progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows (source, documents done, documents in all): bars, or lines where no terminal is."""
    if not console.is_terminal:
        last: dict[str, tuple[int, int]] = {}

        def say(name: str, done: int, total: int) -> None:
            if last.get(name) != (done, total):
                last[name] = (done, total)
                console.print(f"{name}: {done:,} of {total:,} documents", markup=False)

        yield say
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=None)
            progress.update(bars[name], completed=done, total=total or None)

        yield show


class ReadingBar:
    """Shows how far the reading of channels is, one line each."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def show(self, label: str, note: str, done: int, total: int) -> None:
        """Draw a channel's line."""
        if label not in self._bars:
            self._bars[label] = self._progress.add_task(label, total=None, note=note)
        self._progress.update(self._bars[label], completed=done, total=total or None, note=note)

    def stop(self) -> None:
        """Draw no more."""
        self._progress.stop()


@contextmanager
def reading_progress() -> Iterator[ReadingBar]:
    """Yield a bar that stays until the block ends."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield ReadingBar(progress)
