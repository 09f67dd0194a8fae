"""What messages report about alerts, however events come; and the incidents that follow."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from storage import alerts, messages, search
from storage.access import Viewer
from storage.messages import MessageFilter, NewAlert, NewMessage
from storage.migrate import load_migrations

VIEWER = Viewer("T1", "U1", "C1")
BEGIN = 1700000000
OPEN, CLOSE = "open_incident", "close_incident"


def reading(fingerprint="f1", action=OPEN, *, duration=None, parser="generic", alert="DiskFull"):
    return NewAlert(fingerprint, action, alert, "checkout", "HIGH", duration, parser, 0.9)


def message(*found, minute=0, edited=None, channel="C1", action=None):
    actions = {alert.action for alert in found}
    return NewMessage(
        team_id="T1",
        channel_id=channel,
        ts=f"{BEGIN + minute * 60}.000100",
        thread_ts=None,
        user_id=None,
        bot_id="B1",
        author="monitor",
        is_bot=True,
        text="text",
        permalink=f"https://acme.slack.com/{channel}/{minute}",
        alert_action=action or (OPEN if OPEN in actions else CLOSE if found else "none"),
        edited_ts=f"{BEGIN + edited * 60}.000000" if edited is not None else None,
        alerts=found,
    )


@pytest.fixture
async def conn(memory):
    async with memory.database.connection() as opened:
        yield opened


@pytest.fixture
def post(conn):
    async def deliver(*arrived):
        await alerts.insert_all(conn, arrived, await messages.insert_new(conn, arrived))

    return deliver


@pytest.fixture
def edit(conn):
    async def deliver(arrived, **options):
        await messages.apply_edit(conn, arrived)
        await alerts.apply_edit(conn, arrived, **options)

    return deliver


@pytest.fixture
def stored(conn):
    async def fetch():
        cursor = await conn.execute("select fingerprint, action from alerts order by at, fingerprint, action desc")
        return await cursor.fetchall()

    return fetch


async def test_a_message_may_report_several_alerts_and_comes_twice(post, stored):
    several = message(reading("f1"), reading("f2", CLOSE))
    await post(several)
    await post(several)
    assert await stored() == [("f1", OPEN), ("f2", CLOSE)]


async def test_a_message_that_is_edited_from_firing_to_resolved_did_both(conn, post, edit, stored):
    await post(message(reading()))
    await edit(message(reading(action=CLOSE), edited=5))
    assert await stored() == [("f1", OPEN), ("f1", CLOSE)]
    [count] = await alerts.count_alerts(conn, VIEWER, MessageFilter(), limit=5)
    assert (count.fired, count.resolved, count.alert, count.service) == (1, 1, "DiskFull", "checkout")
    [incident] = await alerts.incidents(conn, VIEWER)
    assert incident.duration == timedelta(minutes=5) - timedelta(microseconds=100)


async def test_the_same_in_the_wrong_order_comes_to_the_same(post, edit, stored):
    await edit(message(reading(action=CLOSE), edited=5))
    await post(message(reading()))
    assert await stored() == [("f1", OPEN), ("f1", CLOSE)]


async def test_an_older_edit_that_comes_late_changes_nothing(post, edit, stored):
    await post(message(reading()))
    await edit(message(reading(action=CLOSE), edited=5))
    await edit(message(reading("f2"), edited=3))
    assert await stored() == [("f1", OPEN), ("f1", CLOSE)]


async def test_an_edit_to_something_else_takes_its_place(post, edit, stored):
    await post(message(reading()))
    await edit(message(reading("f2"), edited=5))
    assert await stored() == [("f2", OPEN)]
    await post(message(reading()))
    assert await stored() == [("f2", OPEN)]
    await edit(message(edited=6))
    assert await stored() == []


async def test_what_another_reader_found_stays_until_it_has_read_the_edit(post, edit, stored):
    await post(message(reading("p1", parser="program")))
    await edit(message(reading("f1", CLOSE), edited=5), keep=("program", "model"))
    assert await stored() == [("p1", OPEN), ("f1", CLOSE)]


async def test_a_deleted_message_reports_nothing_even_when_it_comes_later(conn, post, stored):
    await post(message(reading()))
    await messages.delete(conn, "T1", "C1", message().ts)
    assert await stored() == []
    await post(message(reading()))
    await messages.delete(conn, "T1", "C1", message(minute=1).ts)
    await post(message(reading(), minute=1))
    assert await stored() == []


async def test_another_reading_takes_the_place_of_the_first_unless_the_message_was_edited(conn, post, edit, stored):
    await post(message(reading()))
    before = await alerts.unsettled(conn, "T1", "C1", message().ts)
    await alerts.settle(conn, "T1", before, OPEN, [reading("p1", parser="program")])
    assert await stored() == [("p1", OPEN)]
    await edit(message(edited=5))
    await alerts.settle(conn, "T1", before, CLOSE, [reading("p2", CLOSE)])
    assert await stored() == []
    action = await (await conn.execute("select alert_action from messages")).fetchone()
    assert action == ("none",)


async def test_only_stored_messages_of_bots_are_read_again(conn, memory):
    ts = await memory.say("[FIRING] x")
    assert await alerts.unsettled(conn, "T1", "C1", ts) is None
    assert await alerts.unsettled(conn, "T1", "C1", "1.000001") is None


async def test_filters_go_by_what_the_message_does(conn, post):
    await post(message(reading()), message(minute=1))
    for wanted, count in (("any", 2), ("only", 1), ("none", 1)):
        assert (await search.search(conn, VIEWER, MessageFilter(alerts=wanted), limit=5))[0] == count


async def test_counts_are_those_of_the_window(conn, post, edit):
    await post(*(message(reading(), minute=minute) for minute in (0, 10, 20)))
    await edit(message(reading(action=CLOSE), minute=0, edited=15))
    at = lambda minute: datetime.fromtimestamp(BEGIN + minute * 60, UTC)  # noqa: E731
    [count] = await alerts.count_alerts(conn, VIEWER, MessageFilter(since=at(5), until=at(18)), limit=5)
    assert (count.fired, count.resolved) == (1, 1)
    assert count.permalinks[0].endswith("/10") and count.last_at < at(11)


async def test_incidents_pair_what_opens_with_what_closes(conn, memory, post):
    await memory.channel("C2", name="other")
    await post(
        message(reading(), minute=0),
        message(reading(), minute=3),
        message(reading("f2", alert="Slow"), minute=4),
        message(reading(action=CLOSE), minute=10),
        message(reading(), minute=20),
        message(reading(action=CLOSE, duration=timedelta(minutes=2)), minute=25),
        message(reading(action=CLOSE), minute=2, channel="C2"),
        message(reading("f3", CLOSE, duration=timedelta(minutes=7), alert="Gone"), minute=40),
    )
    found = await alerts.incidents(conn, VIEWER)
    minutes = [
        (
            incident.alert,
            round((incident.opened_at.timestamp() - BEGIN) / 60),
            incident.fired,
            incident.duration and round(incident.duration.total_seconds() / 60),
        )
        for incident in found
    ]
    assert minutes == [("DiskFull", 0, 2, 10), ("Slow", 4, 1, None), ("DiskFull", 20, 1, 2), ("Gone", 33, 0, 7)]
    assert found[1].closed_at is None and found[0].channel_name == "ops" and found[0].permalink.endswith("/0")
    since = datetime.fromtimestamp(BEGIN + 300, UTC)
    assert [i.alert for i in await alerts.incidents(conn, VIEWER, since=since, limit=1)] == ["DiskFull"]
    assert await alerts.incidents(conn, VIEWER, channel_id="C2") == []


async def test_a_chain_that_is_never_closed_is_split_after_a_day_of_silence(conn, post):
    day = 24 * 60
    silent = [message(reading("f1"), minute=minute) for minute in (0, day, 2 * day + 1, 2 * day + 2, 5 * day)]
    closed = [message(reading("f2"), minute=minute) for minute in (3, 3 * day)]
    await post(*silent, *closed, message(reading("f2", CLOSE), minute=4 * day))
    found = await alerts.incidents(conn, VIEWER)
    chains = {name: [i.fired for i in found if i.fingerprint == name] for name in ("f1", "f2")}
    assert chains == {"f1": [2, 2, 1], "f2": [2]}
    since, until = (datetime.fromtimestamp(BEGIN + minute * 60, UTC) for minute in (day, 5 * day))
    assert await alerts.count_firings(conn, VIEWER, "checkout", "DiskFull", since, until) == 4
    assert await alerts.count_firings(conn, VIEWER, None, "DiskFull", since, until) == 0


async def test_incidents_and_readings_of_private_channels_are_their_members(conn, memory, post):
    await memory.channel("G1", "private", name="secrets")
    await post(message(reading(), channel="G1"))
    inside = Viewer("T1", "U1", "G1")
    ts = message().ts
    assert await alerts.incidents(conn, inside) == []
    assert await alerts.of_message(conn, inside, "G1", ts) is None
    await memory.member("U1", "G1")
    assert len(await alerts.incidents(conn, inside)) == 1 and await alerts.incidents(conn, VIEWER) == []
    [found] = (await alerts.of_message(conn, inside, "G1", ts)).alerts
    assert replace(found, confidence=0.9) == reading() and found.confidence == pytest.approx(0.9)
    assert await alerts.of_message(conn, VIEWER, "G1", ts) is None


async def test_readings_of_an_older_database_are_kept(conn):
    """The migration moves what messages bore into the table."""
    (migration,) = [found for found in load_migrations() if found.name.startswith("0004")]
    async with conn.transaction(force_rollback=True):
        await conn.execute("drop table alerts")
        await conn.execute("drop index messages_alert_action")
        await conn.execute("alter table messages add column alert text, add column service text")
        await conn.execute("create index messages_alert on messages (alert)")
        rows = [
            {"ts": "1700000000.1", "alert": "DiskFull", "service": "web", "alert_action": OPEN, "edited_ts": None},
            {
                "ts": "1700000060.1",
                "alert": "DiskFull",
                "service": "web",
                "alert_action": CLOSE,
                "edited_ts": "1700000090.0",
            },
            {"ts": "1700000120.1", "alert": None, "service": None, "alert_action": "none", "edited_ts": None},
        ]
        await conn.execute(
            """insert into messages (team_id, channel_id, ts, text, author, alert, service, alert_action, edited_ts)
               select 'T1', 'C1', ts, 'x', 'Monitor', alert, service, alert_action, edited_ts
               from json_to_recordset(%s) as r(ts text, alert text, service text, alert_action text, edited_ts text)""",
            (json.dumps(rows),),
        )
        await conn.execute(migration.sql, prepare=False)
        found = await (
            await conn.execute(
                "select alert, service, action, extract(epoch from at)::int, fingerprint from alerts order by at"
            )
        ).fetchall()
    assert [row[:4] for row in found] == [("DiskFull", "web", OPEN, 1700000000), ("DiskFull", "web", CLOSE, 1700000090)]
    assert found[0][4] == found[1][4] and len(found[0][4]) == 16
