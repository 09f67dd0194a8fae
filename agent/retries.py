"""One model call: tried again where that can help, recorded whatever comes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

import structlog
from langchain_core.messages import AIMessage, BaseMessage
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from agent import budgets
from agent.errors import ModelRefused, ModelUnavailable
from agent.records import Records
from agent.redaction import Redactor
from storage.access import Viewer
from storage.budgets import Budget
from storage.db import Database
from storage.usage import ModelCall

log = structlog.get_logger()
BACKOFF = wait_exponential_jitter(multiplier=0.5, max=20, jitter=0.5)
LONGEST_WAIT = 60.0


class EmptyAnswer(Exception):
    """The model returned neither text nor a tool call."""


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    input: float = 0.0
    output: float = 0.0


class Asking(Protocol):
    """On whose behalf a call is made: a turn's context, or that of a job."""

    @property
    def turn_id(self) -> UUID | None:
        """The turn, if it is one."""

    @property
    def viewer(self) -> Viewer:
        """Who asks, and where."""

    @property
    def records(self) -> Records:
        """Where the call is recorded."""

    @property
    def budget(self) -> Budget:
        """What model calls of the channel may cost."""


class ModelCaller:
    """Calls the model, at most ``tries`` times with growing, jittered pauses, and records each call."""

    def __init__(
        self,
        database: Database,
        *,
        model: str,
        tries: int,
        prices: Mapping[str, Price],
        redactor: Redactor,
        wait: Callable[[RetryCallState], float] = BACKOFF,
    ) -> None:
        self.model = model
        self._database = database
        self._tries = tries
        self._prices = prices
        self._price = prices.get(model, Price())
        self._redactor = redactor
        self._wait = wait

    def of(self, model: str) -> ModelCaller:
        """The same for another model."""
        return ModelCaller(
            self._database,
            model=model,
            tries=self._tries,
            prices=self._prices,
            redactor=self._redactor,
            wait=self._wait,
        )

    async def call(
        self,
        ask: Callable[[], Awaitable[AIMessage]],
        *,
        context: Asking,
        module: str,
        messages: list[BaseMessage],
        tools: Sequence[Any] = (),
    ) -> AIMessage:
        """Ask until there is an answer.

        Args:
            ask: makes one attempt.
            context: what it is for; the calls go to its records, failed ones to the database at once.
            module: which part of Ratchet asks.
            messages: what is sent, for the record's sizes.
            tools: the tools or schemas that are sent along; they count for the budget.

        Raises:
            BudgetSpent: the channel may not spend what another call may cost.
            ModelUnavailable: every try failed in a way that may pass.
            ModelRefused: the server refuses the request itself.
        """
        try:
            return await retrying(self._tries, self._wait)(self._attempt, ask, context, module, messages, tools)
        except Exception as error:
            reason = self._redactor.clean(describe(error))
            if is_transient(error):
                raise ModelUnavailable(
                    f"The model {self.model} gave no answer in {self._tries} tries ({reason}). "
                    "Please ask again in a minute."
                ) from error
            if status_of(error) is not None:
                raise ModelRefused(
                    f"The model server refuses the request ({reason}). An operator can see why with `ratchet doctor`."
                ) from error
            raise

    async def _attempt(
        self,
        ask: Callable[[], Awaitable[AIMessage]],
        context: Asking,
        module: str,
        messages: list[BaseMessage],
        tools: Sequence[Any],
    ) -> AIMessage:
        reserved = await budgets.reserve(self._database, context, messages, self._cost, module=module, tools=tools)
        began = time.perf_counter()
        answer: AIMessage | None = None
        problem: str | None = None
        try:
            answer = await ask()
            if not answer.text.strip() and not answer.tool_calls and not answer.invalid_tool_calls:
                raise EmptyAnswer("an empty answer")
        except Exception as error:
            problem = self._redactor.clean(describe(error))[:500]
            log.warning("model call failed", model=self.model, turn_id=str(context.turn_id), error=problem)
            raise
        else:
            return answer
        finally:
            self._record(context, module, messages, answer, problem, time.perf_counter() - began)
            if problem or answer is None or reserved:  # no step will commit this one
                await context.records.flush(self._database)
            if reserved:
                await budgets.release(self._database, reserved)

    def _cost(self, prompt_tokens: int, output_tokens: int) -> Decimal:
        """US dollars for a call."""
        cost = (prompt_tokens * self._price.input + output_tokens * self._price.output) / 1_000_000
        return Decimal(str(round(cost, 6)))

    def _record(
        self,
        context: Asking,
        module: str,
        messages: list[BaseMessage],
        answer: AIMessage | None,
        problem: str | None,
        seconds: float,
    ) -> None:
        input_chars = sum(len(message.text) for message in messages)
        output_chars = len(answer.text) if answer else 0
        counted: Mapping[str, Any] = (answer.usage_metadata if answer else None) or {}
        prompt_tokens = int(counted.get("input_tokens") or input_chars // 4)
        output_tokens = int(counted.get("output_tokens") or output_chars // 4)
        context.records.calls.append(
            ModelCall(
                turn_id=context.turn_id,
                team_id=context.viewer.team_id,
                channel_id=context.viewer.asked_in,
                requester_id=context.viewer.requester_id,
                module=module,
                model=self.model,
                input_chars=input_chars,
                output_chars=output_chars,
                prompt_tokens=prompt_tokens,
                output_tokens=output_tokens,
                cost=self._cost(prompt_tokens, output_tokens),
                latency_ms=round(seconds * 1000),
                error=problem,
            )
        )


def retrying(tries: int, wait: Callable[[RetryCallState], float] = BACKOFF) -> AsyncRetrying:
    """Attempts at one call: again after what may pass, after the pause that the server asks for, else ``wait``."""

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_for = retry_after(error) if error else None
        return min(asked_for, LONGEST_WAIT) if asked_for is not None else wait(state)

    return AsyncRetrying(
        stop=stop_after_attempt(tries),
        wait=pause,
        retry=retry_if_exception(is_transient),
        reraise=True,
        sleep=asyncio.sleep,
    )


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error of a model client carries."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and status > 0 else None


def is_transient(error: BaseException) -> bool:
    """Whether asking again may help: lost connections, timeouts, 408, 409, 429 and 5xx, empty answers."""
    status = status_of(error)
    if status is not None:
        return status in {408, 409, 429} or status >= 500
    if isinstance(error, EmptyAnswer | ConnectionError | TimeoutError):
        return True
    # The clients bring their own trees of connection errors; their names agree.
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"APIConnectionError", "APIError", "TransportError", "StreamError", "RequestError"})


def retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait (``Retry-After`` in seconds)."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get("retry-after") if headers is not None else None
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None


def describe(error: BaseException) -> str:
    """One line: the status if there is one, and what the error says."""
    status = status_of(error)
    said: Any = getattr(error, "message", None) or str(error) or type(error).__name__
    text = " ".join(str(said).split())[:300]
    return f"HTTP {status}: {text}" if status and not text.startswith(("HTTP", "Error code")) else text
