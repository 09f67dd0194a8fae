"""Reading alerts: examples of our own in the shapes of several systems, and the real messages."""

import json

import pytest

from slack_app.visible import visible_text
from tools.alerts import read_alert


@pytest.mark.parametrize(
    ("text", "action", "alert", "service"),
    [
        ("[FIRING:2] DiskFull (checkout prod)", "open_incident", "DiskFull", None),
        ("[RESOLVED] DiskFull (checkout prod)", "close_incident", "DiskFull", None),
        (":rotating_light: *[FIRING:1] HighLatency*\nservice: checkout", "open_incident", "HighLatency", "checkout"),
        ("CRITICAL: queue depth on mq-1", "open_incident", "queue depth on mq-1", None),
        ("OK: queue depth on mq-1", "close_incident", "queue depth on mq-1", None),
        ("payments-db is DOWN since 09:12", "open_incident", "payments-db", None),
        ("payments-db is now UP", "close_incident", "payments-db", None),
        ("An alert for *checkout/latency* has been triggered", "open_incident", "checkout/latency", None),
        ("An alert for *checkout/latency* has been resolved", "close_incident", "checkout/latency", None),
        ("Alarm Name: cpu-too-high\nNew State: ALARM", "open_incident", "cpu-too-high", None),
        ("Alarm Name: cpu-too-high\nNew State: OK", "close_incident", "cpu-too-high", None),
        ("[FIRING:1] something long\nalertname = KubePodCrashLooping", "open_incident", "KubePodCrashLooping", None),
        ("[no data] node exporter", "open_incident", "node exporter", None),
    ],
)
def test_an_alert_is_read_with_its_state_name_and_service(text, action, alert, service):
    reading = read_alert(text, is_bot=True)
    assert (reading.action, reading.alert, reading.service) == (action, alert, service)


@pytest.mark.parametrize("text", ["[FIRING:2] DiskFull", "CRITICAL: everything", "payments-db is DOWN"])
def test_people_who_talk_about_alerts_report_none(text):
    assert read_alert(text, is_bot=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Pull request #12 merged by sre-1",
        "Deployment of checkout is now up",
        "Build 118 failed",
        "Good morning, here is your summary",
        "job nightly-backup succeeded",
    ],
)
def test_what_else_bots_write_is_no_alert(text):
    assert read_alert(text, is_bot=True) is None


@pytest.mark.parametrize(
    "text", ["*" * 20_000, "[" * 20_000, "a is " * 5_000, "_a" * 10_000, "x: " * 9_000, ":a" * 9_000]
)
def test_no_text_makes_the_reader_hang_or_fail(text):
    assert read_alert(text, is_bot=True) is None or len(read_alert(text, is_bot=True).alert) <= 200


def test_nine_of_ten_real_messages_get_the_right_action(shared_data):
    rows = [json.loads(line) for line in (shared_data / "alerts" / "dev.jsonl").read_text().splitlines()]
    wrong = []
    for row in rows:
        reading = read_alert(visible_text(row), is_bot=not row["user"])
        if (reading.action if reading else "none") != row["expected"]["action"]:
            wrong.append(row["id"])
    assert len(rows) > 600 and len(wrong) <= len(rows) // 10, wrong[:20]
