"""Many events in flight at once: how long the ack takes, and whether each one was stored."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from benchmarks.databases import NewDatabase
from benchmarks.model import text
from benchmarks.report import Outcome, Table, Target, median, percentile
from benchmarks.workspace import CHANNELS, PEOPLE, World, free_port, open_world, until_quiet

ACK_MS = 250.0
MENTION_SHARE = 5  # one message in five mentions Ratchet, which makes two events of it
SOCKET, SOCKET_WORKER, HTTP, HTTP_WORKER = (
    "Socket Mode, slack",
    "Socket Mode, slack + worker",
    "signed HTTP, slack + web",
    "signed HTTP, slack + web + worker",
)
SCENARIOS: dict[str, tuple[tuple[str, ...], bool]] = {
    SOCKET: (("slack",), False),
    SOCKET_WORKER: (("slack", "worker"), False),
    HTTP: (("slack", "web"), True),
    HTTP_WORKER: (("slack", "web", "worker"), True),
}


async def measure_acks(new_database: NewDatabase, *, events: int, rounds: int) -> Outcome:
    """Deliver ``events`` events at once, several rounds, in each way that they can arrive."""
    rows, figures, targets = [], {}, []
    for name, (parts, http) in SCENARIOS.items():
        found = await _scenario(await new_database(), parts, http=http, events=events, rounds=rounds)
        acks = found["acks"]
        lost = found["sent"] - found["stored"]
        p99 = percentile(acks, 99)
        rows.append(
            (
                name,
                f"{median(acks):.0f}",
                f"{percentile(acks, 95):.0f}",
                f"{p99:.0f}",
                f"{max(acks):.0f}",
                f"{found['sent']:,}",
                f"{found['stored']:,}",
                f"{lost:,}",
                f"{found['again']:,}",
            )
        )
        figures[name] = {
            "p50_ms": median(acks),
            "p99_ms": p99,
            "max_ms": max(acks),
            "sent": found["sent"],
            "lost": lost,
        }
        targets.append(Target(f"p99 of the ack, {name}", ACK_MS, p99, "ms"))
        targets.append(Target(f"events lost, {name}", 0, lost, "events"))
    columns = ("way in", "p50 ms", "p95 ms", "p99 ms", "max ms", "sent", "stored", "lost", "delivered again")
    note = (
        f"{rounds} rounds of {events} events at once; one message in {MENTION_SHARE} is a question (two events, "
        "one turn); acks by the sandbox's clock, which runs in a process of its own; turns run meanwhile"
    )
    return Outcome([Table(f"{events} events in flight", columns, rows, note)], figures, targets)


async def _scenario(url: str, parts: tuple[str, ...], *, http: bool, events: int, rounds: int) -> dict[str, Any]:
    port = free_port()
    async with open_world() as world:
        async with world.ratchet(url, *parts, http_addr=f"127.0.0.1:{port}" if http else None) as services:
            if http:
                settings = await world.client.delivery(
                    mode="http", request_url=f"http://127.0.0.1:{port}/slack/events", verify=True
                )
                if not settings["verified"]:
                    raise RuntimeError("Ratchet does not answer the URL verification challenge")
            await _round(world, max(10, events // 10))  # connections, prepared statements, the worker's first jobs
            if "worker" in parts:
                await until_quiet(services)
            await world.client.clear_ledger()
            for _ in range(rounds):
                await _round(world, events)
                if "worker" in parts:
                    await until_quiet(services)
            deliveries = (await world.client.ledger())["deliveries"]
        sent = {delivery["event_id"] for delivery in deliveries}
        async with await psycopg.AsyncConnection.connect(url) as conn:
            row = await (
                await conn.execute("select count(*) from inbox_events where event_id = any(%s)", (list(sent),))
            ).fetchone()
    return {
        "acks": [delivery["ms"] for delivery in deliveries if delivery["ms"] is not None],
        "sent": len(sent),
        "stored": row[0] if row else 0,
        "again": len(deliveries) - len(sent),
    }


async def _round(world: World, events: int) -> None:
    """Let events gather while delivery is paused, then let them all go, and wait for every ack."""
    await world.client.delivery(paused=True)
    before, _ = await _delivered(world)
    made = number = 0
    while made < events:
        mention = number % MENTION_SHARE == 0 and events - made >= 2
        said = text((before, number), 160)
        await world.client.say(
            CHANNELS[number % len(CHANNELS)],
            f"<@{world.bot_user_id}> {said}" if mention else said,
            user=PEOPLE[number % len(PEOPLE)],
        )
        made, number = made + (2 if mention else 1), number + 1
    await world.client.delivery(paused=False)
    async with asyncio.timeout(60):
        while True:
            acked, open_ = await _delivered(world)
            if acked >= before + made and not open_:
                return
            await asyncio.sleep(0.2)


async def _delivered(world: World) -> tuple[int, int]:
    """How many distinct events were acked so far, and how many were sent and not acked."""
    deliveries = (await world.client.ledger())["deliveries"]
    acked = {delivery["event_id"] for delivery in deliveries if delivery["acked_at"] is not None}
    return len(acked), len({delivery["event_id"] for delivery in deliveries} - acked)
