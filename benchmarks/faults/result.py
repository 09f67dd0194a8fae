"""What a run came to, and the tables of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.faults.arena import answer_to
from benchmarks.report import Table, median


@dataclass
class Result:
    """One run of one scenario.

    Attributes:
        scenario: its name.
        asked: how many questions there were.
        once: how many of them have exactly one answer.
        lost: how many have none.
        repeated: effects beyond the first of each question.
        seconds: from the fault to the answer, or from the first question to the last answer.
        problems: everything that was wrong, in words; empty when the run passed.
        log: the processes' last words, where there were problems.
    """

    scenario: str
    asked: int = 0
    once: int = 0
    lost: int = 0
    repeated: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    log: str = ""

    def count(self, questions: Sequence[str], answers: Sequence[str], effects: Sequence[str]) -> None:
        """Hold the answers and effects against the questions."""
        given = Counter(question for question in questions for answer in answers if answer_to(question) in answer)
        left = Counter(effects)
        self.asked += len(questions)
        self.once += sum(given[question] == 1 for question in questions)
        self.lost += sum(given[question] == 0 for question in questions)
        self.repeated += sum(max(0, left[question] - 1) for question in questions)
        wrong = [f"{question}: {given[question]} answers" for question in questions if given[question] != 1]
        wrong += [f"{question}: effect seen {left[question]} times" for question in questions if left[question] > 1]
        if len(answers) > sum(given.values()):
            unknown = [answer for answer in answers if not any(answer_to(question) in answer for question in questions)]
            wrong.append(f"{len(unknown)} other messages in the thread: {unknown[:1]}")
        self.problems += wrong[:5]

    def require(self, fact: bool, otherwise: str) -> None:
        """Note a problem unless ``fact`` holds."""
        if not fact:
            self.problems.append(otherwise)

    def as_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        return asdict(self)


def table(title: str, labels: dict[str, str], results: Sequence[Result], note: str) -> Table:
    """One row a scenario, with its runs added up."""
    rows: list[tuple[str, ...]] = []
    for name, label in labels.items():
        runs = [result for result in results if result.scenario == name]
        if runs:
            seconds = [result.seconds for result in runs]
            rows.append(
                (
                    label,
                    str(len(runs)),
                    str(sum(result.asked for result in runs)),
                    str(sum(result.once for result in runs)),
                    str(sum(result.lost for result in runs)),
                    str(sum(result.repeated for result in runs)),
                    f"{median(seconds):.1f}",
                    f"{max(seconds):.1f}",
                    str(sum(bool(result.problems) for result in runs)),
                )
            )
    columns = ("", "runs", "questions", "one answer", "lost", "repeated effects", "p50 s", "max s", "failed runs")
    return Table(title, columns, rows, note)


def problems(results: Sequence[Result]) -> str:
    """Every failed run with the tail of its logs."""
    lines = []
    for result in results:
        if result.problems:
            lines += [f"\nFAILED {result.scenario}: {'; '.join(result.problems)}", result.log]
    return "\n".join(lines)
