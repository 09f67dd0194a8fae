"""When a report is due."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ratchet.reports.weekly import due_before, week_before

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("now", "zone", "due"),
    [
        ("2024-05-13T07:00", BERLIN, "2024-05-13T07:00"),
        ("2024-05-13T06:59", BERLIN, "2024-05-06T07:00"),
        ("2024-05-19T23:59", BERLIN, "2024-05-13T07:00"),
        ("2024-03-25T08:00", BERLIN, "2024-03-25T08:00"),  # winter
        ("2024-04-01T06:59", BERLIN, "2024-03-25T08:00"),
        ("2024-04-01T07:00", BERLIN, "2024-04-01T07:00"),  # summer
        ("2024-10-28T07:59", BERLIN, "2024-10-21T07:00"),
        ("2024-10-28T08:00", BERLIN, "2024-10-28T08:00"),  # winter again
        ("2024-03-11T13:00", NEW_YORK, "2024-03-11T13:00"),
        ("2024-03-11T12:59", NEW_YORK, "2024-03-04T14:00"),
        ("2024-05-12T21:15", ZoneInfo("Pacific/Chatham"), "2024-05-12T20:15"),  # +12:45, Monday there
    ],
)
def test_monday_at_nine_by_the_channels_clock(now, zone, due):
    found = due_before(datetime.fromisoformat(now).replace(tzinfo=UTC), zone)
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe")])
def test_over_years_every_week_has_one_report_and_the_windows_meet(zone):
    now, found = datetime(2023, 1, 1, tzinfo=UTC), []
    while now < datetime(2025, 1, 1, tzinfo=UTC):
        due = due_before(now, zone)
        if not found or found[-1] != due:
            found.append(due)
        now += timedelta(minutes=30)
    assert len(found) in (105, 106)
    assert [week_before(due, zone) for due in found[1:]] == found[:-1]
    assert {due.astimezone(zone).strftime("%a %H:%M") for due in found} == {"Mon 09:00"}
