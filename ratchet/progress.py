"""A progress bar for pulling a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn


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
