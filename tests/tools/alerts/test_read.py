"""Messages in the shapes of many systems, read with all parsers and by the generic reader alone."""

from datetime import timedelta

import pytest

from tests.tools.alerts.more_payloads import MORE_ALERTS, MORE_OTHERS
from tests.tools.alerts.payloads import ALERTS as FIRST_ALERTS
from tests.tools.alerts.payloads import CLOSE, NONE, OPEN, att, field
from tests.tools.alerts.payloads import OTHERS as FIRST_OTHERS
from tools.alerts import PARSERS, AlertMessage, is_doubtful, overall, read, read_by

ALERTS, OTHERS = FIRST_ALERTS + MORE_ALERTS, FIRST_OTHERS + MORE_OTHERS
SPECIAL = frozenset(parser.name for parser in PARSERS if parser.name != "generic")
EVERY = [pytest.param(*row, id=f"{number}-{row[0]}") for number, row in enumerate(ALERTS)]


def as_message(username, message, **fields):
    return AlertMessage(username, message.get("text", ""), message.get("attachments"), message.get("blocks"), **fields)


def say(text, username="monitor", **fields):
    return AlertMessage(username=username, text=text, **fields)


@pytest.mark.parametrize(("system", "username", "message", "action", "names", "services", "priority"), EVERY)
def test_every_alert_is_read(system, username, message, action, names, services, priority):
    first, *_ = read(as_message(username, message))
    assert overall([first]) == action and (names is None or first.alert in names)
    assert services is None or first.service in services
    assert priority is None or first.priority == priority
    assert 0 < first.confidence <= 1 and len(first.fingerprint) == 16


@pytest.mark.parametrize(("system", "username", "message"), OTHERS)
def test_what_else_bots_write_is_no_alert(system, username, message):
    assert read(as_message(username, message)) == []


@pytest.mark.parametrize(("system", "username", "message"), OTHERS)
def test_what_else_bots_write_is_no_alert_for_the_generic_reader_either(system, username, message):
    assert read(as_message(username, message), without=SPECIAL) == []


def test_the_generic_reader_alone_gets_every_action_and_most_names():
    right = named = 0
    for _, username, message, action, names, _, _ in ALERTS:
        found = read(as_message(username, message), without=SPECIAL)
        right += overall(found) == action
        named += bool(found) and (names is None or found[0].alert in names)
    assert right == len(ALERTS) and named >= 0.9 * len(ALERTS)


@pytest.mark.parametrize(("system", "username", "message", "action", "names", "services", "priority"), EVERY)
def test_what_people_write_is_never_an_alert(system, username, message, action, names, services, priority):
    assert read_by(as_message(username, message, is_bot=False)) == ("", [])


@pytest.mark.parametrize(
    ("system", "parser"),
    [
        ("pagerduty", "pagerduty"), ("datadog", "datadog"), ("sentry", "sentry"), ("icinga", "nagios"),
        ("uptime-kuma", "uptime-kuma"), ("cloudwatch-chatbot", "cloudwatch"), ("netdata", "netdata"),
        ("bugsnag", "rollbar"), ("plain-text", "generic"), ("statuspage", "statuspage"),
    ],
)  # fmt: skip
def test_known_systems_have_parsers_of_their_own(system, parser):
    messages = [as_message(username, message) for name, username, message, *_ in FIRST_ALERTS if name == system]
    assert messages and {read_by(message)[0] for message in messages} == {parser}


@pytest.mark.parametrize(
    ("text", "action", "alert", "service"),
    [
        ("[FIRING:2] DiskFull (checkout prod)", OPEN, "DiskFull", "checkout"),
        ("[RESOLVED] DiskFull (checkout prod)", CLOSE, "DiskFull", "checkout"),
        (":rotating_light: *[FIRING:1] HighLatency*\nservice: checkout", OPEN, "HighLatency", "checkout"),
        ("CRITICAL: queue depth on mq-1", OPEN, "queue depth on mq-1", "mq-1"),
        ("OK: queue depth on mq-1", CLOSE, "queue depth on mq-1", "mq-1"),
        ("payments-db is DOWN since 09:12", OPEN, "payments-db", "payments-db"),
        ("payments-db is now UP", CLOSE, "payments-db", "payments-db"),
        ("An alert for *checkout/latency* has been triggered", OPEN, "checkout/latency", "checkout/latency"),
        ("An alert for *checkout/latency* has been resolved", CLOSE, "checkout/latency", "checkout/latency"),
        ("Alarm Name: cpu-too-high\nNew State: ALARM", OPEN, "cpu-too-high", "cpu-too-high"),
        ("Alarm Name: cpu-too-high\nNew State: OK", CLOSE, "cpu-too-high", "cpu-too-high"),
        ("[no data] node exporter", OPEN, "node exporter", "node exporter"),
        ("State changed to OK -> ALARM\nAlert name: Login errors\nService: login", OPEN, "Login errors", "login"),
        ("Login errors [P1] :fire: *TRIGGERED*", OPEN, "Login errors", "Login errors"),
        ("The monitor Login errors has recovered after 12 minutes", CLOSE, "Login errors", "Login errors"),
        ("[FIRING:1, RESOLVED:3] DiskFull", OPEN, "DiskFull", None),
        ("Severity: critical\nAlert name: Login errors\nStatus: open\nHost: web-1", OPEN, "Login errors", "web-1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("without", [frozenset(), SPECIAL], ids=["all", "generic"])
def test_state_name_and_service_are_found_in_plain_text(text, action, alert, service, without):
    first, *_ = read(say(text), without=without)
    assert (first.action, first.alert, first.service) == (action, alert, service)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Pull request #12 merged by dev-1",
        "Deployment of checkout is now up",
        "Build 118 failed",
        "Good morning, here is your summary",
        "job nightly-backup succeeded",
        "dev-1 acknowledged DiskFull",
        "[FIRING:1",
        "\n\n",
    ],
)
def test_plain_text_of_other_kinds_is_no_alert(text):
    assert read(say(text)) == []


def grafana(*alerts, firing, resolved):
    def one(name, job):
        return f"Value: A=1\nLabels:\n - alertname = {name}\n - job = {job}\n - severity = critical\nAnnotations:\n - summary = s\n"

    text = "".join(
        f"**{section}**\n\n" + "".join(one(*alert) for alert in alerts if alert in chosen)
        for section, chosen in (("Firing", firing), ("Resolved", resolved))
        if chosen
    )
    return AlertMessage("Grafana", attachments=[{"title": "[FIRING:1] Shop", "footer": "Grafana v12", "text": text}])


@pytest.mark.parametrize("without", [frozenset(), SPECIAL], ids=["all", "generic"])
def test_a_group_gives_each_of_its_alerts_in_its_own_state(without):
    errors, slow, full = ("Errors", "basket"), ("Slow", "basket"), ("Full", "ledger")
    found = read(grafana(errors, slow, full, firing=[errors, slow], resolved=[full]), without=without)
    assert [(alert.action, alert.alert, alert.service) for alert in found] == [
        (OPEN, "Errors", "basket"),
        (OPEN, "Slow", "basket"),
        (CLOSE, "Full", "ledger"),
    ]
    assert overall(found) == OPEN and {alert.priority for alert in found} == {"HIGH"}


def test_an_alert_that_fires_in_one_place_and_resolved_in_another_still_fires():
    errors = ("Errors", "basket")
    (alert,) = read(grafana(errors, firing=[errors], resolved=[errors]))
    assert alert.action == OPEN


def test_several_attachments_are_several_alerts():
    message = AlertMessage(
        "probe",
        attachments=[
            {"color": "danger", "title": "[DOWN] basket"},
            {"color": "good", "title": "[UP] ledger"},
        ],
    )
    assert [(alert.action, alert.alert) for alert in read(message)] == [(OPEN, "basket"), (CLOSE, "ledger")]


@pytest.mark.parametrize("number", range(len(ALERTS) - 1))
def test_firing_and_resolved_share_a_fingerprint(number):
    (_, user, first, *_), (_, user_after, second, *_) = ALERTS[number], ALERTS[number + 1]
    opened, closed = read(as_message(user, first))[0], read(as_message(user_after, second))[0]
    pair = (opened.alert, opened.service) == (closed.alert, closed.service) and user == user_after
    assert (opened.fingerprint == closed.fingerprint) == (pair and opened.parser == closed.parser)


def test_a_fingerprint_differs_by_source_service_and_alert():
    texts = ["[FIRING] Slow\nservice: x", "[FIRING] Slow\nservice: y", "[FIRING] Full\nservice: x"]
    prints = {read(say(text, username=name))[0].fingerprint for text in texts for name in ("one", "two")}
    assert len(prints) == 6


@pytest.mark.parametrize("color", ["danger", "#ff0000", "#E03E2F", "warning", "#f90", "good", "#2eb886", "#36a64f"])
def test_a_state_that_stands_only_in_the_colour_counts(color):
    (alert,) = read(AlertMessage("probe", attachments=[{"color": color, "text": "basket-2/open_files:9000"}]))
    assert alert.action == (CLOSE if color in {"good", "#2eb886", "#36a64f"} else OPEN)


@pytest.mark.parametrize("color", ["#439FE0", "#cccccc", "#764FA5", "nonsense", "#12", ""])
def test_other_colours_say_nothing(color):
    assert read(AlertMessage("probe", attachments=[{"color": color, "text": "basket-2/open_files:9000"}])) == []


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ({"text": "[OK] basket\nDuration: 1h30m"}, 5400),
        ({"text": "basket is UP. It was down for 2 hours, 3 minutes and 10 seconds"}, 7390),
        (att(title="[RESOLVED] basket", fields=[field("Downtime", "00:05:12")]), 312),
        ({"text": "Resolved in 5m 10s: Disk is full"}, 310),
        ({"text": "[RESOLVED] basket"}, None),
    ],
)
def test_the_duration_is_read_where_the_message_states_it(message, seconds):
    (alert,) = read(as_message("monitor", message))
    assert alert.duration == (timedelta(seconds=seconds) if seconds else None)


def test_what_was_guessed_or_missed_is_doubtful():
    sure, guessed = (
        say("[FIRING:1] DiskFull"),
        AlertMessage("probe", attachments=[{"color": "#ff0000", "title": "Certificate expires"}]),
    )
    missed, talk = say("basket: error rate at 40 %, and it grows", username="watchdog"), say("Good morning!")
    for message, doubtful in ((sure, False), (guessed, True), (missed, True), (talk, False)):
        assert is_doubtful(message, [alert.confidence for alert in read(message)]) is doubtful
    assert not is_doubtful(say("basket: error rate at 40 %", username="watchdog", is_bot=False), [])
    assert overall(read(missed)) == NONE
