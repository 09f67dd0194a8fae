"""Our calls against a bucket like Slack's, without waiting for real."""

import asyncio

import pytest

from sandbox.slack import rates
from slack_app.pace import RATES, Pacer


@pytest.fixture
def clock(monkeypatch):
    """A time that passes by sleeping only."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    time = Clock()

    async def sleep(seconds):
        time.now = max(time.now, time.now + seconds)

    monkeypatch.setattr("slack_app.pace.asyncio.sleep", sleep)
    monkeypatch.setattr(rates.time, "monotonic", time)
    return time


@pytest.mark.parametrize("method", RATES)
async def test_waiting_for_a_turn_never_meets_slacks_limit(clock, method):
    pacer, slack = Pacer(clock), rates.RateLimits()
    began = clock.now
    for _ in range(100):
        await pacer.wait(method, "C1")
        assert slack.seconds_to_wait(method, "C1") == 0
    assert clock.now - began >= (100 - RATES[method].burst) / RATES[method].a_second - 1


async def test_a_first_call_waits_for_nothing_and_channels_do_not_wait_for_each_other(clock):
    pacer = Pacer(clock)
    for channel in ("C1", "C2", "C3"):
        for _ in range(RATES["chat.postMessage"].burst):
            await pacer.wait("chat.postMessage", channel)
    assert clock.now == 1000.0


async def test_what_need_not_be_sent_leaves_room_for_what_must(clock):
    pacer, burst = Pacer(clock), RATES["chat.update"].burst
    taken = [pacer.try_take("chat.update", "C1", keep=10) for _ in range(burst)]
    assert taken.count(True) == burst - 10
    for _ in range(10):
        await pacer.wait("chat.update", "C1")
    assert clock.now == 1000.0 and not pacer.try_take("chat.update", "C1")
    clock.now += 3600
    assert pacer.try_take("chat.update", "C1", keep=10)


async def test_a_pause_that_slack_asks_for_is_kept(clock):
    pacer = Pacer(clock)
    pacer.hold_off("chat.appendStream", "C1", 7)
    assert not pacer.try_take("chat.appendStream", "C2")
    clock.now += 7.1
    assert pacer.try_take("chat.appendStream", "C2")


async def test_calls_go_in_the_order_in_which_they_came():
    pacer, order = Pacer(), []

    async def call(number):
        await pacer.wait("chat.postMessage", "C1")
        order.append(number)

    await asyncio.gather(*(call(number) for number in range(6)))
    assert order == sorted(order)
