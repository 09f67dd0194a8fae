"""Whatever a message holds, reading it neither fails nor takes long."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.alerts import PARSERS, AlertMessage, is_doubtful, read

SPECIAL = frozenset(parser.name for parser in PARSERS if parser.name != "generic")
WORDS = st.sampled_from(
    ["[FIRING:1]", "(OK)", "is DOWN", "resolved", "alert", "#12", ":fire:", "`down`", "on host:web-1", "<https://x|y>",
     "*Key:* v", "a=b", "{x:", "\n", "🔴", " - ", "1h", "alertname =", "Labels:", "\x00", "\ud800", "->", "&gt;", "|"]
)  # fmt: skip
TEXT = st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=12).map(" ".join))
KEYS = st.sampled_from(
    ["type", "text", "title", "value", "fields", "elements", "blocks", "color", "pretext", "fallback", "footer",
     "attachments", "actions", "author_name", "title_link", "name", "style"]
)  # fmt: skip
KINDS = st.sampled_from(["section", "header", "context", "actions", "rich_text", "rich_text_list", "text", "mrkdwn"])
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, KINDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None)
@given(username=TEXT, text=TEXT, attachments=JSON, blocks=JSON)
def test_no_payload_makes_the_readers_fail(username, text, attachments, blocks):
    message = AlertMessage(username, text, attachments, blocks)
    for without in (frozenset(), SPECIAL):
        for alert in read(message, without=without):
            assert alert.action in ("open_incident", "close_incident") and 0 < len(alert.alert) <= 200
            assert alert.service is None or 0 < len(alert.service) <= 200
            is_doubtful(message, [alert.confidence])


SEEDS = [
    "*", "[", "(", "<", "_a", "x: ", ":a", "1", "a:", "a:a,", "on a:", "is ", "is now ", "alert ", "alerts", "[a] ", "[OK] ",
    "down ", "is down ", "https://", "<https://x|", "a=b,", "a/b:1 ", "#1 ", "- ", "|", "🔥", ":fire:", "`a`", "*a*\n", "k = v\n",
    "failed job ", "deploy ", "build a ", "job ", "1h", "resolved after 1h ", "(a", "a) (", "\"", "host is ", "A", "Aa", "\\", "&gt;", "new ",
]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("place", ["text", "title", "field", "fallback", "username"])
def test_no_repetition_makes_the_readers_slow(seed, place):
    evil = (seed * 20_000)[:20_000] + "!"
    attachment = {
        "title": {"title": evil},
        "field": {"fields": [{"title": evil, "value": evil}]},
        "fallback": {"fallback": evil},
    }
    message = AlertMessage(
        username=evil if place == "username" else "probe",
        text=evil if place == "text" else "",
        attachments=[{"color": "danger", **attachment[place]}] * 20 if place in attachment else None,
    )
    began = time.process_time()
    for without in (frozenset(), SPECIAL):
        read(message, without=without)
    assert time.process_time() - began < 2
