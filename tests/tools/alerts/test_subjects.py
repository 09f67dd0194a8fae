"""What an alert is about, where the headline does not simply name it."""

from __future__ import annotations

import pytest

from tools.alerts import AlertMessage, read

OPEN, CLOSE = "open_incident", "close_incident"


def one(text="", username="probe", **attachment):
    """The only alert of a message: (action, name, service)."""
    (alert,) = read(AlertMessage(username, text, [attachment] if attachment else None))
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
