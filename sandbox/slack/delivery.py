"""Hands events, commands and clicks to the app: queueing, copies, order and retries, over either transport.

Events are retried like Slack's: a delivery without an ack within `ack_timeout` seconds is repeated after each of
`retry_delays`. Commands and clicks are delivered once; the person sees an error when nobody acks. What happens
while no socket is connected waits until one is.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sandbox.slack.ledger import Delivery, Ledger
from sandbox.slack.records import JSON

Mode = Literal["socket", "http"]
EnvelopeKind = Literal["events_api", "slash_commands", "interactive"]

_BACKLOG = 100_000
_SHUFFLE_SECONDS = 0.05
_PATIENCE = 10.0


@dataclass(slots=True, frozen=True)
class Answer:
    """What came back for a command or a click: whether it was acked, and the ack's body."""

    ok: bool
    body: JSON | str | None = None


@dataclass(slots=True, eq=False)
class Envelope:
    """Something to hand over; `id` is the event's id or the trigger's, `attempt` counts retries from 0."""

    kind: EnvelopeKind
    type: str
    id: str
    payload: JSON
    attempt: int = 0
    reason: str = ""
    answer: "asyncio.Future[Answer] | None" = None
    abandoned: bool = False

    def settle(self, answer: Answer) -> None:
        """Tell whoever waits for the answer."""
        if self.answer and not self.answer.done():
            self.answer.set_result(answer)


@dataclass(slots=True)
class Settings:
    """How deliveries go; all times in seconds."""

    mode: Mode = "socket"
    request_url: str | None = None
    copies: int = 1
    paused: bool = False
    shuffle: bool = False
    ack_timeout: float = 3.0
    retry_delays: list[float] = field(default_factory=lambda: [0.0, 60.0, 300.0])


class Transport(Protocol):
    """A way to the app."""

    def is_open(self) -> bool:
        """Whether somebody could receive now."""
        ...

    def send(self, envelope: Envelope) -> None:
        """Start one attempt; its end is reported to the dispatcher."""
        ...


class Dispatcher:
    """The queue in front of the transports.

    Args:
        ledger: Receives one row per attempt.
        clock: Seconds since 1970.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        self.settings = Settings()
        self._ledger = ledger
        self._clock = clock
        self._backlog: deque[Envelope] = deque(maxlen=_BACKLOG)
        self._transports: dict[Mode, Transport] = {}
        self._timers: set[asyncio.TimerHandle] = set()

    @property
    def waiting(self) -> int:
        """How many envelopes wait for a receiver."""
        return len(self._backlog)

    def use(self, mode: Mode, transport: Transport) -> None:
        """Register the transport of a mode."""
        self._transports[mode] = transport

    def send(self, envelope: Envelope, copies: int | None = None) -> None:
        """Deliver an event, several times if asked; never waits."""
        for _ in range(self.settings.copies if copies is None else copies):
            copy = Envelope(envelope.kind, envelope.type, envelope.id, envelope.payload)
            if self.settings.shuffle:
                self._later(random.uniform(0, _SHUFFLE_SECONDS), copy)
            else:
                self._backlog.append(copy)
        self.pump()

    async def ask(self, envelope: Envelope) -> Answer:
        """Deliver a command or click once and wait for its ack."""
        envelope.answer = asyncio.get_running_loop().create_future()
        self._backlog.append(envelope)
        self.pump()
        try:
            return await asyncio.wait_for(envelope.answer, self.settings.ack_timeout + _PATIENCE)
        except TimeoutError:
            envelope.abandoned = True
            return Answer(ok=False)

    def pump(self) -> None:
        """Hand over what waits; called whenever something could have become possible."""
        transport = self._transports.get(self.settings.mode)
        while self._backlog and not self.settings.paused and transport and transport.is_open():
            envelope = self._backlog.popleft()
            if not envelope.abandoned:
                transport.send(envelope)

    def sent(self, envelope: Envelope) -> Delivery:
        """Record the start of an attempt."""
        via = self.settings.mode
        delivery = Delivery(envelope.id, envelope.type, envelope.attempt, via, self._clock())
        self._ledger.deliveries.append(delivery)
        return delivery

    def acked(self, envelope: Envelope, delivery: Delivery, body: JSON | str | None = None) -> None:
        """The app took it."""
        delivery.acked_at = self._clock()
        delivery.ms = round((delivery.acked_at - delivery.sent_at) * 1000, 3)
        envelope.settle(Answer(ok=True, body=body))

    def failed(
        self, envelope: Envelope, delivery: Delivery, reason: str, *, at_once: bool = False, final: bool = False
    ) -> None:
        """The app did not take it: plan the next attempt of an event, or give up.

        Args:
            envelope: What was sent.
            delivery: The attempt's row.
            reason: Slack's word for the retry: `timeout`, `http_error`, `connection_failed` …
            at_once: Skip the delay, when the receiver is known to be gone.
            final: Plan no further attempt.
        """
        delivery.failure = reason
        delays = self.settings.retry_delays
        if envelope.kind != "events_api" or final or envelope.attempt >= len(delays):
            envelope.settle(Answer(ok=False))
            return
        retry = Envelope(envelope.kind, envelope.type, envelope.id, envelope.payload, envelope.attempt + 1, reason)
        self._later(0 if at_once else delays[envelope.attempt], retry)

    def close(self) -> None:
        """Drop planned retries."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._backlog.clear()

    def _later(self, delay: float, envelope: Envelope) -> None:
        def enqueue() -> None:
            self._timers.discard(timer)
            self._backlog.append(envelope)
            self.pump()

        timer = asyncio.get_running_loop().call_later(delay, enqueue)
        self._timers.add(timer)
