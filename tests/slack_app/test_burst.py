"""Jobs wait for a burst of deliveries to end, and for nothing else."""

import asyncio
import time

from slack_app import burst
from slack_app.burst import Burst


async def test_single_deliveries_hold_nothing_up():
    deliveries = Burst()
    for _ in range(burst.MANY - 1):
        deliveries.count()
    task = asyncio.create_task(deliveries.over())
    await asyncio.sleep(0)
    assert task.done()


async def test_a_burst_is_waited_for_until_a_lull(monkeypatch):
    deliveries = Burst()
    for _ in range(burst.MANY):
        deliveries.count()
    with monkeypatch.context() as patch:
        patch.setattr(burst, "LULL_SECONDS", 60)
        waiting = asyncio.create_task(deliveries.over())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        waiting.cancel()
    await asyncio.wait_for(deliveries.over(), 10)


async def test_a_stream_without_end_does_not_keep_jobs_from_beginning():
    deliveries = Burst()

    async def stream():
        while True:
            deliveries.count()
            await asyncio.sleep(0.001)

    streaming = asyncio.create_task(stream())
    await asyncio.sleep(burst.SECONDS)
    await asyncio.wait_for(deliveries.over(), 10)
    streaming.cancel()


async def test_what_came_long_ago_is_no_burst(monkeypatch):
    deliveries = Burst()
    for _ in range(burst.MANY):
        deliveries.count()
    later = time.monotonic() + burst.LULL_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    task = asyncio.create_task(deliveries.over())
    await asyncio.sleep(0)
    assert task.done()
