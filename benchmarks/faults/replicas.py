"""Scenarios with many questions and two processes."""

from __future__ import annotations

import asyncio
import itertools
import random
import time

from benchmarks.faults import effect
from benchmarks.faults.arena import Arena, answer_to, until
from benchmarks.faults.processes import Process
from benchmarks.faults.result import Result

REPLICAS = 2
COPIES = 4
ANSWER_SECONDS = 1.5  # allowed for each question: far more than it takes


async def one_thread(arena: Arena, messages: int) -> Result:
    """Two replicas share one thread: every question is answered once, in the order of the questions."""
    result = Result("one-thread")
    await _start(arena, result)
    questions = [f"question {number:04}" for number in range(messages)]
    began = time.monotonic()
    # Of one person each: what somebody adds to their own question while it runs is taken in by its turn.
    people = [f"oncall-{number}" for number in range(messages)]
    for person in people:
        await arena.admit(person)
    thread = await arena.ask(questions[0], user=people[0])
    for question, person in zip(questions[1:], people[1:], strict=True):
        await arena.ask(question, thread, user=person)
    await arena.answered(thread, messages, 30 + ANSWER_SECONDS * messages)
    result.seconds = time.monotonic() - began
    await _judge(arena, result, questions, [thread])
    answers = await arena.answers(thread)
    numbers = [number for answer in answers for number, asked in enumerate(questions) if answer_to(asked) in answer]
    swapped = [number for number, later in itertools.pairwise(numbers) if number > later]
    result.require(not swapped, f"{len(swapped)} answers came before their turn, the first after {swapped[:1]}")
    return result


async def rolling(arena: Arena, messages: int, chance: random.Random) -> Result:
    """Two replicas under load; one is killed and replaced in the midst of it, then the other is terminated."""
    result = Result("rolling")
    first, second = await _start(arena, result)
    questions = [f"question {number:04}" for number in range(messages)]
    began = time.monotonic()
    threads = []
    fates = [first.kill, second.terminate]
    for number, question in enumerate(questions):
        threads.append(await arena.ask(question))
        await asyncio.sleep(chance.uniform(0, 0.1))
        if fates and number + 1 >= messages // 3 * (REPLICAS + 1 - len(fates)):
            await fates.pop(0)()
            arena.start()
    await _answered(arena, threads)
    result.seconds = time.monotonic() - began
    result.require(await second.code(30) == 0, "SIGTERM under load did not end the process with 0")
    await _judge(arena, result, questions, threads)
    return result


async def copies(arena: Arena, messages: int) -> Result:
    """Every event is delivered four times, in any order: one answer each."""
    result = Result("copies")
    await arena.client.delivery(copies=COPIES, shuffle=True)
    await _start(arena, result)
    questions = [f"question {number:04}" for number in range(messages)]
    began = time.monotonic()
    threads = [await arena.ask(question) for question in questions]
    await _answered(arena, threads)
    result.seconds = time.monotonic() - began
    await _judge(arena, result, questions, threads)
    # First attempts only: a copy that was acked late, on a busy machine, is delivered once more.
    asked = [
        call for call in arena.sandbox.slack.ledger.deliveries if call.event_type == "app_mention" and call.attempt == 0
    ]
    result.require(len(asked) == COPIES * messages, f"{len(asked)} deliveries of {messages} mentions")
    return result


async def _start(arena: Arena, result: Result) -> tuple[Process, Process]:
    pair = arena.start(), arena.start()
    result.require(await arena.connected(REPLICAS), "the replicas did not connect")
    return pair


async def _answered(arena: Arena, threads: list[str]) -> None:
    left = list(threads)

    async def all_answered() -> bool:
        while left and await arena.answers(left[0]):
            left.pop(0)
        return not left

    await until(all_answered, 60 + ANSWER_SECONDS * len(threads))


async def _judge(arena: Arena, result: Result, questions: list[str], threads: list[str]) -> None:
    result.require(await arena.settled(), "work was left over")
    effects = effect.read(arena.ledger)
    if len(threads) == 1:
        result.count(questions, await arena.answers(threads[0]), effects)
    else:
        for question, thread in zip(questions, threads, strict=True):
            result.count([question], await arena.answers(thread), effects)
    result.require(not await arena.strays(), "an answer stands outside its thread")
    for process in arena.processes:
        if process.is_running:
            result.problems += await arena.stop(process)
