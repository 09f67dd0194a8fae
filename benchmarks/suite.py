"""Runs the benchmarks on one embedded Postgres in a temporary folder, each on a fresh database."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg

from agent.redaction import Redactor
from benchmarks.acks import measure_acks
from benchmarks.databases import NewDatabase, open_databases
from benchmarks.growth import measure_growth
from benchmarks.profiling import profile_turns
from benchmarks.report import Outcome, Target, targets_table
from benchmarks.search import measure_search
from benchmarks.start import measure_start
from benchmarks.turns import measure_latency, measure_throughput, time_turns
from ratchet.telemetry import configure_logging


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    turns: int = 100
    throughput: dict[int, int] = field(default_factory=lambda: {1: 40, 10: 6, 50: 3, 200: 1})
    throughput_rounds: int = 3
    growth: tuple[int, int, int] = (1, 50, 200)
    latency_seconds: float = 0.3
    latency_threads: int = 100
    latency_rounds: int = 3
    events: int = 200
    ack_rounds: int = 5
    starts: int = 40
    burst: int = 10
    burst_rounds: int = 6
    profile_turns: int = 60
    search_messages: int = 100_000
    search_queries: int = 300


FULL = Sizes()
QUICK = Sizes(
    turns=20,
    throughput={1: 10, 10: 1, 50: 1},
    throughput_rounds=1,
    growth=(1, 12, 30),
    latency_threads=50,
    latency_rounds=1,
    events=100,
    ack_rounds=1,
    starts=8,
    burst=10,
    burst_rounds=1,
    profile_turns=20,
    search_messages=10_000,
    search_queries=90,
)


async def run_suite(names: Sequence[str], sizes: Sizes, *, json_file: Path | None = None) -> int:
    """Run the named benchmarks, print everything, and return 0, or 1 when an event was lost."""
    configure_logging(level="error", readable=True, redactor=Redactor())
    began = time.perf_counter()
    figures: dict[str, object] = {}
    targets: list[Target] = []
    _say(f"$ python -m benchmarks {' '.join(sys.argv[1:])}".rstrip())
    async with open_databases() as new_database:
        _say(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {await _server(await new_database())}")
        _say(f"sizes: {asdict(sizes)}")
        for name in names:
            outcome = await run_one(name, sizes, new_database)
            figures[name] = outcome.figures
            targets += outcome.targets
            for table in outcome.tables:
                _say(table.render())
        if targets:
            _say(targets_table(targets).render())
        missed = [target.name for target in targets if not target.met]
        if missed:
            _say(f"\n## Where a turn of Ratchet spends its time (for: {'; '.join(missed)})")
            _say(await profile_turns(await new_database(), turns=sizes.profile_turns))
    _say(f"\ntook {time.perf_counter() - began:.0f} s")
    figures["targets"] = [asdict(target) | {"met": target.met} for target in targets]
    if json_file:
        await asyncio.to_thread(json_file.write_text, json.dumps(figures, indent=2, default=str) + "\n", "utf-8")
    lost = figures.get("acks")
    return 1 if isinstance(lost, dict) and any(found["lost"] for found in lost.values()) else 0


async def run_one(name: str, sizes: Sizes, new_database: NewDatabase) -> Outcome:
    """Run one benchmark by its name."""
    match name:
        case "turns":
            return await time_turns(await new_database(), repeats=sizes.turns)
        case "throughput":
            return await measure_throughput(
                await new_database(), sizes=sizes.throughput, rounds=sizes.throughput_rounds
            )
        case "growth":
            return await measure_growth(await new_database(), points=sizes.growth)
        case "latency":
            return await measure_latency(
                await new_database(),
                seconds=sizes.latency_seconds,
                threads=sizes.latency_threads,
                rounds=sizes.latency_rounds,
            )
        case "acks":
            return await measure_acks(new_database, events=sizes.events, rounds=sizes.ack_rounds)
        case "start":
            return await measure_start(
                new_database, single=sizes.starts, burst=sizes.burst, burst_rounds=sizes.burst_rounds
            )
        case "search":
            return await measure_search(
                await new_database(), stored=sizes.search_messages, queries=sizes.search_queries
            )
    raise ValueError(f"there is no benchmark {name!r}")


async def _server(url: str) -> str:
    async with await psycopg.AsyncConnection.connect(url) as conn:
        row = await (await conn.execute("select 'PostgreSQL ' || current_setting('server_version')")).fetchone()
    return str(row[0]) if row else "PostgreSQL"


def _say(text: str) -> None:
    print(text, flush=True)
