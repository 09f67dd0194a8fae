"""All runs, some at a time, each in a world of its own; then the tables."""

from __future__ import annotations

import asyncio
import json
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.databases import NewDatabase, open_databases
from benchmarks.faults import kills, mcp_servers, replicas
from benchmarks.faults.arena import Arena, open_arena
from benchmarks.faults.points import BY_NAME, POINTS
from benchmarks.faults.processes import Launcher, open_launcher
from benchmarks.faults.result import Result, problems, table

Scenario = Callable[[Arena, random.Random], Awaitable[Result]]
KILLS = {point.name: point.moment for point in POINTS}
ENDS = {
    "poison": "killed each time, given up",
    "paused": "paused, taken over, continued",
    "overlap": "continued while taken over",
    "drained": "SIGTERM, time enough",
    "handed-over": "SIGTERM, too little time",
    "in-flight": "SIGTERM, post on its way",
}
MANY = {
    "one-thread": "two replicas, one thread",
    "rolling": "two replicas, killed and restarted",
    "copies": f"each event {replicas.COPIES} times",
}
MCP = {
    "mcp-slow": "an answer that comes too late",
    "mcp-hung": "no answer, and no end by itself",
    "mcp-large": "an answer of 10 MB",
    "mcp-dying": "the server ends in mid call",
    "mcp-breaker": "it fails again and again",
}
DEFAULT = (*[point.name for point in POINTS if point.basic], *ENDS, *MANY, *MCP)
ALL = (*KILLS, *ENDS, *MANY, *MCP)


@dataclass(frozen=True)
class Plan:
    """What is to be run: scenarios, how often, with how many messages, how many at a time, by which seed."""

    names: Sequence[str]
    runs: int
    messages: int
    lanes: int
    seed: int


def scenario(name: str, messages: int) -> Scenario:
    """The scenario of a name."""
    single: dict[str, Scenario] = {
        "poison": kills.poison,
        "paused": kills.paused,
        "overlap": kills.overlap,
        "drained": kills.drained,
        "in-flight": kills.in_flight,
        "handed-over": kills.handed_over,
        "one-thread": lambda arena, _: replicas.one_thread(arena, messages),
        "rolling": lambda arena, chance: replicas.rolling(arena, messages, chance),
        "copies": lambda arena, _: replicas.copies(arena, messages),
        "mcp-breaker": lambda arena, _: mcp_servers.left_alone(arena, name),
        **dict.fromkeys(mcp_servers.CALLS, lambda arena, _: mcp_servers.misbehaving(arena, name)),
    }
    return single.get(name) or (lambda arena, chance: kills.killed(arena, BY_NAME[name], chance))


async def run_suite(plan: Plan, json_file: Path | None = None) -> int:
    """Run, print, and return the exit code."""
    began = time.monotonic()
    print(f"seed {plan.seed}; {plan.runs} runs a point, {plan.messages} messages, {plan.lanes} at a time", flush=True)
    # The long ones first, so that the short ones fill the gaps.
    work = [(name, 0) for name in MANY if name in plan.names]
    work += [(name, run) for name in (*ENDS, *MCP) for run in range(plan.runs) if name in plan.names]
    work += [(name, run) for run in range(plan.runs) for name in KILLS if name in plan.names]
    gate = asyncio.Semaphore(plan.lanes)
    async with open_databases() as new_database, open_launcher() as launcher:
        results = await asyncio.gather(*(_run(plan, name, run, launcher, new_database, gate) for name, run in work))
    _print(results)
    failed = sum(bool(result.problems) for result in results)
    print(f"\nseed {plan.seed}; {len(results)} runs, {failed} failed; {time.monotonic() - began:.0f} s")
    if json_file:
        json_file.write_text(json.dumps([result.as_json() for result in results], indent=1))  # noqa: ASYNC240 - at the end
    return 1 if failed or not results else 0


async def _run(
    plan: Plan, name: str, run: int, launcher: Launcher, new_database: NewDatabase, gate: asyncio.Semaphore
) -> Result:
    async with gate:
        chance = random.Random(f"{plan.seed}:{name}:{run}")
        slow = name in {"drained", "handed-over", "overlap"}
        try:
            live = name in BY_NAME and BY_NAME[name].live
            delay = kills.MODEL_SECONDS if slow else kills.LIVE_SECONDS if live else 0.0
            async with open_arena(launcher, await new_database(), delay=delay, live=live) as arena:
                result = await scenario(name, plan.messages)(arena, chance)
                if result.problems:
                    result.log = arena.log_tail()
        except Exception as error:
            result = Result(name, problems=[f"{type(error).__name__}: {error}"], log=traceback.format_exc())
        print(f"{'FAILED' if result.problems else 'ok':6}  {name} {run + 1}  {result.seconds:.1f} s", flush=True)
        return result


def _print(results: Sequence[Result]) -> None:
    seconds = "seconds from the death until the answer stands in the thread and nothing is left to do"
    tables = (
        table("Killed by SIGKILL at a point, then a fresh process", KILLS, results, seconds),
        table(
            "Other ends of a process",
            ENDS,
            results,
            "seconds from the first end (or pause) until the answer or notice stands",
        ),
        table("MCP servers that misbehave", MCP, results, "seconds of the slowest turn; a call may take 1 s, of 30"),
        table("Many messages", MANY, results, "seconds from the first question to the last answer"),
    )
    for found in tables:
        if found.rows:
            print(found.render())
    basic = [result for result in results if result.scenario in BY_NAME and BY_NAME[result.scenario].basic]
    if basic:
        good = sum(result.once == result.asked and not result.problems for result in basic)
        repeated = sum(result.repeated for result in basic)
        print(f"\n{good} of {len(basic)} kills ended in exactly one answer; effects repeated: {repeated}")
    print(problems(results))
