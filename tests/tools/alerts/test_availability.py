"""UptimeRobot's monitors, and a status page's incidents and components."""

import time
from datetime import timedelta

import pytest

from tools.alerts import AlertMessage, read, read_by

OPEN, CLOSE = "open_incident", "close_incident"
ROBOT = [
    ("Monitor is DOWN: Shop API ( https://api.shop.example ) - Reason: HTTP 500 - Internal Server Error", OPEN),
    ("*Monitor is DOWN:* <https://api.shop.example|Shop API> - Reason: Connection Timeout", OPEN),
    ("Monitor is UP: Shop API ( https://api.shop.example ). It was down for 5 minutes and 3 seconds.", CLOSE),
    ("Shop API is UP. It was down for 5 minutes and 3 seconds.", CLOSE),
]
PAGE = [
    ("New incident: Slow checkouts\nStatus: Investigating\nWe look into it.", OPEN),
    ("Incident update: Slow checkouts\nStatus: Identified\nA disk is full.", OPEN),
    ("[Monitoring] Slow checkouts\nA fix is out.", OPEN),
    ("Incident resolved: Slow checkouts\nStatus: Resolved\nAll is well.", CLOSE),
]


def say(username, text="", **attachment):
    return AlertMessage(username, text, [attachment] if attachment else None, None, is_bot=True)


@pytest.mark.parametrize(("text", "action"), ROBOT)
def test_a_monitor_is_both_what_is_checked_and_what_is_called(text, action):
    for message in (say("UptimeRobot", text), say("Uptime Robot", text=text, color="#ff0000")):
        parser, [alert] = read_by(message)
        assert (parser, alert.action, alert.alert, alert.service) == ("uptimerobot", action, "Shop API", "Shop API")
    assert alert.duration == (timedelta(seconds=303) if action == CLOSE else None)


@pytest.mark.parametrize(("text", "action"), PAGE)
def test_an_incident_is_open_until_it_is_resolved(text, action):
    parser, [alert] = read_by(say("Statuspage", text))
    assert (parser, alert.action, alert.alert) == ("statuspage", action, "Slow checkouts")
    assert alert.fingerprint == read(say("Statuspage", PAGE[0][0]))[0].fingerprint


def test_an_incident_names_its_components():
    fields = [{"title": "Components", "value": "Checkout"}, {"title": "Impact", "value": "major"}]
    [alert] = read(say("Statuspage", title="Investigating - Slow checkouts", text="We look into it.", fields=fields))
    assert (alert.alert, alert.service, alert.priority) == ("Slow checkouts", "Checkout", "HIGH")


@pytest.mark.parametrize("username", ["Statuspage", "Shop Status"])
def test_a_component_opens_and_closes(username):
    [down] = read(say(username, "Checkout changed from Operational to Major Outage"))
    [up] = read(say(username, "Checkout changed from Major Outage to Operational"))
    assert (down.action, down.alert, down.priority, up.action) == (OPEN, "Checkout", "HIGH", CLOSE)
    assert down.fingerprint == up.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "Scheduled maintenance: Database upgrade\nStatus: In progress",
        "Maintenance completed: Database upgrade\nStatus: Completed",
        "Checkout is now Under Maintenance",
        "Thanks for subscribing!",
    ],
)
def test_planned_work_and_talk_are_none(text):
    assert read(say("Statuspage", text)) == []


@pytest.mark.parametrize("username", ["UptimeRobot", "Statuspage"])
def test_long_and_odd_texts_take_no_long_time(username):
    began = time.process_time()
    for text in ("a " * 50_000 + "is", "Monitor is DOWN: " + "(" * 50_000, "[" * 50_000, "x to " * 20_000):
        read(say(username, text))
    assert time.process_time() - began < 5
