"""Figures as aligned tables, and the targets they are held against."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` per cent of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


@dataclass(frozen=True)
class Table:
    """Rows under a title; ``note`` says what was measured, with the exact sizes."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""

    def render(self) -> str:
        """The table as text: the first column to the left, the others to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.columns))]

        def aligned(line: tuple[str, ...]) -> str:
            cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            return "  ".join([line[0].ljust(widths[0]), *cells]).rstrip()

        ruled = [aligned(self.columns), "  ".join("-" * width for width in widths), *map(aligned, self.rows)]
        return "\n".join([f"\n## {self.title}", *([self.note] if self.note else []), *ruled])


@dataclass(frozen=True)
class Target:
    """A figure and the most (or, with ``at_least``, the least) that it may be."""

    name: str
    limit: float
    measured: float
    unit: str = "×"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is within its limit."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def row(self) -> tuple[str, ...]:
        """The target as a table's row."""
        sign = "≥" if self.at_least else "≤"
        shown = f"{self.measured:.2f}" if self.unit == "×" else f"{self.measured:.0f}"
        return (self.name, f"{sign} {self.limit:g} {self.unit}", f"{shown} {self.unit}", "yes" if self.met else "NO")


@dataclass
class Outcome:
    """What one benchmark found: tables for people, figures for programs, and its targets."""

    tables: list[Table]
    figures: dict[str, Any]
    targets: list[Target] = field(default_factory=list)


def targets_table(targets: Sequence[Target]) -> Table:
    """All targets, and whether each is met."""
    return Table("Targets", ("target", "limit", "measured", "met"), [target.row() for target in targets])


def ms(seconds: float) -> str:
    """Seconds as milliseconds with one decimal."""
    return f"{seconds * 1000:.1f}"
