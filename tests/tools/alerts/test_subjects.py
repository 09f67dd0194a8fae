"""What an alert is about, where the headline does not simply name it."""

from __future__ import annotations

import pytest

from tools.alerts import AlertMessage, read

OPEN, CLOSE = "open_incident", "close_incident"


def one(said="", username="probe", **attachment):
    """The only alert of a message: (action, name, service)."""
    (alert,) = read(AlertMessage(username, said, [attachment] if attachment else None))
    return alert.action, alert.alert, alert.service


@pytest.mark.parametrize(
    ("text", "action", "name"),
    [
        ("Monitor is DOWN: https://basket.example.org", OPEN, "basket.example.org"),
        ("Monitor is UP: <https://basket.example.org/pay?x=1>", CLOSE, "basket.example.org/pay"),
        ("Monitor is DOWN: https://basket.example.org - Reason: no route", OPEN, "basket.example.org"),
        ("<https://basket.example.org/> looks down", OPEN, "basket.example.org"),
        ("https://basket.example.org has recovered", CLOSE, "basket.example.org"),
        ("[DOWN] https://basket.example.org since 09:30", OPEN, "basket.example.org"),
        ("[UP] https://basket.example.org after 9 minutes", CLOSE, "basket.example.org"),
    ],
)
def test_an_address_is_the_subject_where_there_is_no_other(text, action, name):
    assert one(text) == (action, name, name)


def test_an_address_beside_a_subject_is_no_part_of_it():
    assert one("[FIRING] LedgerSlow https://wiki.example.org/ledger")[1] == "LedgerSlow"
    assert one("Monitor is DOWN: ledger ( https://ledger.example.org )")[1] == "ledger"


@pytest.mark.parametrize(
    ("username", "text"),
    [
        ("scores", "The Lions are down 4-1 :fire:"),
        ("broker", "Gold is down 2.4%"),
        ("headlines", "Github is down"),
        ("desk", "Ticket 'Printer' resolved"),
        ("town", "The library is open :white_check_mark:"),
        ("board", "Ann: staging is down for me too"),
        ("desk", "New request\nStatus: Open\nPriority: High\nRequester: Ann"),
        ("shop", "Parcel 77 status: open, priority: high"),
        ("scanner", ":warning: 4 critical severity vulnerabilities in worker:2.0"),
        ("helper", "Ann changed the severity of INC-7 from SEV3 to SEV1"),
    ],
)
def test_an_everyday_word_alone_makes_no_alert(username, text):
    assert read(AlertMessage(username, text)) == []


def test_a_test_report_in_red_is_no_alert():
    assert read(AlertMessage("suite", "", [{"color": "danger", "title": "Playwright: 2 failed, 90 passed"}])) == []


@pytest.mark.parametrize(
    ("username", "text"),
    [
        ("watcher", "Ledger is down"),
        ("bot", "ledger-2 is down"),
        ("bot", "The ledger service is down"),
        ("bot", ":red_circle: Ledger is down"),
        ("bot", "Ledger is DOWN"),
        ("bot", "Ledger is down\nReason: connection refused"),
    ],
)
def test_a_second_witness_makes_it_one(username, text):
    ((action, *_),) = [one(text, username)]
    assert action == OPEN


@pytest.mark.parametrize(
    ("username", "opened", "closed"),
    [
        ("Opsgenie", 'New alert: "Ledger lag on queue-4"', 'Alert #9 "Ledger lag on queue-4" is closed by System'),
        ("probe", "[CRITICAL] queue-4: memory 91% > 80%", "[OK] queue-4: memory 42% < 80%"),
        ("probe", "CRITICAL: ledger failure rate is 12%", "RESOLVED: ledger failure rate is 0.4%"),
        ("probe", "[CRITICAL] ledger response time 900 ms", "[OK] ledger response time 40 ms"),
        ("probe", "[OPEN] Memory high on queue-4", "Memory high on queue-4 is resolved"),
    ],
)
def test_a_reading_is_no_part_of_the_fingerprint(username, opened, closed):
    (first,), (second,) = read(AlertMessage(username, opened)), read(AlertMessage(username, closed))
    assert (first.action, second.action) == (OPEN, CLOSE)
    assert first.fingerprint == second.fingerprint


def test_a_limit_is_part_of_the_fingerprint():
    texts = ("[FIRING] Memory over 80%", "[FIRING] Memory over 95%", "[FIRING] Queue > 5", "[FIRING] Queue > 9")
    assert len({read(AlertMessage("probe", text))[0].fingerprint for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("username", "title", "text"),
    [
        ("AWS Chatbot", "CloudWatch Alarm | QueueOld | eu-north-1 | Account: 12", "Threshold Crossed"),
        ("Opsgenie", "#77: Queue is old", "Raised by the ledger"),
    ],
)
@pytest.mark.parametrize(("color", "action"), [("#d13212", OPEN), ("#2eb886", CLOSE)])
def test_the_colour_counts_where_the_title_gives_no_state(username, title, text, color, action):
    assert one("", username, color=color, title=title, text=text)[0] == action


def test_a_sentence_below_the_title_counts_before_the_colour():
    closed = {"color": "danger", "title": "#77: Queue is old", "text": "Alert closed via the API"}
    assert one("", "Opsgenie", **closed) == (CLOSE, "Queue is old", None)
    taken = {"color": "danger", "title": "#77: Queue is old", "text": "Alert acknowledged by Ann"}
    assert read(AlertMessage("Opsgenie", "", [taken])) == []


@pytest.mark.parametrize(("emoji", "action"), [(":red_circle:", OPEN), (":large_green_circle:", CLOSE)])
def test_a_good_emoji_closes_what_a_bad_one_opens(emoji, action):
    assert one(f"{emoji} *ledger* queue too slow")[0] == action


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":bell: *LedgerLag* on `queue-4` (severity=page)", (OPEN, "LedgerLag", "queue-4")),
        ("queue-4 is in a state of ALERT", (OPEN, "queue-4", "queue-4")),
        ("queue-4 is now in a state of OK", (CLOSE, "queue-4", "queue-4")),
        ("Alert 'Replies too slow' recovered for group 'ledger'", (CLOSE, "Replies too slow", "ledger")),
        ("Your site *ledger* has gone down. Code 502", (OPEN, "ledger", "ledger")),
        (":x: *weekly-invoice* has not reported in 3 days", (OPEN, "weekly-invoice", "weekly-invoice")),
        ("Burn Alert Triggered: *Ledger replies*", (OPEN, "Ledger replies", "Ledger replies")),
        ("queue-4 / Inodes - OK -> CRITICAL", (OPEN, "queue-4 / Inodes", "queue-4 / Inodes")),
        ("queue-4 / Inodes - CRITICAL -> OK", (CLOSE, "queue-4 / Inodes", "queue-4 / Inodes")),
        (
            "Fired:Sev1 Azure Monitor Alert LedgerLag on queue-4 ( a.b/c ) at 11/21/2025 1:02:03 PM",
            (OPEN, "LedgerLag", "queue-4"),
        ),
        ("Ledger page (ledger.example.org) is DOWN", (OPEN, "Ledger page", "ledger.example.org")),
        (
            "Problem started at 09:00\nProblem name: Agent is silent\nHost: queue-4",
            (OPEN, "Agent is silent", "queue-4"),
        ),
        ("[FIRING] LedgerLag\nSource: north/billing/ledger", (OPEN, "LedgerLag", "ledger")),
        ("[FIRING] Ledger is slow\nDataset: ledger-events", (OPEN, "Ledger is slow", "ledger-events")),
    ],
)
def test_sentences_and_fields_of_many_systems(text, expected):
    assert one(text) == expected


def test_a_policy_names_the_alert_where_the_title_is_only_a_state():
    fields = [{"title": "Policy", "value": "Ledger memory"}]
    assert one(color="danger", title="Alert firing", text="Memory of ledger is above 0.8.", fields=fields)[:2] == (
        OPEN,
        "Ledger memory",
    )


def test_a_condition_that_the_title_cites_is_the_name():
    fields = [{"title": "Condition", "value": "Slow replies"}, {"title": "Impacted entities", "value": "ledger"}]
    title = "Issue CLOSED: ledger query result is > 2.0 on 'Slow replies'"
    assert one(color="good", title=title, fields=fields) == (CLOSE, "Slow replies", "ledger")
