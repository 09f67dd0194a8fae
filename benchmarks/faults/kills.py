"""Scenarios with one question whose process ends: killed, killed each time, or asked to stop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from benchmarks.faults import effect
from benchmarks.faults.arena import RECOVERY_SECONDS, STOP_SECONDS, Arena, until
from benchmarks.faults.points import Point
from benchmarks.faults.processes import KILLED, Process
from benchmarks.faults.result import Result

ATTEMPTS = 3
GIVEN_UP = f"something went wrong on my side {ATTEMPTS} times"
FAILED_JOBS = "select count(*) from procrastinate_jobs where task_name = 'answer' and status = 'failed'"
FAILED_TURNS = "select count(*) from turns where status = 'failed' and attempts > %s"
ENDED_TURNS = "select count(*) from turns where status = 'answered'"
MODEL_SECONDS = 3.0
SHORT_DRAIN_SECONDS = 1


async def killed(arena: Arena, point: Point, chance: random.Random) -> Result:
    """The process dies at a point; a fresh one takes over."""
    result = Result(point.name)
    question = f"question {chance.randrange(10**6)}"
    victim = arena.start(point.name)
    if chance.random() < 0.5:
        await arena.connected(1)
    thread = await arena.ask(question)
    code = await victim.code(RECOVERY_SECONDS)
    result.require(code == KILLED, f"the process ended with {code} instead of dying at its point")
    if point.name in {"received", "committed"}:
        acks = [delivery.acked_at for delivery in arena.sandbox.slack.ledger.deliveries]
        result.require(None in acks, "every delivery was acked before the process died")
    died = time.monotonic()
    heir = arena.start()
    await arena.answered(thread)
    await arena.quiet()
    result.seconds = time.monotonic() - died
    result.require(await arena.settled(), "work was left over")
    result.problems += await arena.stop(heir)
    answers, effects = await arena.answers(thread), effect.read(arena.ledger)
    result.count([question], answers, effects)
    result.require(len(effects) in point.effects, f"the effect was seen {len(effects)} times")
    result.require(not await arena.strays(), "an answer stands outside its thread")
    if point.name in {"mid-tool", "before-tool"}:
        result.require(
            all("Unknown outcome" in answer for answer in answers), "the model was not told of the doubtful effect"
        )
    return result


async def poison(arena: Arena, chance: random.Random) -> Result:
    """A turn that ends its worker every time is given up, and the user is told once; the thread goes on."""
    result = Result("poison")
    thread = await arena.ask(f"question {chance.randrange(10**6)}")
    deaths, first = 0, 0.0
    while deaths <= ATTEMPTS:
        process = arena.start("before-model", jobs__attempts=ATTEMPTS)
        if not await until(_either(arena, process, thread), RECOVERY_SECONDS) or process.is_running:
            break
        deaths += 1
        first = first or time.monotonic()
    result.seconds = time.monotonic() - first
    result.require(await arena.settled(), "work was left over")
    notices = await arena.answers(thread)
    result.asked, result.once, result.lost = 1, int(len(notices) == 1), int(not notices)
    result.require(deaths == ATTEMPTS, f"{deaths} workers died instead of {ATTEMPTS}")
    result.require([GIVEN_UP in notice for notice in notices] == [True], f"the user was told {notices}")
    result.require(await arena.value(FAILED_JOBS) == 1, "the job is not kept as failed")
    result.require(await arena.value(FAILED_TURNS, (ATTEMPTS,)) == 1, "the turn is not kept as failed")
    result.problems += await arena.stop(arena.processes[-1])
    heir = arena.start()
    after = f"question {chance.randrange(10**6)}"
    await arena.ask(after, thread)
    await arena.answered(thread, 2)
    result.require(await arena.settled(), "work was left over after the next question")
    result.count([after], (await arena.answers(thread))[1:], effect.read(arena.ledger))
    result.problems += await arena.stop(heir)
    return result


async def drained(arena: Arena, chance: random.Random) -> Result:
    """SIGTERM in mid turn, with time enough: the process answers, ends with 0, and the next finds nothing to do."""
    result = Result("drained")
    question, thread, seconds = await _terminated(arena, chance, result, drain=STOP_SECONDS)
    result.require(seconds <= STOP_SECONDS, f"the process took {seconds:.1f} s to end")
    result.require(len(await arena.answers(thread)) == 1, "the process ended without answering")
    result.seconds = seconds
    await _inherited(arena, result, question, thread)
    return result


async def handed_over(arena: Arena, chance: random.Random) -> Result:
    """SIGTERM in mid turn, with too little time: the process ends with 0 and the next one answers."""
    result = Result("handed-over")
    question, thread, _ = await _terminated(arena, chance, result, drain=SHORT_DRAIN_SECONDS)
    result.require(not await arena.answers(thread), "the process answered although its time was over")
    ended = time.monotonic()
    await _inherited(arena, result, question, thread)
    result.seconds = time.monotonic() - ended
    return result


async def _terminated(arena: Arena, chance: random.Random, result: Result, *, drain: float) -> tuple[str, str, float]:
    process = arena.start(jobs__drain_seconds=drain)
    question = f"question {chance.randrange(10**6)}"
    thread = await arena.ask(question)
    begun = await until(lambda: bool(effect.read(arena.ledger)), RECOVERY_SECONDS)
    result.require(begun, "the turn did not begin")
    await asyncio.sleep(chance.uniform(0, MODEL_SECONDS / 2))
    asked_to_stop = time.monotonic()
    await process.terminate()
    code = await process.code(drain + STOP_SECONDS)
    result.require(code == 0, f"SIGTERM ended the process with {code}")
    return question, thread, time.monotonic() - asked_to_stop


async def _inherited(arena: Arena, result: Result, question: str, thread: str) -> None:
    heir = arena.start()
    await arena.connected(1)
    await arena.answered(thread)
    result.require(await arena.settled(), "work was left over")
    result.problems += await arena.stop(heir)
    effects = effect.read(arena.ledger)
    result.count([question], await arena.answers(thread), effects)
    result.require(len(effects) == 1, f"the effect was seen {len(effects)} times")


def _either(arena: Arena, process: Process, thread: str) -> Callable[[], Awaitable[bool]]:
    async def ended_or_told() -> bool:
        return not process.is_running or bool(await arena.answers(thread))

    return ended_or_told
