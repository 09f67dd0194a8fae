"""What commands answer: by the tools that one person may use in one channel, in words for people."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from langchain_core.tools import tool

from agent.history import Size, measure
from ratchet.command_texts import Session, show_decision, show_help, show_no_match, show_session, show_tools
from ratchet.explaining import Explainer, Place
from ratchet.policies import Policies, Rule
from slack_app.mrkdwn import compose
from storage import conversations, leases
from storage.budgets import Balance
from storage.channels import User
from storage.turns import thread_key
from tools.registry import build_catalogue, load_catalogue

OPS = Place("C1", "ops", "#ops")
KIM = User("T1", "U1", "kim", is_bot=False, is_guest=False, is_stranger=False)
VENDOR = User("T1", "U9", "vendor", is_bot=False, is_guest=True, is_stranger=False)


@tool("deploys__list_releases", extras={"effect": "read"})
async def list_releases() -> str:
    """List releases. They come from the deploy server."""
    return ""


@tool(extras={"effect": "change"})
async def restart_pods() -> str:
    """Restart a service's pods. It takes a minute."""
    return ""


CATALOGUE = [
    *load_catalogue(),
    *build_catalogue([("MCP server deploys", list_releases), ("entry point pods", restart_pods)]),
]


def explainer(*tools, **rule):
    return Explainer(Policies(Rule(tools, **rule), {}, CATALOGUE), CATALOGUE)


def helped(who, *tools, **rule):
    by = explainer(*tools, **rule)
    return show_help(by.usable(who, OPS), by.person(who, OPS), OPS)


def listed(who, *tools, **rule):
    by = explainer(*tools, **rule)
    usable = by.usable(who, OPS)
    others = sorted(by.catalogue.keys() - {entry.name for entry in usable})
    return show_tools(usable, others, by.person(who, OPS), OPS)


def test_help_has_a_line_with_an_example_for_each_topic_that_somebody_may_use():
    text = helped(KIM, "@read", "deploys__list_releases", "restart_pods")
    topics = [line for line in text.splitlines() if line.startswith("- **")]
    assert [line.split("**")[1] for line in topics] == [
        "Alerts", "Documentation", "Messages", "Ratchet itself", "Runbooks", "Added by your team", "deploys",
    ]  # fmt: skip
    assert all("“" in line for line in topics)
    assert "(changes ask for approval first)" in topics[5] and "approval" not in topics[0]
    for command in ("help", "tools", "why NAME", "session", "reset", "stop"):
        assert f"- `{command}`" in text


def test_help_shows_no_topic_of_a_tool_that_is_not_allowed():
    text = helped(KIM, "search_docs")
    assert "**Documentation**" in text and "**Alerts**" not in text and "deploys" not in text
    assert "I can use no tools in #ops" in helped(KIM)


def test_a_guest_is_told_the_rule_and_where_it_is_written():
    assert "`policies.default.allow_guests` in configs/ratchet.yaml" in helped(VENDOR, "@read")
    assert "**Alerts**" not in helped(VENDOR, "@read") and "**Alerts**" in helped(VENDOR, "@read", allow_guests=True)
    assert "classify_alert" not in listed(VENDOR, "@read")


def test_tools_are_listed_with_what_they_do_and_the_others_by_name():
    text = listed(KIM, "@read", "restart_pods")
    assert "- `restart_pods`: Restart a service's pods (changes something, needs approval)" in text
    assert "- `search_docs`: Search the team's documentation" in text and "(reads)" in text
    assert "Not in #ops: `deploys__list_releases`, `update_doc`. `why NAME`" in text


def test_every_built_in_tool_has_a_topic_and_every_topic_an_example():
    extras = [entry.tool.extras for entry in load_catalogue() if entry.source == "built-in"]
    topics = {extra["topic"] for extra in extras}
    assert topics == {extra["topic"] for extra in extras if extra.get("example")}


def test_whatever_is_asked_about_nobody_is_notified():
    text = show_no_match("ping <@U5> and <!channel>", [], [], OPS)
    shown = compose(text)
    assert "<@U5>" not in str(shown) and "<!channel>" not in str(shown) and "ping" in text


def test_a_decision_names_each_rule_with_its_place_and_the_way_out():
    text = show_decision(explainer("@read").explain("restart_pods", KIM, OPS), OPS)
    assert text.startswith("I cannot use `restart_pods` for you in #ops.")
    assert "✗ tool: `restart_pods` (entry point pods, change) is not listed there" in text
    assert "(`policies.default.tools`)" in text and "add `restart_pods` to `policies.default.tools`" in text


def test_a_session_is_described_in_a_few_lines():
    balance = Balance("usd", "month", Decimal(40), Decimal(10), Decimal(5), datetime(2026, 12, 1, tzinfo=UTC))
    text = show_session(
        Session(
            turns=1,
            since=datetime(2026, 11, 3, 9, 30, tzinfo=UTC),
            size=Size(12, 3400, summarised=True),
            is_reset=True,
            states={"running": 1, "waiting": 2},
            waiting=["update_doc", "restart_pods"],
            model="m",
            language="",
            balances=[balance],
        )
    )
    for line in (
        "since 2026-11-03 09:30 UTC",
        "1 question, 12 messages in what I remember (about 3,400 tokens, the older ones as a summary)",
        "reset: nothing of what was said before that reaches me",
        "being worked on: 1 question",
        "waiting for approval: `update_doc`, `restart_pods`",
        "model: m; language: that of the question",
        "budget: $25.00 of $40.00 a month left",
    ):
        assert f"- {line}" in text


@pytest.mark.parametrize("reset", [False, True])
async def test_the_size_of_a_conversation_is_that_of_what_the_model_is_shown(database, reset):
    key = thread_key("T1", "C1", "1.0")
    said = [{"type": kind, "data": {"content": "four words of text", "type": kind}} for kind in ("human", "ai")]
    async with database.connection() as conn:
        assert await measure(conn, key) == Size()
        lease = await leases.take(conn, key)
        for number in (1, 2):
            turn_id = f"00000000-0000-0000-0000-00000000000{number}"
            await conn.execute(
                "insert into turns (turn_id, team_id, channel_id, thread_ts, message_ts, requester_id, source, question)"
                " values (%s, 'T1', 'C1', '1.0', %s, 'U1', 'mention', 'x')",
                (turn_id, f"{number}.5"),
            )
            await conversations.append(conn, lease, turn_id, said, seen_upto_ts="1.0")
        await conversations.set_summary(conn, lease, "what was before", 2)
        whole = await measure(conn, key)
        assert (whole.messages, whole.summarised) == (2, True) and whole.tokens > 10
        if reset:
            await conversations.reset(conn, key, "3.0")
            assert await measure(conn, key) == Size()
