"""Alerts from Slack to the tables: edited in place, in groups, read by a program, read by a model."""

import asyncio
import stat
import sys
from pathlib import Path

import psycopg
import pytest

from ratchet.sections import ClassifierSettings

OPEN, CLOSE = "open_incident", "close_incident"
FIRING, RESOLVED = (
    {"title": f"[{state}] DiskFull", "color": color} for state, color in (("FIRING:1", "danger"), ("RESOLVED", "good"))
)


def stored(url, columns="alert, action, parser"):
    with psycopg.connect(url) as conn:
        return conn.execute(f"select {columns} from alerts order by at, action desc, alert").fetchall()


async def until(url, wanted, columns="alert, action, parser", seconds=60):
    """Wait until the table holds what is wanted."""
    try:
        async with asyncio.timeout(seconds):
            while stored(url, columns) != wanted:
                await asyncio.sleep(0.05)
    except TimeoutError:
        assert stored(url, columns) == wanted


def with_classifier(world, **fields):
    return world.settings().model_copy(update={"classifier": ClassifierSettings(**fields)})


async def test_an_alert_that_is_edited_in_place_closes_its_incident(world):
    async with world.ratchet():
        ts = await world.client.say("ops", "", bot_username="monitor", attachments=[FIRING])
        await until(world.url, [("DiskFull", OPEN, "generic")])
        await world.client.edit("ops", ts, "", attachments=[RESOLVED])
        await until(world.url, [("DiskFull", OPEN, "generic"), ("DiskFull", CLOSE, "generic")])
        await world.client.delete("ops", ts)
        await until(world.url, [])


async def test_a_group_is_stored_as_its_alerts(world):
    text = "".join(f"**Firing**\n\nLabels:\n - alertname = {name}\n - job = web\n\n" for name in ("Errors", "Slow"))
    async with world.ratchet():
        attachment = {"title": "[FIRING:2] Shop", "footer": "Grafana v12", "text": text, "color": "#D63232"}
        await world.client.say("ops", "", bot_username="Grafana", attachments=[attachment])
        await until(world.url, [("Errors", "web", "grafana"), ("Slow", "web", "grafana")], "alert, service, parser")


@pytest.fixture
def program(tmp_path):
    def write(body):
        path = Path(tmp_path) / "classify"
        path.write_text(f"#!{sys.executable}\nimport json, sys\nasked = json.load(sys.stdin)\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


async def test_the_programs_word_counts_for_what_bots_write(world, program):
    path = program("""
state = "open" if "FIRING" in asked["text"] else "close" if "RESOLVED" in asked["text"] else ""
print(json.dumps({"action": f"{state}_incident", "alert": "Mine", "service": asked["username"]} if state else {"action": "none"}))
""")
    mine = [("Mine", "monitor", OPEN, "program"), ("Mine", "monitor", CLOSE, "program")]
    columns = "alert, service, action, parser"
    async with world.ratchet(settings=with_classifier(world, incident_classification_binary=path)):
        await world.client.say("ops", "[FIRING] a person wrote this", user="oncall-a")
        await world.client.say("ops", "payments-db is DOWN", bot_username="monitor")
        ts = await world.client.say("ops", "", bot_username="monitor", attachments=[FIRING])
        await until(world.url, mine[:1], columns)
        await world.client.edit("ops", ts, "", attachments=[RESOLVED])
        await until(world.url, mine, columns)


@pytest.mark.parametrize("body", ["sys.exit(1)", "print('garbage')", "print(json.dumps({'action': 'explode'}))"])
async def test_where_the_program_fails_the_built_in_reading_stays(world, program, body):
    settings = with_classifier(world, incident_classification_binary=program(body))
    async with world.ratchet(settings=settings) as services:
        await world.client.say("ops", "", bot_username="monitor", attachments=[FIRING])
        await until(world.url, [("DiskFull", OPEN, "generic")])
        async with asyncio.timeout(20):
            while await left(services):
                await asyncio.sleep(0.05)
        assert stored(world.url) == [("DiskFull", OPEN, "generic")]


async def left(services):
    """How many classifying jobs wait or run, and how many failed."""
    async with services.database.connection() as conn:
        cursor = await conn.execute("select count(*) from procrastinate_jobs where task_name = 'classify'")
        return (await cursor.fetchone())[0]


async def test_the_model_reads_what_was_left_in_doubt_and_its_calls_are_recorded(world):
    said = {"action": OPEN, "alert": "Certificate expires", "service": "shop", "priority": "LOW"}
    await world.client.script([{"match": "Certificate", "structured": said}])
    doubtful = {"title": "Certificate of shop expires in 3 days", "color": "#ff0000"}
    async with world.ratchet(settings=with_classifier(world, model="on")):
        await world.client.say("ops", "", bot_username="monitor", attachments=[FIRING])
        await world.client.say("ops", "", bot_username="probe", attachments=[doubtful])
        await until(world.url, [("DiskFull", OPEN, "generic"), ("Certificate expires", OPEN, "model")])
    with psycopg.connect(world.url) as conn:
        calls = conn.execute("select module, error, prompt_tokens > 0, channel_id <> '' from model_usage").fetchall()
    assert calls == [("classifier", None, True, True)]


async def test_without_settings_no_model_is_asked(world):
    doubtful = {"title": "Certificate of shop expires in 3 days", "color": "#ff0000"}
    async with world.ratchet() as services:
        await world.client.say("ops", "", bot_username="probe", attachments=[doubtful])
        await until(world.url, [("Certificate of shop expires in 3 days", OPEN, "generic")])
        assert await left(services) == 0
    assert await world.client.model_calls() == []
