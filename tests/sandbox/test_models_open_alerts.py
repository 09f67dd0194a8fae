"""What the planner says of open alerts, shifts and the fixes of several alerts."""

from typing import Any

import pytest

from tests.sandbox.test_models_planner import LINK, TOOLS, Conversation, answer, message, tool

HANDOFF = tool("shift_handoff", channel="string", hours="integer")
OPEN = {
    "channel": "#ops-alerts",
    "since": "2026-03-11T12:00:00Z",
    "open_incidents": [
        {"alert": "IngestLag", "service": "ingest", "opened": "2026-03-18T09:00:00Z", "human_replies": 1},
        {"alert": "DiskFull", "service": None, "opened": "2026-03-17T09:00:00Z", "human_replies": 0},
    ],
    "open_incident_count": 2,
    "unanswered_questions": [],
}


@pytest.mark.parametrize(
    "question",
    [
        "which alerts are firing right now?",
        "what is still open in #ops-alerts?",
        "any open alerts?",
        "show unresolved alerts",
    ],
)
def test_what_is_firing_now_is_what_opened_and_did_not_close(question: str) -> None:
    conversation = Conversation(
        (*TOOLS, HANDOFF), lambda name, args: OPEN if name == "shift_handoff" else answer(name, args)
    )
    text = conversation.ask(question)
    assert [name for name, _ in conversation.calls] == ["shift_handoff"]
    assert "2 alerts are open in #ops-alerts now" in text
    assert "**ingest/IngestLag** since 18 Mar 2026 09:00 UTC, 1 reply" in text and "nobody replied" in text


def test_which_alerts_fired_is_not_asked_of_the_handoff() -> None:
    conversation = Conversation((*TOOLS, HANDOFF))
    conversation.ask("which alerts fired most this week?")
    assert [name for name, _ in conversation.calls] == ["search_messages"]


def test_a_handoff_without_questions_has_no_list_of_them() -> None:
    conversation = Conversation((*TOOLS, HANDOFF), lambda *_: OPEN)
    assert "Every question has a reply." in conversation.ask("shift handoff for #ops-alerts")


def test_fixes_of_other_alerts_are_told_apart() -> None:
    def thread(alert: str, day: int) -> Any:
        return {
            "channel": "#ops-alerts",
            "permalink": LINK,
            "messages": [
                message(f"[FIRING:1] {alert} checkout", day, author="Alertmanager"),
                message(f"Root cause: {alert} again. Fixed with a rollback", day, author="sre-1"),
            ],
        }

    threads = iter([thread("CheckoutErrors", 7), thread("CheckoutLatency", 6), thread("CheckoutErrors", 5)])

    def run(name: str, args: dict[str, Any]) -> Any:
        if name == "read_thread":
            return next(threads)
        fired = [message("[FIRING:1] checkout", at, author="Alertmanager", reply_count=2) for at in (5, 6, 7)]
        return {"total": 3, "messages": fired, "alerts": []}

    text = Conversation(run=run).ask("how did we fix checkout last time?")
    head, _, rest = text.partition("Other times:")
    same, _, others = rest.partition("Of other alerts:")
    assert "The latest fix for **checkout**" in head and "of the alert CheckoutErrors" in head
    assert "CheckoutErrors again" in same and "CheckoutLatency" not in head + same
    assert "**CheckoutLatency**, 16 Mar" in others


def test_a_fix_in_a_thread_that_names_no_alert_is_of_no_other_alert() -> None:
    first = message("[FIRING:1] CheckoutErrors checkout", 7, author="Alertmanager")
    second = message("checkout is slow", 6)
    threads = iter(
        {"permalink": LINK, "messages": [opening, message("Root cause: a rollout. Fixed it", 7, author="sre-1")]}
        for opening in (first, second)
    )

    def run(name: str, args: dict[str, Any]) -> Any:
        if name == "read_thread":
            return next(threads)
        found = [message("[FIRING:1] checkout", at, reply_count=2) for at in (6, 7)]
        return {"total": 2, "messages": found, "alerts": []}

    text = Conversation(run=run).ask("how did we fix checkout last time?")
    assert "Other times:\n- 16 Mar 2026" in text and "Of other alerts" not in text and "no alert" not in text
