"""The channel report against a recount by plain SQL, and who may read it."""

import json
import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from langchain_core.tools import ToolException
from psycopg.rows import dict_row

from storage.budgets import Budget
from tools.report_channel import report_channel

NOW = datetime.now(UTC).replace(microsecond=0)

# One statement of its own that counts what the report counts.
RECOUNT = """
with events as (
    select a.*, coalesce(m.thread_ts, m.ts) as root,
           case when lower(a.service) = lower(a.alert) then a.alert else concat_ws('/', a.service, a.alert) end as name,
           count(*) filter (where a.action = 'close_incident') over (
               partition by a.fingerprint order by a.at, a.action = 'close_incident', a.ts
               rows between unbounded preceding and 1 preceding) as round
    from alerts a join messages m using (team_id, channel_id, ts)
    where a.channel_id = %(channel)s and a.at >= %(since)s - interval '30 days' and a.at < %(until)s
), openings as (
    select e.*, c.at as closed_at, c.root as closing_root,
           lag(e.at) over (partition by e.fingerprint, e.round order by e.at) as previous
    from events e left join events c on c.fingerprint = e.fingerprint and c.round = e.round and c.action = 'close_incident'
    where e.action = 'open_incident'
), replies as (
    select r.thread_ts as root, r.user_id, r.posted_at,
           r.posted_at - lag(r.posted_at) over (partition by r.thread_ts, r.user_id order by r.posted_at) as gap
    from messages r left join users u using (team_id, user_id)
    where r.channel_id = %(channel)s and r.thread_ts is not null and not r.is_bot and not coalesce(u.is_bot, false)
      and r.deleted_at is null and r.posted_at >= %(since)s and r.posted_at < %(until)s
), labelled as (
    select name, case
        when exists (select 1 from replies r where r.posted_at >= o.at and (r.root = o.root
                     or (r.root = o.closing_root and o.previous is null)) and not exists (
                     select 1 from events n where n.action = 'open_incident' and n.fingerprint = o.fingerprint
                     and n.root = r.root and n.at > o.at and n.at <= r.posted_at)) then 'acted'
        when previous is not null and (closed_at is not null or at - previous <= interval '24 hours') then 'duplicate'
        when closed_at is not null then 'self_resolved' else 'ignored' end as label
    from openings o where at >= %(since)s
), closings as (
    select e.name, coalesce(e.duration, e.at - min(o.at)) as took
    from events e left join openings o on o.fingerprint = e.fingerprint and o.round = e.round
    where e.action = 'close_incident' and e.at >= %(since)s group by e.name, e.fingerprint, e.round, e.at, e.duration
), triage as (
    select name, count(*) as n from replies r join (select distinct name, fingerprint, root from events) e using (root)
    group by name
)
select (select json_object_agg(name, n) from (select name, count(*) as n from labelled group by name) x) as counts,
       (select json_object_agg(name, round(extract(epoch from took)))
        from (select name, avg(took) as took from closings where took is not null group by name) x) as durations,
       (select json_object_agg(name, n) from triage) as triage,
       (select json_object_agg(label, n) from (select label, count(*) as n from labelled group by label) x) as labels,
       (select round(sum(case when gap is null then 5 else least(extract(epoch from gap) / 60, 15) end)) from replies r where exists (select 1 from events e where e.root = r.root))
         as minutes
"""


async def recount(database, channel="C1", days=7, now=NOW):
    async with database.connection() as conn:
        cur = conn.cursor(row_factory=dict_row)
        await cur.execute(RECOUNT, {"channel": channel, "since": now - timedelta(days=days), "until": now})
        return await cur.fetchone()


def check(report, counted):
    """The report says what the recount says."""
    assert {name: n for name, n in report["incident_counts"].items() if n} == (counted["counts"] or {})
    assert report["incident_durations"].keys() == (counted["durations"] or {}).keys()
    for name, seconds in (counted["durations"] or {}).items():
        assert report["incident_durations"][name] == pytest.approx(seconds, abs=1)
    assert {name: n for name, n in report["triage_msg_counts"].items() if n} == (counted["triage"] or {})
    totals, labels = report["totals"], counted["labels"] or {}
    for label in ("acted", "self_resolved", "ignored", "duplicate"):
        assert totals[label] == labels.get(label, 0), label
    assert totals["human_minutes"] == pytest.approx(float(counted["minutes"] or 0), abs=1)
    ranked = sorted((counted["counts"] or {}).items(), key=lambda item: (-item[1], item[0]))
    assert sorted(row["count"] for row in report["alerts"]) == sorted(n for _, n in ranked[:5])


@pytest.fixture
async def busy(memory):
    """A channel with six weeks of drawn alerts, replies of people and of bots."""
    draw = random.Random(11)
    await memory.channel("C9", name="elsewhere")
    async with memory.database.connection() as conn:
        await conn.execute("insert into users (team_id, user_id, name, is_bot) values ('T1', 'UBOT', 'helper', true)")
    for _ in range(260):
        moment = NOW - timedelta(seconds=draw.randrange(60, 42 * 86400))
        action = draw.choice(["open_incident", "open_incident", "close_incident"])
        name, service = draw.choice("ABCDEFGH"), draw.choice(["api", "db"])
        place = draw.choice(["C1"] * 9 + ["C9"])
        ts = await memory.say(
            "alert", channel=place, at=moment, bot=True, alert=name, service=service, alert_action=action
        )
        for _ in range(draw.choice([0, 0, 0, 1, 4])):
            later = min(NOW - timedelta(seconds=1), moment + timedelta(minutes=draw.randrange(1, 600)))
            who = draw.choice(["U1", "U2", "UBOT", "bot"])
            await memory.say("looking", channel=place, at=later, thread_ts=ts, user=who, bot=who == "bot")
    return memory


async def test_the_numbers_are_those_of_a_recount(busy, ask):
    for days in (1, 7, 30):
        report = await ask(report_channel, channel="#ops", days=days, now=NOW)
        counted = await recount(busy.database, days=days)
        assert len(counted["counts"]) > 4 or days == 1
        check(report, counted)


async def test_every_field_that_was_promised_is_there_and_is_json(busy, ask):
    report = await ask(report_channel, channel="C1", now=NOW)
    assert report.keys() >= {
        "channel_id", "start_date", "end_date", "alerts", "long_running_alerts", "untriaged_alerts", "frequent_alerts",
        "raw_messages", "incident_counts", "incident_durations", "triage_msg_counts",
    }  # fmt: skip
    assert report["channel_id"] == "C1" and len(report["alerts"]) == 5
    assert all(hit["permalink"].startswith("https://acme.slack.com/archives/C1/") for hit in report["raw_messages"])
    assert len(json.dumps(report)) < 60_000


async def test_replies_of_bots_are_no_triage(memory, ask):
    async with memory.database.connection() as conn:
        await conn.execute("insert into users (team_id, user_id, name, is_bot) values ('T1', 'UBOT', 'helper', true)")
    moment = NOW - timedelta(days=1)
    ts = await memory.say("down", at=moment, bot=True, alert="A")
    await memory.say("on it", at=moment + timedelta(minutes=1), thread_ts=ts, bot=True)
    await memory.say("on it", at=moment + timedelta(minutes=2), thread_ts=ts, user="UBOT")
    report = await ask(report_channel, channel="#ops", now=NOW)
    assert [row["alert"] for row in report["untriaged_alerts"]] == ["A"] and report["toil"][0]["mostly"] == "ignored"
    await memory.say("on it", at=moment + timedelta(minutes=3), thread_ts=ts, user="U2")
    report = await ask(report_channel, channel="#ops", now=NOW)
    assert report["untriaged_alerts"] == [] and report["triage_msg_counts"] == {"A": 1}
    assert report["toil"][0]["mostly"] == "acted" and report["toil"][0]["human_minutes"] == 5


async def test_replies_before_the_window_do_not_count_in_it(memory, ask):
    ts = await memory.say("down", at=NOW - timedelta(days=8), bot=True, alert="A")
    await memory.say("on it", at=NOW - timedelta(days=8), thread_ts=ts)
    await memory.say("down", at=NOW - timedelta(days=1), bot=True, alert="A")
    week = await ask(report_channel, channel="#ops", now=NOW)
    assert [row["count"] for row in week["untriaged_alerts"]] == [1]
    month = await ask(report_channel, channel="#ops", days=30, now=NOW)
    assert month["untriaged_alerts"] == [] and month["alerts"][0]["count"] == 2


async def test_a_deleted_message_is_gone_from_the_report(memory, ask):
    from storage import messages

    ts = await memory.say("down", at=NOW - timedelta(hours=2), bot=True, alert="A")
    async with memory.database.connection() as conn:
        await messages.delete(conn, "T1", "C1", ts)
    report = await ask(report_channel, channel="#ops", now=NOW)
    assert report["alerts"] == [] and report["raw_messages"] == []


async def test_a_private_channel_is_reported_to_its_members_only(memory, ask):
    await memory.channel("G1", "private", name="secret")
    await memory.say("down", channel="G1", at=NOW - timedelta(hours=2), bot=True, alert="Canary")
    with pytest.raises(ToolException, match="no channel '#secret'"):
        await ask(report_channel, channel="#secret", now=NOW)
    await memory.member("U1", "G1")
    with pytest.raises(ToolException, match="no channel"):  # from a public channel
        await ask(report_channel, channel="#secret", now=NOW)
    report = await ask(report_channel, channel="#secret", asked_in="G1", now=NOW)
    assert report["alerts"][0]["alert"] == "Canary"


async def test_the_access_rule_stands_in_the_statements_themselves(memory, database):
    from storage import reports
    from storage.access import Viewer

    await memory.channel("G1", "private", name="secret")
    ts = await memory.say("down", channel="G1", at=NOW - timedelta(hours=2), bot=True, alert="Canary")
    await memory.say("on it", channel="G1", at=NOW - timedelta(hours=1), thread_ts=ts)
    window = ("G1", NOW - timedelta(days=1), NOW)
    async with database.connection() as conn:
        for viewer in (Viewer("T1", "U1", "G1"), Viewer("T2", "U1", "G1")):
            assert await reports.list_alert_events(conn, viewer, *window) == []
            assert await reports.list_human_replies(conn, viewer, *window) == []
        await memory.member("U1", "G1")
        assert len(await reports.list_alert_events(conn, Viewer("T1", "U1", "G1"), *window)) == 1
        assert len(await reports.list_human_replies(conn, Viewer("T1", "U1", "G1"), *window)) == 1


@pytest.mark.parametrize("days", [0, 91])
async def test_a_window_that_is_too_long_is_refused(ask, days):
    with pytest.raises(ToolException, match="days must be 1 to 90"):
        await ask(report_channel, channel="#ops", days=days)


async def test_days_and_nights_follow_the_channels_clock(memory, ask):
    class Rules:
        def budget(self, channel_id, channel_name):
            return Budget(zone=ZoneInfo("Asia/Tokyo"))

    now = datetime(2024, 5, 20, 12, tzinfo=UTC)
    for day in range(3):
        await memory.say("down", at=datetime(2024, 5, 15 + day, 14, tzinfo=UTC), bot=True, alert="A")  # 23:00 there
    report = await ask(report_channel, channel="#ops", now=now, rules=Rules())
    assert report["timezone"] == "Asia/Tokyo"
    assert "silence_at_night" in {proposal["action"] for proposal in report["proposals"]}
    assert report["days"][0]["date"] == "2024-05-13" and len(report["days"]) == 8
