"""Failures on request: what the network and Slack do to a client on a bad day."""

from dataclasses import dataclass
from typing import Literal, get_args

from sandbox.slack.records import SlackError

FaultKind = Literal["error", "http", "ratelimited", "delay", "drop_after_accept", "drop_before_accept"]


@dataclass(slots=True)
class Fault:
    """A failure for the next `times` calls of `method` ("*": any).

    Attributes:
        method: As in `chat.postMessage`.
        kind: `error` answers `ok: false`; `http` answers with `status`; `ratelimited` is a 429 with `retry_after`
            seconds; `delay` waits `seconds`; `drop_after_accept` does the work and cuts the connection without
            an answer; `drop_before_accept` cuts it first.
        times: How many calls it still hits.
    """

    method: str
    kind: FaultKind
    times: int = 1
    error: str = "internal_error"
    status: int = 500
    retry_after: int = 1
    seconds: float = 1.0


class Faults:
    """The failures that are still due, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._due: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Ask for a failure; raises `invalid_arguments` for an unknown kind."""
        if fault.kind not in get_args(FaultKind):
            raise SlackError("invalid_arguments", detail=f"kind is one of {', '.join(get_args(FaultKind))}")
        self._due.append(fault)

    def clear(self) -> None:
        """Ask for no failure any more."""
        self._due.clear()

    def take(self, method: str) -> Fault | None:
        """The failure that hits this call, counted down; None on a good day."""
        for fault in self._due:
            if fault.method in (method, "*"):
                fault.times -= 1
                if fault.times <= 0:
                    self._due.remove(fault)
                return fault
        return None
