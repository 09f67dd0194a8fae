"""The tool that says which alert a message reports."""

import pytest
from langchain_core.tools import ToolException

from tools.classify_alert import classify_alert


async def test_a_text_is_read_as_if_a_bot_had_posted_it(ask):
    found = await ask(classify_alert, text="[RESOLVED] DiskFull\nService: checkout\nDuration: 5m\nSeverity: critical")
    [alert] = found["alerts"]
    assert found["action"] == "close_incident" and found["permalink"] is None
    assert (alert["alert"], alert["service"], alert["priority"]) == ("DiskFull", "checkout", "HIGH")
    assert (alert["duration_seconds"], alert["parser"]) == (300, "generic") and alert["confidence"] > 0.8


async def test_the_posters_name_tells_the_format(ask):
    found = await ask(classify_alert, text="Triggered: [P2] Slow checkout on host:web-1", username="Datadog")
    [alert] = found["alerts"]
    assert (alert["parser"], alert["alert"], alert["service"]) == ("datadog", "Slow checkout", "web-1")


async def test_a_text_without_alert_reports_none(ask):
    assert await ask(classify_alert, text="Good morning") == {"action": "none", "permalink": None, "alerts": []}


async def test_a_linked_message_is_what_was_stored_of_it(memory, ask):
    ts = await memory.say("disk", bot=True, alert="DiskFull", service="checkout")
    link = f"https://acme.slack.com/archives/C1/p{ts.replace('.', '')}"
    found = await ask(classify_alert, permalink=link)
    assert found["action"] == "open_incident" and found["permalink"] == link
    assert [alert["alert"] for alert in found["alerts"]] == ["DiskFull"]
    plain = await memory.say("hello")
    found = await ask(classify_alert, permalink=f"https://acme.slack.com/archives/C1/p{plain.replace('.', '')}")
    assert (found["action"], found["alerts"]) == ("none", [])


async def test_a_message_that_the_requester_may_not_read_is_as_unknown_as_none(memory, ask):
    await memory.channel("G1", "private", name="secrets")
    ts = await memory.say("disk", channel="G1", bot=True, alert="DiskFull")
    for link in (
        f"https://acme.slack.com/archives/G1/p{ts.replace('.', '')}",
        "https://x/archives/G9/p1700000000000001",
    ):
        with pytest.raises(ToolException, match="There is no channel"):
            await ask(classify_alert, permalink=link)
    await memory.member("U1", "G1")
    found = await ask(classify_alert, permalink=f"https://x/archives/G1/p{ts.replace('.', '')}", asked_in="G1")
    assert found["action"] == "open_incident"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({}, "Give the text"),
        ({"permalink": "https://example.com"}, "is no link"),
        ({"permalink": "https://x/archives/C1/p1700000000000001"}, "No message is stored"),
    ],
)
async def test_odd_arguments_are_named(ask, args, says):
    with pytest.raises(ToolException, match=says):
        await ask(classify_alert, **args)
