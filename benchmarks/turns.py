"""The time of one turn, turns per second, and turns under a model's latency; subjects take turns at each step."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from itertools import count

from benchmarks.model import QUESTION_CHARS, text
from benchmarks.report import Outcome, Table, Target, median, ms, percentile
from benchmarks.subjects import POOL_SIZE, RATCHET, SHIPPED, Subject, Timing, open_subjects

TURN = "a turn = 3 model calls and 2 tool calls of 1 KB"
WITH_JOB = f"{RATCHET}, with the job's begin and lease"


async def time_turns(url: str, *, repeats: int) -> Outcome:
    """One turn at a time, each in a new thread, zero-latency model."""
    async with open_subjects(url, plain=True) as subjects:
        threads = count()
        times: dict[str, list[Timing]] = defaultdict(list)
        await _once_each(subjects, threads, defaultdict(list), 10)
        await _once_each(subjects, threads, times, repeats)
    seconds = {name: [timing.runner for timing in timings] for name, timings in times.items()}
    seconds[f"{RATCHET}, runner only"] = seconds.pop(RATCHET)
    seconds[WITH_JOB] = [timing.job for timing in times[RATCHET]]
    base = median(seconds[SHIPPED])
    rows = [
        (name, ms(median(values)), ms(percentile(values, 95)), f"{median(values) / base:.2f}")
        for name, values in seconds.items()
    ]
    ratio = median(seconds[f"{RATCHET}, runner only"]) / base
    return Outcome(
        [
            Table(
                "Time of one turn",
                ("subject", "median ms", "p95 ms", "× shipped saver"),
                rows,
                f"{TURN}, zero-latency model; {repeats} turns each, in turn, "
                "every one in a new thread; sync durability",
            )
        ],
        {name: {"median_ms": median(v) * 1000, "p95_ms": percentile(v, 95) * 1000} for name, v in seconds.items()},
        [Target("turn at turn 1, runner only, against the shipped saver", 1.0, ratio)],
    )


async def _once_each(
    subjects: list[Subject], threads: count[int], times: dict[str, list[Timing]], repeats: int
) -> None:
    for _ in range(repeats):
        thread = next(threads)
        for subject in subjects:
            run = await subject.prepare(thread, text(thread, QUESTION_CHARS))
            times[subject.name].append(await run())


async def measure_throughput(url: str, *, sizes: dict[int, int], rounds: int) -> Outcome:
    """Turns per second with many threads at once.

    Args:
        url: a migrated database.
        sizes: turns that each thread makes, one after the other, by the number of threads.
        rounds: how often each size is run for each subject; the median counts.
    """
    rates: dict[int, dict[str, list[float]]] = {threads: defaultdict(list) for threads in sizes}
    work: dict[int, dict[str, list[float]]] = {threads: defaultdict(list) for threads in sizes}
    numbers = count()
    async with open_subjects(url) as subjects:
        await _once_each(subjects, numbers, defaultdict(list), 5)
        for _ in range(rounds):
            for threads, turns in sizes.items():
                for subject in subjects:
                    rate, cpu = await _rate(subject, numbers, threads, turns)
                    rates[threads][subject.name].append(rate)
                    work[threads][subject.name].append(cpu)
    middle = {threads: {name: median(found) for name, found in by.items()} for threads, by in rates.items()}
    rows = [
        (
            f"{threads} × {sizes[threads]}",
            *(f"{found[name]:.1f}" for name in (SHIPPED, RATCHET)),
            f"{found[RATCHET] / found[SHIPPED]:.2f}",
            *(ms(median(work[threads][name])) for name in (SHIPPED, RATCHET)),
        )
        for threads, found in middle.items()
    ]
    return Outcome(
        [
            Table(
                "Turns per second",
                ("threads × turns", SHIPPED, RATCHET, "ratio", "CPU ms a turn", "Ratchet's"),
                rows,
                f"{TURN}, zero-latency model; pools of {POOL_SIZE}; each thread its own conversation; "
                f"median of {rounds} rounds; Ratchet with the job's begin and lease",
            )
        ],
        {str(threads): found for threads, found in middle.items()},
        [
            Target(f"turns/s at {threads} threads", 1.6, found[RATCHET] / found[SHIPPED], at_least=True)
            for threads, found in middle.items()
            if threads == 50
        ],
    )


async def _rate(subject: Subject, numbers: count[int], threads: int, turns: int) -> tuple[float, float]:
    """Turns per second, and this process's seconds of CPU for each."""
    prepared = []
    for _ in range(threads):
        thread = next(numbers)
        prepared.append([await subject.prepare(thread, text((thread, n), QUESTION_CHARS)) for n in range(turns)])

    async def converse(index: int) -> None:
        for run in prepared[index]:
            await run()

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(converse(index) for index in range(threads)))
    total = threads * turns
    return total / (time.perf_counter() - began), (time.process_time() - used) / total


async def measure_latency(url: str, *, seconds: float, threads: int, rounds: int) -> Outcome:
    """A turn's time when many threads ask at once and the model takes its time."""
    taken: dict[str, list[float]] = defaultdict(list)
    numbers = count()
    async with open_subjects(url, latency=seconds, plain=True) as subjects:
        await _once_each(subjects, numbers, defaultdict(list), 1)
        for _ in range(rounds):
            for subject in subjects:
                runs = [await subject.prepare(next(numbers), text(n, QUESTION_CHARS)) for n in range(threads)]
                timings = await asyncio.gather(*(run() for run in runs))
                taken[subject.name].extend(timing.job for timing in timings)
    base = percentile(taken[SHIPPED], 95)
    rows = [
        (
            name,
            ms(median(values)),
            ms(percentile(values, 95)),
            f"{percentile(values, 95) / base:.2f}",
            ms(max(values)),
            ms(median(values) - 3 * seconds),
        )
        for name, values in taken.items()
    ]
    ratio = percentile(taken[RATCHET], 95) / base
    return Outcome(
        [
            Table(
                f"{threads} threads at once, {seconds * 1000:.0f} ms a model call",
                ("subject", "p50 ms", "p95 ms", "× shipped saver", "max ms", "p50 above the model's time"),
                rows,
                f"{TURN}; pools of {POOL_SIZE}; {rounds} rounds in turn; Ratchet with the job's begin and lease; "
                "no saver at all is the least that any other can take",
            )
        ],
        {name: {"p50_ms": median(v) * 1000, "p95_ms": percentile(v, 95) * 1000} for name, v in taken.items()},
        [Target(f"p95 of a turn, {seconds * 1000:.0f} ms model, {threads} threads", 0.6, ratio)],
    )
