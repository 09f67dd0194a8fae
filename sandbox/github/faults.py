"""Failures on request: what GitHub and the network do to a client on a bad day."""

from dataclasses import dataclass
from typing import Literal, get_args

FaultKind = Literal["status", "rate_limit", "secondary_limit", "drop_before", "drop_after", "hang_before", "hang_after"]


@dataclass(slots=True)
class Fault:
    """A failure for the next `times` requests of `operation` ("*": any; see `sandbox.github.server`).

    Attributes:
        operation: As in `pulls.create`.
        kind: `status` answers with `status` and `message`; `rate_limit` is the hourly one, over in `seconds`;
            `secondary_limit` asks to wait `seconds`; `drop_before` cuts the connection, `drop_after` does the work
            first; `hang_before` and `hang_after` leave the client without an answer for `seconds`.
        times: How many requests it still hits.
    """

    operation: str
    kind: FaultKind
    times: int = 1
    status: int = 500
    message: str = "Server Error"
    seconds: float = 60.0


class Faults:
    """The failures that are still due, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._due: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Ask for a failure; raises `ValueError` for an unknown kind."""
        if fault.kind not in get_args(FaultKind):
            raise ValueError(f"kind is one of {', '.join(get_args(FaultKind))}")
        self._due.append(fault)

    def clear(self) -> None:
        """Ask for no failure any more."""
        self._due.clear()

    def take(self, operation: str) -> Fault | None:
        """The failure that hits this request, counted down; None on a good day."""
        for fault in self._due:
            if fault.operation in (operation, "*"):
                fault.times -= 1
                if fault.times <= 0:
                    self._due.remove(fault)
                return fault
        return None
