"""What becomes of alerts, what they cost people, and what is proposed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.reports import AlertEvent, HumanReply
from tools.toil import count_days, full_name, is_frequent, is_long, is_night, keep_ledger, pair, propose, spell

MONDAY = datetime(2024, 5, 13, tzinfo=UTC)
SINCE, UNTIL = MONDAY, MONDAY + timedelta(days=7)
BERLIN = ZoneInfo("Europe/Berlin")
numbers = count(1)


def at(day=0, hour=12, minute=0):
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


def opened(when, name="HighCpu", **fields):
    ts = f"{when.timestamp():.0f}.{next(numbers):06}"
    event = AlertEvent(ts, ts, name, "open_incident", name, "billing", None, None, when, f"https://x/p{ts}")
    return replace(event, **fields)


def closed(when, name="HighCpu", **fields):
    return opened(when, name, action="close_incident", **fields)


def reply(event, after, user="U1"):
    return HumanReply(event.thread_ts, user, event.at + timedelta(minutes=after))


def only_row(events, replies=()):
    (row,) = keep_ledger(events, list(replies), SINCE, UNTIL)
    return row


def labels(events, replies=()):
    return [firing.label for firing in only_row(events, replies).firings]


def test_a_firing_is_labelled_by_what_happened_to_it():
    first, again, late = opened(at(0, 10)), opened(at(0, 11)), opened(at(3, 10))
    assert labels([first, closed(at(0, 12))]) == ["self_resolved"]
    assert labels([first]) == ["ignored"]
    assert labels([first, again, closed(at(0, 12)), late]) == ["self_resolved", "duplicate", "ignored"]
    assert labels([first, again], [reply(again, 3)]) == ["ignored", "acted"]


def test_a_reply_counts_for_the_firing_that_it_follows_in_its_thread():
    first = opened(at(0, 10))
    second, third = (opened(at(0, hour), thread_ts=first.thread_ts) for hour in (12, 14))
    assert labels([first, second, third], [reply(first, 30)]) == ["acted", "duplicate", "duplicate"]
    assert labels([first, second, third], [reply(second, 0)]) == ["ignored", "acted", "duplicate"]
    assert labels([second], [reply(second, -1)]) == ["ignored"]
    other = opened(at(0, 13), "Other", thread_ts=first.thread_ts)  # another alert's opening ends nothing
    ledger = {row.name: row for row in keep_ledger([second, other], [reply(other, 5)], SINCE, UNTIL)}
    assert [row.count("acted") for row in ledger.values()] == [1, 1]


def test_a_reply_below_the_message_that_closes_an_alert_counts_for_its_firing():
    first, end = opened(at(0, 10)), closed(at(0, 11))
    assert labels([first, end], [reply(end, 3)]) == ["acted"]
    together = replace(end, thread_ts=first.thread_ts)  # edited in place
    assert len(only_row([first, together], [reply(first, 3)]).firings[0].replies) == 1


def test_an_alert_that_is_never_closed_begins_anew_after_a_day():
    openings = [opened(at(0, 1)), opened(at(0, 20)), opened(at(2, 1)), opened(at(2, 3))]
    assert labels(openings) == ["ignored", "duplicate", "ignored", "duplicate"]
    assert [incident.closing for incident in pair(openings)] == [None, None]


def test_what_closes_later_was_one_incident_however_long():
    (incident,) = pair([opened(at(0)), opened(at(2)), end := closed(at(4))])
    assert incident.closing == end and incident.duration == timedelta(days=4)


def test_the_messages_own_duration_goes_before_pairing():
    said = closed(at(0, 13), duration=timedelta(minutes=7))
    assert only_row([opened(at(0, 12)), said]).average == timedelta(minutes=7)
    assert only_row([said]).average == timedelta(minutes=7)
    alone = only_row([closed(at(0, 13))])
    assert (alone.average, alone.closings, alone.firings) == (None, 1, [])


def test_an_incident_that_opened_before_the_window_counts_where_it_closes():
    row = only_row([opened(at(-5)), closed(at(1))])
    assert (len(row.firings), row.closings, row.average) == (0, 1, timedelta(days=6))
    assert is_long(row) and not is_long(only_row([opened(at(0)), closed(at(3))]))


def test_an_alert_that_was_open_before_the_window_is_repeated_in_it():
    assert labels([opened(at(-1, 23)), opened(at(0, 1)), closed(at(0, 2))]) == ["duplicate"]


def test_people_s_time_is_five_minutes_and_the_gaps_up_to_a_quarter_of_an_hour_for_each():
    first = opened(at(0, 10))
    talk = [reply(first, 1), reply(first, 4), reply(first, 100), reply(first, 2, "U2")]
    row = only_row([first], talk)
    assert row.minutes == (5 + 3 + 15) + 5 and row.replies == 4


def test_the_time_in_a_thread_of_several_alerts_is_shared_by_them():
    first = opened(at(0, 10))
    second = opened(at(0, 10), "DiskFull", thread_ts=first.thread_ts)
    rows = keep_ledger([first, second], [reply(first, 1), reply(first, 6)], SINCE, UNTIL)
    assert [row.minutes for row in rows] == [5, 5] and [row.replies for row in rows] == [2, 2]


def test_the_ledger_goes_by_count_then_service_then_alert():
    rows = [
        opened(at(0), "b", service="s2"),
        opened(at(0), "a", service="s2"),
        opened(at(0), "c", service=None),
        *(opened(at(day), "z") for day in (0, 2)),
    ]
    ledger = keep_ledger(rows, [], SINCE, UNTIL)
    assert [row.name for row in ledger] == ["billing/z", "c", "s2/a", "s2/b"]


@pytest.mark.parametrize(
    ("fired", "days", "frequent"),
    [(5, 7, False), (6, 7, True), (10, 14, False), (11, 14, True), (1, 1, False), (5, 1, False), (6, 1, True)],
)
def test_frequent_is_more_than_five_a_week(fired, days, frequent):
    row = only_row([opened(at(0, hour)) for hour in range(fired)])
    assert is_frequent(row, timedelta(days=days)) is frequent


def actions(events, replies=(), zone=UTC):
    zone = ZoneInfo("UTC") if zone is UTC else zone
    return {proposal.action: proposal for proposal in propose(keep_ledger(events, list(replies), SINCE, UNTIL), zone)}


def test_what_nobody_ends_or_answers_is_to_be_deleted():
    events = [opened(at(day, 12)) for day in (0, 2, 4)]
    found = actions(events)
    assert set(found) == {"delete"}
    assert "fired 3 times, was never reported as over 3 times" in found["delete"].evidence
    assert found["delete"].permalinks == tuple(event.permalink for event in events)
    assert "delete" not in actions(events, [reply(events[0], 1)])
    assert "delete" not in actions([replace(event, priority="HIGH") for event in events])
    assert "delete" not in actions(events[:2])


def test_what_soon_ends_by_itself_needs_a_higher_threshold():
    events = [e for day in range(4) for e in (opened(at(day, 12)), closed(at(day, 12, 5 + day)))]
    found = actions(events)
    assert set(found) == {"raise_threshold"}
    assert "4 of 4 times, half of them within 6 min" in found["raise_threshold"].evidence
    slow = [e for day in range(4) for e in (opened(at(day, 10)), closed(at(day, 14)))]
    assert not actions(slow)
    assert not actions(events, [reply(events[0], 1)])  # one of four was looked at


def test_what_nobody_answers_at_night_can_wait_for_the_day_by_the_channels_clock():
    events = [e for day in range(3) for e in (opened(at(day, 20, 30)), closed(at(day, 23)))]
    assert not actions(events)  # 20:30 in London is no night
    found = actions(events, zone=BERLIN)  # 22:30
    assert (
        set(found) == {"silence_at_night"} and "3 times at night (Europe/Berlin)" in found["silence_at_night"].evidence
    )
    morning = [reply(events[0], 12 * 60)]
    assert "1 of them were looked at by day" in actions(events, morning, BERLIN)["silence_at_night"].evidence
    assert not actions(events, [reply(events[0], 20)], BERLIN)
    assert not actions([replace(event, priority="HIGH") for event in events], zone=BERLIN)


def test_what_people_work_on_again_and_again_deserves_a_runbook():
    events = [opened(at(day, 12)) for day in (0, 2)]
    talk = [reply(event, minute) for event in events for minute in (1, 9, 17)]
    found = actions(events, talk)
    assert set(found) == {"write_runbook"}
    assert "about 42 min on 2 firings, in 6 replies" in found["write_runbook"].evidence
    assert not actions(events, talk[:3])


def test_night_follows_the_change_of_clocks():
    assert is_night(datetime(2024, 3, 30, 5, 30, tzinfo=UTC), BERLIN)  # 06:30
    assert not is_night(datetime(2024, 3, 31, 5, 30, tzinfo=UTC), BERLIN)  # 07:30


def test_days_are_those_of_the_channels_clock_and_none_is_left_out():
    events = [opened(datetime(2024, 3, 30, 23, 30, tzinfo=UTC)), closed(datetime(2024, 3, 31, 22, 30, tzinfo=UTC))]
    since, until = datetime(2024, 3, 30, 12, tzinfo=UTC), datetime(2024, 4, 2, tzinfo=UTC)
    assert count_days(events, since, until, BERLIN) == [
        ("2024-03-30", 0, 0),
        ("2024-03-31", 1, 0),
        ("2024-04-01", 0, 1),
        ("2024-04-02", 0, 0),
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (60, "1 min"), (3540, "59 min"), (3599, "1 h"), (11400, "3 h 10 min"), (180000, "2 d 2 h"), (172800, "2 d")],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    assert spell(seconds) == words


def test_an_alert_that_is_named_as_its_service_is_named_once():
    assert [full_name("a", None), full_name("Disk", "disk"), full_name("a", "b")] == ["a", "Disk", "b/a"]


EVENTS = st.lists(
    st.tuples(st.integers(-2000, 9000), st.booleans(), st.sampled_from("abc")).map(
        lambda drawn: (opened if drawn[1] else closed)(MONDAY + timedelta(minutes=drawn[0]), drawn[2])
    ),
    max_size=60,
)


@given(EVENTS)
def test_every_opening_stands_in_one_incident_and_every_firing_has_one_label(events):
    incidents = pair(events)
    assert sorted(e.ts for i in incidents for e in i.openings) == sorted(
        e.ts for e in events if e.action == "open_incident"
    )
    assert sorted(i.closing.ts for i in incidents if i.closing) == sorted(
        e.ts for e in events if e.action != "open_incident"
    )
    assert all(i.duration is None or i.duration >= timedelta() for i in incidents)
    ledger = keep_ledger(events, [], SINCE, UNTIL)
    inside = sum(e.action == "open_incident" and SINCE <= e.at < UNTIL for e in events)
    assert sum(row.count(label) for row in ledger for label in ("self_resolved", "ignored", "duplicate")) == inside
