"""The home tab and the suggestions: within Slack's limits, and harmless whatever people wrote."""

from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.home import APPROVALS, CHANNELS, QUESTIONS
from ratchet.sections import Auto
from sandbox.slack.blocks import check_blocks
from slack_app.home import (
    FEATURES,
    Home,
    ShownChannel,
    SwitchClick,
    guest_view,
    home_view,
    label,
    read_switch,
    suggestions,
)
from slack_app.identity import Identity
from storage.home import Asked, OpenApproval, WatchedChannel

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
LINK = Identity("T1", "UBOT", "BBOT", "https://acme.slack.com/").permalink
FULL = dict.fromkeys(FEATURES, True)


def view(**shown):
    return home_view(Home(**shown), bot_user_id="UBOT", permalink=LINK)


def texts(shown):
    return [block["text"]["text"] for block in shown["blocks"] if "text" in block]


def channel(number=1, status="finished", since=NOW, kind="public", **fields):
    watched = WatchedChannel(f"C{number}", f"channel-{number}", kind, status, since, is_managed=True)
    return ShownChannel(watched, **fields)


def approval(*, may_decide=True, kind="public"):
    return OpenApproval("drop_table", "U1", "C1", kind, "100.000001", "99.000001", NOW, may_decide)


def asked(question="why?", *, status="answered", kind="public", thread="99.000001"):
    return Asked("C1", kind, "99.000001", thread, question, status, NOW)


def buttons(shown):
    return {e["value"]: e["text"]["text"] for b in shown["blocks"] if b["type"] == "actions" for e in b["elements"]}


@given(st.lists(st.text(max_size=300), max_size=QUESTIONS))
def test_the_fullest_home_keeps_slacks_limits_whatever_people_wrote(questions):
    full = view(
        approvals=[approval(may_decide=bool(number % 2)) for number in range(APPROVALS)],
        channels=[channel(number, unasked=list(FEATURES), switches=FULL) for number in range(CHANNELS)],
        asked=[asked(question or "?") for question in questions],
        page=1,
        has_more=True,
    )
    assert full["type"] == "home" and check_blocks(full["blocks"], maximum=100)
    for line in texts(full):
        assert line.count("<https://") <= 1 and "<!channel" not in line and "<!here" not in line


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("why is <#C2|ops> slow for <@U2>?", "why is ops slow for @U2?"),
        ("<https://evil.example|https://good.example> x", "https://good.example x"),
        ("a > b &amp; <!channel> | c\n\nd", "a &gt; b &amp; !channel ¦ c d"),
        ("word " * 40, "word " * 19 + "word…"),
        ("<>", "…"),
    ],
)
def test_a_question_is_one_plain_line_that_links_to_its_message(question, shown):
    (line,) = [text for text in texts(view(asked=[asked(question)])) if text.startswith("• ")]
    assert line.startswith(f"• <https://acme.slack.com/archives/C1/p99000001|{shown}> in <#C1>")


def test_a_question_in_a_thread_links_into_it_and_says_how_it_stands():
    (line,) = [t for t in texts(view(asked=[asked(status="waiting", kind="im", thread="9.0")])) if t.startswith("• ")]
    assert "?thread_ts=9.0&cid=C1|why?>" in line and line.endswith("waits for an approval")
    assert "in our direct messages" in line and "<#C1>" not in line


def test_what_one_may_decide_stands_apart_from_what_others_decide():
    both = texts(view(approvals=[approval(), approval(may_decide=False)]))
    mine, theirs = both.index("Waiting for your decision"), both.index("You asked for these, others decide")
    assert mine < theirs and "for <@U1> in <#C1>" in both[mine + 1] and "<@U1>" not in both[theirs + 1]
    assert "/archives/C1/p100000001?thread_ts=99.000001" in both[mine + 1], "decided where the whole request stands"
    assert not buttons(view(approvals=[approval()]))


def test_a_channel_says_what_is_known_of_it_and_what_happens_there():
    said = texts(
        view(
            channels=[
                channel(1, unasked=["report", "docs"]),
                channel(2, status="started", since=None),
                channel(3, status="failed"),
            ]
        )
    )
    assert any("<#C1>*: I know it since <!date^" in text and "weekly reports, answers" in text for text in said)
    assert any("<#C2>*: I am still reading its past.\n" in text and "nothing; I answer when" in text for text in said)
    assert any("<#C3>*: I could not read its past and know it since <!date^" in text for text in said)


def test_a_switch_says_what_it_does_and_its_click_is_read_back():
    shown = buttons(view(channels=[channel(1, switches={"report": True, "docs": False})], page=3))
    assert shown["C1:report:off:3"] == "Turn off weekly reports"
    assert shown["C1:docs:on:3"] == "Turn on answers out of the documentation"
    assert read_switch("C1:docs:on:3") == SwitchClick("C1", "docs", is_on=True, page=3)


@pytest.mark.parametrize(
    "value", ["", "C1:report", "C1:report:maybe:0", "C1:report:on:-1", "C1:report:on:99999", "a:b:c:d:e"]
)
def test_what_is_no_switch_is_not_read_as_one(value):
    assert read_switch(value) is None


def test_pages_lead_on_and_back_where_there_is_more():
    def pages(**fields):
        return list(buttons(view(channels=[channel()], **fields)))

    assert (pages(), pages(has_more=True), pages(page=2), pages(page=2, has_more=True)) == (
        [],
        ["1"],
        ["1"],
        ["1", "3"],
    )


def test_a_guest_is_shown_nothing_of_the_workspace():
    shown = guest_view(bot_user_id="UBOT")
    assert check_blocks(shown["blocks"], maximum=100) and "<#" not in str(shown)


def test_every_feature_has_words_of_its_own():
    assert all(label(feature) != feature for feature in get_args(Auto))


def test_suggestions_fit_the_tools_and_what_is_there():
    tools = {"report_channel", "shift_handoff", "search_docs", "search_messages", "list_channels"}

    def titles(tools, alert_channel="ops", has_documents=True):
        return [p["title"] for p in suggestions(tools, alert_channel=alert_channel, has_documents=has_documents)]

    assert titles(tools) == ["This week in #ops", "Hand over #ops", "From the documentation", "Right now"]
    assert titles(tools, None, False) == ["Right now", "What you can see", "What you can do"]
    assert titles(set()) == ["What you can do"]
