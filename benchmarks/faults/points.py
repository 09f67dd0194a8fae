"""Where a process is struck: the production function at that point, wrapped from outside with the signal."""

from __future__ import annotations

import functools
import inspect
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal


@dataclass(frozen=True)
class Point:
    """A place in the code.

    Attributes:
        name: what the command line calls it.
        moment: what has just happened, for the table.
        target: ``module:function`` or ``module:Class.method``.
        when: before or after the target does its work.
        effects: how often the tool's effect may be seen in the end.
        basic: whether it is one of those that run by default.
        live: whether it lies in the message that grows, which only a turn that takes its time has.
    """

    name: str
    moment: str
    target: str
    when: Literal["before", "after"]
    effects: frozenset[int] = frozenset({1})
    basic: bool = False
    live: bool = False


ONCE = frozenset({1})
AT_MOST_ONCE = frozenset({0, 1})
POINTS = (
    Point("committed", "event committed, not acked", "slack_app.inbox:Inbox.record", "after", ONCE, True),
    Point("taken", "job taken", "ratchet.answering:Answering.answer", "before", ONCE, True),
    Point("mid-tool", "mid tool: effect happened", "benchmarks.faults.effect:append", "after", ONCE, True),
    Point("before-post", "before the post", "slack_app.outbox:Outbox._send", "before", ONCE, True),
    Point("accepted", "Slack accepted, not recorded", "slack_app.outbox:Outbox._send", "after", ONCE, True),
    Point("received", "event received", "slack_app.inbox:Inbox.record", "before"),
    Point("before-model", "before the model", "agent.retries:ModelCaller.call", "before"),
    Point("checkpoint", "before a checkpoint", "agent.checkpoints:FencedSaver.aput", "before"),
    Point("before-tool", "before a tool, intent noted", "agent.gate:Gate._execute", "before", AT_MOST_ONCE),
    Point("tool-recorded", "tool's effect recorded", "storage.effects:settle", "after"),
    Point("recorded", "answer recorded, not sent", "agent.runner:Runner.answer", "after"),
    Point("streaming", "Slack streams, not recorded", "slack_app.live:LiveMessage._start", "after", ONCE, True, True),
    Point("stream-recorded", "stream recorded", "storage.streams:set_ts", "after", live=True),
    Point("mid-text", "in mid text", "slack_sdk.web.async_client:AsyncWebClient.chat_appendStream", "after", live=True),
    Point("stream-ended", "stream ended, answer not in it", "slack_app.streams:Streams.stop", "after", live=True),
    Point("stream-answered", "answer in it, not recorded", "slack_app.streams:Streams.finish", "after", live=True),
)
BY_NAME = {point.name: point for point in POINTS}


Action = Literal["die", "pause"]
SIGNALS: dict[Action, signal.Signals] = {"die": signal.SIGKILL, "pause": signal.SIGSTOP}


def arm(point: Point, action: Action) -> None:
    """Let this process die, or stand still until somebody continues it, when it first gets to ``point``."""
    module, _, path = point.target.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    setattr(owner, name, _struck(getattr(owner, name), point.when == "before", SIGNALS[action]))


def _struck(original: Callable[..., Any], before: bool, number: signal.Signals) -> Callable[..., Any]:
    due = [number]

    def strike(now: bool) -> None:
        if now and due:
            os.kill(os.getpid(), due.pop())

    if not inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            strike(before)
            result = original(*args, **kwargs)
            strike(not before)
            return result

        return call

    @functools.wraps(original)
    async def acall(*args: Any, **kwargs: Any) -> Any:
        strike(before)
        result = await original(*args, **kwargs)
        strike(not before)
        return result

    return acall
