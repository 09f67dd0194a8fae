"""Scenarios with one question whose process ends: killed, killed each time, or asked to stop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from benchmarks.faults import effect
from benchmarks.faults.arena import RECOVERY_SECONDS, STALLED_SECONDS, STOP_SECONDS, Arena, until
from benchmarks.faults.points import Point
from benchmarks.faults.processes import KILLED, Process
from benchmarks.faults.result import Result

ATTEMPTS = 3
GIVEN_UP = f"something went wrong on my side {ATTEMPTS} times"
FAILED_JOBS = "select count(*) from procrastinate_jobs where task_name = 'answer' and status = 'failed'"
FAILED_TURNS = "select count(*) from turns where status = 'failed' and attempts > %s"
MODEL_SECONDS = STALLED_SECONDS + 2.0
POST_SECONDS = 3.0
LIVE_SECONDS = 1.0  # of the model, so that its turn has a message that grows
SHORT_DRAIN_SECONDS = 1
# Not before the post: between the last look at the lease and Slack's receiving a request there is no fence.
PAUSES = ("taken", "before-model", "mid-tool", "tool-recorded", "recorded")


async def killed(arena: Arena, point: Point, chance: random.Random) -> Result:
    """The process dies at a point; a fresh one takes over."""
    result = Result(point.name)
    question = f"question {chance.randrange(10**6)}"
    if point.name in {"before-post", "accepted"}:
        await _just_post(arena)
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
    result.require(not await arena.growing(thread), "a message of the turn's progress is left")
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


async def paused(arena: Arena, chance: random.Random) -> Result:
    """A process stands still in mid turn, so that another one takes its turn, and then goes on as if nothing were."""
    result = Result("paused")
    question = f"question {chance.randrange(10**6)}"
    sleeper = arena.start(chance.choice(PAUSES), "pause")
    thread = await arena.ask(question)
    result.require(await until(sleeper.paused.done, RECOVERY_SECONDS), "the process did not get to its point")
    began = time.monotonic()
    if chance.random() < 0.5:  # then the other one strikes it from the list of workers as soon as it starts
        await asyncio.sleep(STALLED_SECONDS + 1)
    heir = arena.start()
    await arena.answered(thread)
    result.seconds = time.monotonic() - began
    await sleeper.resume()
    result.require(await arena.settled(), "work was left over")
    result.problems += await arena.stop(heir)
    after = f"question {chance.randrange(10**6)}"
    await arena.ask(after, thread)
    await arena.answered(thread, 2)
    result.require(await arena.settled(), "work was left over after the next question")
    result.problems += await arena.stop(sleeper)
    result.count([question, after], await arena.answers(thread), effect.read(arena.ledger))
    return result


async def overlap(arena: Arena, chance: random.Random) -> Result:
    """A process that stood still goes on while another one works on its turn, and takes the thread from that one."""
    result = Result("overlap")
    question = f"question {chance.randrange(10**6)}"
    sleeper = arena.start("taken", "pause")
    thread = await arena.ask(question)
    result.require(await until(sleeper.paused.done, RECOVERY_SECONDS), "the process did not get to its point")
    began = time.monotonic()
    heir = arena.start()
    begun = await until(lambda: bool(effect.read(arena.ledger)), RECOVERY_SECONDS)
    result.require(begun, "the other process did not begin the turn")
    await asyncio.sleep(chance.uniform(0, MODEL_SECONDS / 2))
    await sleeper.resume()
    await arena.answered(thread)
    await arena.quiet()
    result.seconds = time.monotonic() - began
    result.require(await arena.settled(), "work was left over")
    for process in (heir, sleeper):
        result.problems += await arena.stop(process)
    effects = effect.read(arena.ledger)
    result.count([question], await arena.answers(thread), effects)
    result.require(len(effects) == 1, f"the effect was seen {len(effects)} times")
    return result


async def drained(arena: Arena, chance: random.Random) -> Result:
    """SIGTERM in mid turn, with time enough: the process answers and ends with 0; its successor leaves it alone.

    The turn lasts longer than the silence after which a worker counts as dead.
    """
    result = Result("drained")
    question, thread = await _begin(arena, chance, result, drain=STOP_SECONDS)
    result.seconds = await _succeed(arena, result, question, thread, drain=STOP_SECONDS)
    result.require(result.seconds <= STOP_SECONDS, f"the process took {result.seconds:.1f} s to end")
    attempts = await arena.value("select max(attempts) from turns")
    result.require(attempts == 1, f"the turn was run {attempts} times")
    return result


async def handed_over(arena: Arena, chance: random.Random) -> Result:
    """SIGTERM in mid turn, with too little time: the process ends with 0 and its successor answers."""
    result = Result("handed-over")
    question, thread = await _begin(arena, chance, result, drain=SHORT_DRAIN_SECONDS)
    result.seconds = await _succeed(arena, result, question, thread, drain=SHORT_DRAIN_SECONDS)
    attempts = await arena.value("select max(attempts) from turns")
    result.require(attempts == 2, f"the turn was run {attempts} times")
    return result


async def in_flight(arena: Arena, chance: random.Random) -> Result:
    """SIGTERM while Slack works on the post, with too little time: the successor must not post it again."""
    result = Result("in-flight")
    await _just_post(arena)
    await arena.client.fault("chat.postMessage", "delay", seconds=POST_SECONDS)
    question, thread = await _begin(arena, chance, result, drain=SHORT_DRAIN_SECONDS)
    calls = arena.sandbox.slack.ledger.calls
    sent = await until(lambda: any(call.method == "chat.postMessage" for call in calls), RECOVERY_SECONDS)
    result.require(sent, "the answer was not sent")
    result.seconds = await _succeed(arena, result, question, thread, drain=SHORT_DRAIN_SECONDS)
    return result


async def _begin(arena: Arena, chance: random.Random, result: Result, *, drain: float) -> tuple[str, str]:
    arena.start(jobs__drain_seconds=drain)
    question = f"question {chance.randrange(10**6)}"
    thread = await arena.ask(question)
    begun = await until(lambda: bool(effect.read(arena.ledger)), RECOVERY_SECONDS)
    result.require(begun, "the turn did not begin")
    await asyncio.sleep(chance.uniform(0, 0.5))
    return question, thread


async def _succeed(arena: Arena, result: Result, question: str, thread: str, *, drain: float) -> float:
    """Terminate the process and start its successor at once; returns the seconds until nothing was left to do."""
    process = arena.processes[0]
    began = time.monotonic()
    await process.terminate()
    heir = arena.start()
    code = await process.code(drain + STOP_SECONDS)
    result.require(code == 0, f"SIGTERM ended the process with {code}")
    await arena.answered(thread)
    await arena.quiet()
    seconds = time.monotonic() - began
    result.require(await arena.settled(), "work was left over")
    result.problems += await arena.stop(heir)
    effects = effect.read(arena.ledger)
    result.count([question], await arena.answers(thread), effects)
    result.require(len(effects) == 1, f"the effect was seen {len(effects)} times")
    return seconds


async def _just_post(arena: Arena) -> None:
    """Slack begins no stream, so that the answer is a post however long its turn takes."""
    await arena.client.fault("chat.startStream", "ratelimited", retry_after=1, times=1000)


def _either(arena: Arena, process: Process, thread: str) -> Callable[[], Awaitable[bool]]:
    async def ended_or_told() -> bool:
        return not process.is_running or bool(await arena.answers(thread))

    return ended_or_told
