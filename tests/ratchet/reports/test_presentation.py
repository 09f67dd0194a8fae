"""Reports as text, picture and tables."""

import struct
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from ratchet.reports import chart
from ratchet.reports.terminal import print_report, print_usage
from ratchet.reports.text import render
from storage.access import Viewer
from storage.budgets import Budget
from storage.channels import Channel
from tools.channel_report import read_report

NOW = datetime(2024, 5, 20, 7, tzinfo=UTC)
NASTY = "CPU `high` <!channel> [x](http://evil.example) $\\frac{1}$ 火 " + "Long" * 60


@pytest.fixture
def report(memory):
    async def build(*, budget=Budget()):
        async with memory.database.connection() as conn:
            channel = Channel("T1", "C1", "ops", "public", None, "", "finished")
            return await read_report(conn, Viewer("T1", "U1", "C1"), channel, NOW - timedelta(days=7), NOW, budget)

    return build


@pytest.fixture
async def nasty(memory):
    for hour in range(7):
        moment = NOW - timedelta(hours=40 - 5 * hour)
        await memory.say("x", at=moment, bot=True, alert=NASTY, service="api")
        await memory.say(
            "x", at=moment + timedelta(minutes=4), bot=True, alert=NASTY, service="api", alert_action="close_incident"
        )


async def test_the_text_says_what_there_is_and_leaves_out_what_there_is_not(report, memory):
    assert (
        render(await report()) == "**Report for #ops**, 2024-05-13 07:00 to 2024-05-20 07:00 (UTC)\n\nNo alerts fired."
    )
    ts = await memory.say("x", at=NOW - timedelta(hours=2), bot=True, alert="Disk", service="db")
    await memory.say("on it", at=NOW - timedelta(hours=1), thread_ts=ts)
    said = render(await report(budget=Budget(daily_tokens=5000)), note="that is all")
    assert "1 alert fired once: 1 looked at by people" in said
    assert f"1. `db/Disk`: once, 1 reply ([latest](https://acme.slack.com/archives/C1/p{ts.replace('.', '')}))" in said
    assert "5,000 tokens of 5,000 tokens a day left" in said and said.endswith("\n\nthat is all")
    assert "Nobody replied" not in said and "Proposals" not in said


async def test_a_name_that_a_bot_wrote_is_no_markup(report, nasty):
    said = render(await report())
    name = said.split("1. `")[1].split("`")[0]
    assert "<!channel>" in name and "[x](http://evil.example)" in name  # within code, and quiet in the outbox
    assert "http://evil.example" not in said.replace(f"`{name}`", "")


def size(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and png.rstrip().endswith(b"IEND\xaeB`\x82")
    return struct.unpack(">II", png[16:24])


async def test_the_picture_is_a_png_of_the_same_size_whatever_there_is_to_draw(report, memory, nasty):
    busy = await report()
    empty = {**busy, "toil": [], "alerts": [], "days": [{**day, "opened": 0, "closed": 0} for day in busy["days"]]}
    drawn = {name: chart.draw(value) for name, value in (("busy", busy), ("empty", empty))}
    assert {size(png) for png in drawn.values()} == {(1400, 660)}
    assert drawn["busy"] != drawn["empty"] and chart.draw(busy) == drawn["busy"]


async def test_without_matplotlib_nothing_is_drawn(monkeypatch, report):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not chart.can_draw()
    with pytest.raises(ImportError):
        chart.draw(await report())


async def test_the_terminal_shows_the_same_numbers_and_no_markup(report, nasty):
    out = StringIO()
    print_report(Console(file=out, width=200), await report())
    shown = out.getvalue()
    assert "1 alert fired 7 times" in shown.replace("alerts", "alert") and "[x](http://evil.example)" in shown
    assert "Raise its threshold" in shown and "7 of 7 times" in shown


@pytest.mark.parametrize("counts", [None, {"questions": 1234, "answered": 7, "helpful": 5, "unhelpful": 2}])
def test_the_usage_shows_help_channels_where_there_are_any(counts):
    channel = {
        "name": "#help",
        "messages": 9,
        "answers": 7,
        "thumbs_up": 0,
        "thumbs_down": 0,
        "help": counts,
        "budget": [],
    }
    summary = {"total_messages": 9, "total_thumbs_up": 0, "total_thumbs_down": 0, "total_llm_requests": 7}
    usage = {"start_date": "a", "end_date": "b", "channel_count": 1, "summary": summary, "channels": [channel]}
    shown = StringIO()
    print_usage(Console(file=shown, width=120), {**usage, "modules": [], "llm_usage": []})
    found = [line.split() for line in shown.getvalue().splitlines()]
    assert (["#help", "1,234", "7", "5", "2"] in found) == (counts is not None)
    assert ("Help channels" in shown.getvalue()) == (counts is not None)
