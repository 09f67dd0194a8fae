"""From Slack's event to the start of its job, and to the first status that the person sees."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg

from benchmarks.databases import NewDatabase
from benchmarks.model import QUESTION_CHARS, text
from benchmarks.report import Outcome, Table, Target, median, percentile
from benchmarks.workspace import CHANNELS, PEOPLE, World, open_world, until_quiet

START_MS = 20.0
STATUS_MS = 150.0
EVENTS = """
select e.event_id, t.message_ts, extract(epoch from t.started_at)::float8
from inbox_events e
join turns t on t.team_id = e.team_id and t.channel_id = e.payload #>> '{event,channel}'
  and t.message_ts = e.payload #>> '{event,ts}'
where t.message_ts = any(%s)"""


async def measure_start(new_database: NewDatabase, *, single: int, burst: int, burst_rounds: int) -> Outcome:
    """Questions one by one, then ``burst`` at once, over Socket Mode with slack and worker in one process."""
    url = await new_database()
    alone: dict[str, list[float]] = {}
    together: dict[str, list[float]] = {}
    async with open_world() as world, world.ratchet(url, "slack", "worker") as services:
        for number in range(3):
            await _ask(world, ("warm", number), 1)
            await until_quiet(services)
        for found, rounds, size in ((alone, single, 1), (together, burst_rounds, burst)):
            asked: list[str] = []
            await world.client.clear_ledger()
            for number in range(rounds):
                asked += await _ask(world, (size, number), size)
                await until_quiet(services)
                await asyncio.sleep(0.05)
            found.update(await _intervals(world, url, asked))
    cases = {"one at a time": alone, f"{burst} at once": together}
    rows = [
        (
            f"{step}, {case}",
            f"{len(found[step])}",
            f"{median(found[step]):.1f}",
            f"{percentile(found[step], 95):.1f}",
            f"{max(found[step]):.1f}",
        )
        for step in ("job start", "first status")
        for case, found in cases.items()
    ]
    return Outcome(
        [
            Table(
                "From Slack's event to …",
                ("step", "questions", "p50 ms", "p95 ms", "max ms"),
                rows,
                "Socket Mode, slack and worker in one process, the sandbox in another; the event is counted from the "
                "moment Slack sends it, the job from turns.started_at, the status from Slack's receiving it",
            )
        ],
        {case: {step: {"p50_ms": median(v), "p95_ms": percentile(v, 95)} for step, v in found.items()}
         for case, found in cases.items()},
        [
            Target("Slack event to job start, p95", START_MS, percentile(alone["job start"], 95), "ms"),
            Target(f"Slack event to first status, p95, {burst} at once", STATUS_MS,
                   percentile(together["first status"], 95), "ms"),
        ],
    )  # fmt: skip


async def _ask(world: World, seed: object, size: int) -> list[str]:
    await world.client.delivery(paused=True)
    asked = [
        await world.client.say(
            CHANNELS[number % len(CHANNELS)],
            f"<@{world.bot_user_id}> {text((seed, number), QUESTION_CHARS)}",
            user=PEOPLE[number % len(PEOPLE)],
        )
        for number in range(size)
    ]
    await world.client.delivery(paused=False)
    await asyncio.sleep(0.1)
    return asked


async def _intervals(world: World, url: str, asked: Sequence[str]) -> dict[str, list[float]]:
    """Milliseconds from each question's first delivery to its job's start and to its first status."""
    ledger = await world.client.ledger()
    sent: dict[str, float] = {}
    for delivery in ledger["deliveries"]:
        sent.setdefault(delivery["event_id"], delivery["sent_at"])
    shown: dict[str, float] = {}
    for status in ledger["statuses"]:
        shown.setdefault(status["thread_ts"], status["at"])
    async with await psycopg.AsyncConnection.connect(url) as conn:
        rows = await (await conn.execute(EVENTS, (list(asked),))).fetchall()
    arrived: dict[str, float] = {}
    started: dict[str, float] = {}
    for event_id, ts, at in rows:
        arrived[ts] = min(arrived.get(ts, float("inf")), sent[event_id])
        started[ts] = at
    return {
        "job start": [(started[ts] - arrived[ts]) * 1000 for ts in asked],
        "first status": [(shown[ts] - arrived[ts]) * 1000 for ts in asked],
    }
